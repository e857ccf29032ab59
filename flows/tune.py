"""`synopt tune`: a search for better settings, and its best trials as a table."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.options import (
    EXAMPLES_CACHE,
    CacheFolder,
    CohortFolder,
    OutFolder,
    ProtocolFile,
    Quiet,
    RecordsUrl,
    say,
)
from schemas.search import SearchRecord, Trial, Value

SHOWN = 5


def tune(  # noqa: PLR0913, PLR0917
    cohort: CohortFolder,
    protocol: ProtocolFile,
    out: OutFolder,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of an earlier run included.")
    ] = 30,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="After which no further trial is begun; else no limit."),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="File (YAML) of the settings to vary; else those of docs/tuning.md."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    cache: CacheFolder = EXAMPLES_CACHE,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Search for better settings of model and training, judged on the validation part alone."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415
    from pipeline.train import Source  # noqa: PLC0415
    from pipeline.train.search_folder import BEST  # noqa: PLC0415
    from pipeline.train.space import DEFAULT_SPACE, read_space  # noqa: PLC0415
    from pipeline.train.tune import Search  # noqa: PLC0415
    from pipeline.train.tune import tune as search_settings  # noqa: PLC0415

    search = Search(
        space=DEFAULT_SPACE if space is None else read_space(space),
        seed=seed,
        n_trials=trials,
        minutes=math.inf if minutes is None else minutes,
    )
    rules, source = read_protocol(protocol), Source(cohort, records, cache)
    with progress_bars(quiet=quiet) as progress, _without_alarms():
        found = search_settings(source, rules, out, search, progress=progress)
    if not quiet:
        print_search(found)
    if len(found.trials) < trials:
        say(
            f"The time was over after {len(found.trials)} of {trials} trials; "
            "the same command goes on with the others",
            quiet=quiet,
        )
    say(f"Best protocol: {out.absolute() / BEST}", quiet=quiet)


@contextmanager
def _without_alarms() -> Iterator[None]:
    """Let no trial warn, after each epoch, that its settings are poor: that is what is searched."""
    monitor = logging.getLogger("pipeline.train.monitor")
    before = monitor.level
    monitor.setLevel(logging.ERROR)
    try:
        yield
    finally:
        monitor.setLevel(before)


def print_search(found: SearchRecord) -> None:
    """Print the best trials, the protocol as it was given, and which settings mattered."""
    console = Console(highlight=False)
    table = Table("trial", "validation loss", "seconds", "settings", box=SIMPLE_HEAD)
    best = found.ranking()[:SHOWN]
    given = [trial for trial in found.trials[:1] if trial not in best]
    for trial in (*best, *given):
        table.add_row(*_cells(trial))
    console.print(table)
    states = [trial.state for trial in found.trials]
    console.print(
        f"{states.count('complete')} trials complete, {states.count('pruned')} stopped early, "
        f"{states.count('failed')} failed; {found.n_train} cases to train on, "
        f"{found.n_validation} to judge by",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if found.importance:
        shares = ", ".join(f"{one.setting} {one.share:.0%}" for one in found.importance)
        console.print(f"What mattered: {shares}", markup=False, soft_wrap=True)


def _cells(trial: Trial) -> tuple[str | Text, ...]:
    name = f"{trial.number} (as given)" if trial.number == 0 else str(trial.number)
    loss = "" if trial.loss is None else f"{trial.loss:.4f}"
    settings = ", ".join(
        f"{name.partition('.')[2]} {_in_short(value)}" for name, value in trial.settings.items()
    )
    return name, loss or trial.state, f"{trial.seconds:.0f}", Text(settings)


def _in_short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

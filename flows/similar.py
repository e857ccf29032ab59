"""`synopt similar`: the nearest cases of a cohort, as a table and as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.options import (
    SOME_FAILED,
    BundleFolder,
    Quiet,
    RecordsUrl,
    SiteProtocolFile,
    check_folders,
    say,
)
from schemas.similar import ComparedBy, SimilarCases

if TYPE_CHECKING:
    from pipeline.bundle import Bundle

CHANCE = 0.5


def similar(  # noqa: PLR0913, PLR0917
    case: Annotated[str, typer.Argument(help="Study Instance UID of a study of the cohort.")],
    cohort: Annotated[Path, typer.Option("--cohort", help="Cohort folder.")],
    bundle: BundleFolder,
    by: Annotated[
        ComparedBy,
        typer.Option(
            help="What is compared: images, histories, both, or this case's one with the others' "
            "other."
        ),
    ] = "both",
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many are listed.")] = 10,
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="List other studies of the same patient too.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="A JSON file of the answer.")] = None,
    protocol: SiteProtocolFile = None,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Find the cases of a cohort that are most like one of them, by image and history."""
    check_folders(cohort, bundle)
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.cohort import open_cohort  # noqa: PLC0415
    from pipeline.files import require_writable, write_text  # noqa: PLC0415
    from pipeline.similar import Question, find_similar  # noqa: PLC0415

    loaded = _bundle_with_space(bundle, protocol)
    if out is not None:
        require_writable(out.parent)
    question = Question(case, by, number, same_patient)
    with progress_bars(quiet=quiet) as progress:
        opened = open_cohort(cohort, loaded.protocol, database=records, progress=progress)
        found = find_similar(opened, loaded, question, progress=progress)
    if out is not None:
        write_text(out, found.model_dump_json(indent=1) + "\n")
    if not quiet:
        print_similar(found)
    if out is not None:
        say(f"Similar cases: {out.absolute()}", quiet=quiet)
    if any(study.status == "refused" for study in found.left_out):
        raise typer.Exit(SOME_FAILED)


def _bundle_with_space(folder: Path, protocol: Path | None) -> "Bundle":
    from pipeline.bundle import load_bundle, with_policy  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415
    from pipeline.similar import require_common_space  # noqa: PLC0415

    loaded = load_bundle(folder)
    require_common_space(loaded)
    return loaded if protocol is None else with_policy(loaded, read_protocol(protocol))


def print_similar(found: SimilarCases) -> None:
    """Print one line a case, what was left out and why, and how much the space is worth."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("", "similarity", box=SIMPLE_HEAD)
    longest = max((len(one.study_uid) for one in found.neighbours), default=0)
    table.add_column("study", no_wrap=True, min_width=longest)
    table.add_column("compared")
    for place, one in enumerate(found.neighbours, start=1):
        compared = ", ".join(one.compared)
        if one.is_unlike_training:
            compared += "; unlike the training cases"
        table.add_row(str(place), f"{one.similarity:.3f}", Text(one.study_uid), compared)
    console.print(table)
    for line in _remarks(found):
        console.print(line, markup=False)


def _remarks(found: SimilarCases) -> list[str]:
    lines = [f"{found.n_compared} studies compared by {found.by}"]
    if found.n_nothing_in_common:
        lines.append(f"{found.n_nothing_in_common} studies lack what was to be compared")
    if found.n_same_patient:
        lines.append(f"{found.n_same_patient} other studies of the same patient left out")
    if found.is_unlike_training:
        lines.append("The case itself is unlike the training cases: trust the list less")
    lines += [
        f"{study.status}: {study.study_uid} ({', '.join(study.reasons)})"
        for study in found.left_out
    ]
    if found.space is not None:
        lines.append(
            f"Of {found.space.n_cases} cases with both, an image lies nearer to its own history "
            f"than to another patient's {found.space.own_nearer:.0%} of the time "
            f"(chance {CHANCE:.0%})"
        )
    return lines

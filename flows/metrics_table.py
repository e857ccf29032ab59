"""How well each task did, as a table on standard output."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from schemas.metrics import AnyMetrics, Interval, Performance, StepMetrics, StepPerformance

PIPED_WIDTH = 140
"""Columns of the table where no terminal says how wide it is."""
_STATISTICS = ("AUROC", "AUPRC", "Brier", "log loss", "slope", "intercept")


def show_metrics(tasks: Sequence[AnyMetrics], *, quiet: bool) -> None:
    """Print a row for each task, and one for each question of a task of several outcomes."""
    if quiet:
        return
    table = Table(
        title="With 95 % intervals by patient bootstrap", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("task", overflow="fold")
    for name in ("cases", "events", *_STATISTICS):
        table.add_column(name, justify="right", min_width=len(name))
    for metrics in tasks:
        table.add_row(*_row(metrics.task, metrics.whole))
        for asked in metrics.questions if isinstance(metrics, StepMetrics) else ():
            table.add_row(*_row(f"{metrics.task}: {asked.group}", asked))
    width = None if Console().is_terminal else PIPED_WIDTH
    Console(highlight=False, markup=False, width=width).print(table)


def _row(name: str, found: Performance | StepPerformance) -> tuple[str, ...]:
    auprc, slope, intercept = _of_one_question(found)
    statistics = (found.auroc, auprc, found.brier, found.log_loss, slope, intercept)
    return name, str(found.n_cases), str(found.n_events), *map(_cell, statistics)


def _of_one_question(found: Performance | StepPerformance) -> tuple[Interval | None, ...]:
    """Return AUPRC, slope and intercept; several questions together have none."""
    if isinstance(found, Performance):
        return found.auprc, found.slope, found.intercept
    return None, None, None


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f}\n{interval.lower:.3f} to {interval.upper:.3f}"

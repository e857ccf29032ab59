"""How well a bundle did, as tables on standard output."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from schemas.evaluation import Evaluation
from schemas.metrics import (
    AnyMetrics,
    Interval,
    Performance,
    StepMetrics,
    StepPerformance,
    TaskMetrics,
)
from schemas.task import GOAL_NAMES

PIPED_WIDTH = 140
"""Columns of the table where no terminal says how wide it is."""
_COUNTS = ("cases", "events")
_STATISTICS = ("AUROC", "AUPRC", "Brier", "log loss", "slope", "intercept")
_OF_SUBSETS = ("task", "read", "cases", "AUROC", "from all, paired", "slope", "O / E")
_OF_THRESHOLDS = ("task", "threshold", "promised", "cases", "found", "bounds")
_WORDS = ("task", "promised", "group", "read", "other")


def show_evaluation(found: Evaluation, *, quiet: bool) -> None:
    """Print each task, its groups, what subsets of the modalities do, and the other bundles."""
    if quiet:
        return
    _print("With 95 % intervals by patient bootstrap", ("task", *_COUNTS, *_STATISTICS), [
        row for metrics in found.tasks for row in _of_task(metrics)
    ])  # fmt: skip
    _print("By group", ("task", "group", *_COUNTS, *_STATISTICS), [
        (metrics.task, *_row(group.group, group))
        for metrics in found.tasks for group in metrics.groups
    ])  # fmt: skip
    _print("Promised thresholds, exact 95 % bounds", _OF_THRESHOLDS, [
        (metrics.task, f"{one.threshold:.3f}", f"{GOAL_NAMES[one.goal]} of {one.at_least:.0%}",
         str(one.n_cases), f"{one.share:.3f}",
         f"{one.lower:.3f} to {one.upper:.3f}")
        for metrics in found.tasks if isinstance(metrics, TaskMetrics) for one in metrics.operating
    ])  # fmt: skip
    _print("With some modalities only", _OF_SUBSETS, [
        (one.task, " and ".join(one.present), str(one.n_cases), *map(_cell, (
            one.auroc, one.difference, one.slope, one.observed_to_expected)))
        for one in found.subsets
    ])  # fmt: skip
    _print("This bundle less another, paired", ("task", "other", "AUROC", "log loss"), [
        (one.task, f"{one.name} {one.sha256[:8]}", _cell(one.difference),
         _cell(one.log_loss_difference))
        for one in found.comparisons
    ])  # fmt: skip
    _print("Not judged", ("task", "reason"), [(one.task, one.reason) for one in found.not_judged])


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; nothing where it has no rows."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in columns:
        if name in _WORDS:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", min_width=len(name))
    for row in rows:
        table.add_row(*row)
    width = None if Console().is_terminal else PIPED_WIDTH
    Console(highlight=False, markup=False, width=width).print(table)


def _of_task(metrics: AnyMetrics) -> Iterator[tuple[str, ...]]:
    """Give the row of a task, and one for each question of a task of several outcomes."""
    yield _row(metrics.task, metrics.whole)
    for asked in metrics.questions if isinstance(metrics, StepMetrics) else ():
        yield _row(f"{metrics.task}: {asked.group}", asked)


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

"""Known outcomes counted, each kind of task as it is asked."""

from collections.abc import Iterator, Sequence
from statistics import median

from pipeline.history import label_columns
from pipeline.inspect.distributions import wilson
from schemas.inspection import LabelView, OutcomeView
from schemas.task import Task

Row = Sequence[float | None]


def label_views(tasks: Sequence[Task], rows: Sequence[Row | None]) -> tuple[LabelView, ...]:
    """Count the outcomes of each task.

    Parameters
    ----------
    rows
        One a study, a number for each label column of all tasks in order; None where the labels
        have no row.
    """
    return tuple(
        _view(task, [row[start : start + width] for row in rows if row])
        for task, start, width in _places(tasks)
    )


def _places(tasks: Sequence[Task]) -> Iterator[tuple[Task, int, int]]:
    start = 0
    for task in tasks:
        width = len(label_columns(task))
        yield task, start, width
        start += width


def _view(task: Task, rows: Sequence[Row]) -> LabelView:
    # Days without an event, or an event without days, are no known outcome.
    known = [[cell for cell in row if cell is not None] for row in rows if None not in row]
    ends = [row[-1] for row in known]
    match task.kind:
        case "binary":
            outcomes = [_outcome("positive", ends.count(1.0), len(ends))]
        case "survival":
            outcomes = [OutcomeView(label="events", n=ends.count(1.0), share=None)]
        case _:
            outcomes = [
                _outcome(name, ends.count(float(number)), len(ends))
                for number, name in enumerate(task.classes)
            ]
    days = [row[0] for row in known] if task.kind == "survival" else []
    return LabelView(
        task=task.name,
        question=task.question,
        n_known=len(known),
        outcomes=tuple(outcomes),
        median_days=median(days) if days else None,
    )


def _outcome(label: str, n: int, n_known: int) -> OutcomeView:
    return OutcomeView(label=label, n=n, share=wilson(n, n_known) if n_known else None)

"""Of which group's thresholds a case's set is made."""

from schemas.history import History
from schemas.task import Task


def value_of(task: Task, history: History) -> str | None:
    """Return the case's value of the variable by which a task's sets are set apart, as text.

    None where the task names none, or it is missing.
    """
    found = (value.value for value in history.values if value.name == task.sets_by)
    value = next(found, None)
    return None if value is None else str(value)

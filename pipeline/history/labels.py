"""Known outcomes of a cohort's studies."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.history.frames import find_table, read_text_table
from schemas.task import Task

_KNOWN = {"": None, "0": 0, "1": 1, "0.0": 0, "1.0": 1}


def read_labels(cohort: Path, tasks: tuple[Task, ...]) -> Mapping[str, Mapping[str, int | None]]:
    """Read ``labels.csv`` (or parquet): study UID to task to 0, 1 or None where unknown.

    Raises
    ------
    UsageError
        If the file or a task's column is missing, a study stands there twice, or a label is
        neither 0, 1 nor empty.
    """
    path = find_table(cohort, "labels")
    if path is None:
        msg = f"{cohort} has no labels.csv: training needs known outcomes"
        raise UsageError(msg)
    names = tuple(task.name for task in tasks)
    frame = read_text_table(path, needed=("patient_id", "study_uid", *names))
    if not frame["study_uid"].is_unique:
        msg = f"{path.name} has more than one row for a study_uid"
        raise UsageError(msg)
    wrong = [name for name in names if not frame[name].isin(list(_KNOWN)).all()]
    if wrong:
        msg = f"{path.name}: column {', '.join(wrong)} may hold only 0, 1 or nothing"
        raise UsageError(msg)
    return {
        str(row["study_uid"]): {name: _KNOWN[row[name]] for name in names}
        for row in frame[["study_uid", *names]].to_dict("records")
    }

"""Whether the parts hold what is needed after training, asked before it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import (
    by_patient,
    outcome_groups,
    outcome_names,
    require_images,
    require_of_each,
)
from pipeline.errors import CalibrationError
from pipeline.train.calibrate import HELD_OUT
from pipeline.train.examples import Example
from pipeline.train.scores import is_known, labels_of
from pipeline.train.splits import Part
from schemas.task import Task


def require_enough(parts: Mapping[Part, Sequence[Example]], tasks: Sequence[Task]) -> None:
    """Refuse parts on which calibration would fail, hours later perhaps.

    Raises
    ------
    CalibrationError
        If too few images are there, too few calibration patients had an outcome of some task, or
        the test cases hold but one.
    """
    n_images = {
        part: sum(case.image is not None for case in cases) for part, cases in parts.items()
    }
    require_images(n_images["train"], sum(n_images[part] for part in HELD_OUT))
    for number, task in enumerate(tasks):
        groups, patients = _outcomes(parts["calibration"], tasks, number)
        of_patients = by_patient(groups, patients)[0] if len(groups) else groups
        require_of_each(outcome_names(task), of_patients, task=task.name)
        if len(np.unique(_outcomes(parts["test"], tasks, number)[0])) < 2:
            msg = f"task {task.name}: the test cases hold one outcome only: use a larger cohort"
            raise CalibrationError(msg)


def _outcomes(
    cases: Sequence[Example], tasks: Sequence[Task], number: int
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return what came of a task in the cases of which it is known, and whose they are."""
    labels = labels_of(cases, tasks, number)
    known = is_known(labels)
    patients = np.array([case.patient_id for case in cases])
    return outcome_groups(tasks[number], labels[known]), patients[known]

"""Class-conditional (Mondrian) conformal sets of tasks with several classes (Vovk et al., 2005)."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.conformal import least_probability
from schemas.calibration import ClassThresholds, StepCalibrator, SubsetClassThresholds
from schemas.task import Task

Array = NDArray[np.float64]


def with_class_sets(
    calibrator: StepCalibrator,
    probability: Array,
    labels: Array,
    apart: Mapping[tuple[str, ...], Array],
    *,
    coverage: float,
) -> StepCalibrator:
    """Add conformal thresholds, set on patients the map was not fitted on.

    Parameters
    ----------
    probability : shape (n, C)
        Calibrated, with whatever modalities each case has.
    labels : shape (n,)
        Numbers of the classes.
    apart
        Probabilities of the same cases with only some modalities read; NaN where one is absent.
    """
    return calibrator.model_copy(
        update={
            "conformal": fit_class_sets(probability, labels, coverage=coverage),
            "conformal_apart": tuple(_apart(labels, apart, coverage)),
        }
    )


def _apart(
    labels: Array, apart: Mapping[tuple[str, ...], Array], coverage: float
) -> Iterator[SubsetClassThresholds]:
    for present, values in apart.items():
        known = ~np.isnan(values).any(axis=1)
        found = fit_class_sets(values[known], labels[known], coverage=coverage)
        if found is not None:
            yield SubsetClassThresholds(present=present, **found.model_dump())


def fit_class_sets(probability: Array, labels: Array, *, coverage: float) -> ClassThresholds | None:
    """Set the thresholds on patients on whom the calibration map was not fitted.

    Each class by itself, as in :func:`pipeline.calibration.conformal.fit_conformal`. A class with
    too few cases can never be ruled out.

    Parameters
    ----------
    probability : shape (n, C)
        Calibrated.
    labels : shape (n,)
        Numbers of the classes.

    Returns
    -------
    ClassThresholds
        None if every class has too few cases.
    """
    own = [column[labels == number] for number, column in enumerate(probability.T)]
    least = [least_probability(values, coverage) for values in own]
    if all(value is None for value in least):
        return None
    return ClassThresholds(
        coverage=coverage, least=tuple(value or 0.0 for value in least),
        n_cases=tuple(len(values) for values in own),
    )  # fmt: skip


def class_set(
    task: Task, thresholds: ClassThresholds | None, probability: Array
) -> tuple[str, ...] | None:
    """Return the classes that cannot be ruled out; None without thresholds.

    Empty where all can; see :func:`pipeline.calibration.conformal.label_set`. Levels between two
    that stay are kept too, which can only raise the coverage.

    Parameters
    ----------
    probability : shape (C,)
    """
    if thresholds is None:
        return None
    kept = np.flatnonzero(probability >= np.array(thresholds.least))
    if task.kind == "ordinal" and kept.size:
        kept = np.arange(kept.min(), kept.max() + 1)
    return tuple(task.classes[number] for number in kept)

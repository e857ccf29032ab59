"""All that calibration fits for one task, each part on its own patients."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.calibration.chance import require_better_than_chance
from pipeline.calibration.choose import Patients, by_patient, checked, fit_map
from pipeline.calibration.conformal import fit_conformal
from pipeline.calibration.interval import fit_interval
from pipeline.calibration.nested import nested_loss
from pipeline.calibration.operating import fit_operating_point
from pipeline.calibration.questions import Question
from pipeline.calibration.subsets import Subset, cases_of_the_map, fit_shifts, lack_something
from schemas.calibration import Calibrator, GroupThresholds, SubsetThresholds
from schemas.task import OperatingGoal

COVERAGE = 0.9

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Cases that share a value of a variable.

    Parameters
    ----------
    value, words
        As text, and with the variable's name.
    members : shape (n,)
        Which cases.
    """

    value: str
    words: str
    members: NDArray[np.bool_]


def fit_calibrator(
    task: str,
    logits: Array,
    labels: NDArray[np.int64],
    hidden: Mapping[Subset, Array],
    patients: Patients | None = None,
) -> Calibrator:
    """Fit the common map and the subsets' shifts on calibration cases.

    The common map is that of the cases that have every modality, where they are half of all at
    least: what is absent changes the scores' spread, and has shifts of its own.

    Parameters
    ----------
    logits : shape (n,)
        Raw scores with whatever modalities each case has.
    labels : shape (n,), 0 or 1
    hidden
        Raw scores of the same cases with only some modalities read; NaN where a case lacks one.
    patients : shape (n,)
        Whose cases they are; None if each is another's.

    Raises
    ------
    CalibrationError
        If the cases are too few, or the score does not rank them better than chance.
    """
    score, truth = checked(logits, labels, task=task, patients=patients)
    chosen = cases_of_the_map(hidden, by_patient(truth, patients)[1], truth)
    of = None if patients is None else patients[chosen]
    common = fit_map(score[chosen], truth[chosen], task=task, patients=of)
    asked = Question("yes", truth, np.asarray(expit(score)), np.ones(len(truth)))
    chance = require_better_than_chance([asked], task=task, patients=patients)
    return Calibrator(
        task=task,
        map=common,
        shifts=fit_shifts(common, hidden, truth, is_mixed=lack_something(hidden, chosen)),
        n_cases=len(truth),
        n_events=int(truth.sum()),
        chance_p=chance,
    )


def with_nested_loss(
    calibrator: Calibrator,
    logits: Array,
    labels: NDArray[np.int64],
    hidden: Mapping[Subset, Array],
    patients: Patients | None = None,
) -> Calibrator:
    """Add what choice and fit lose on patients left out of both; takes what the map was fitted on.

    See :func:`nested_loss` and, for the parameters, :func:`fit_calibrator`.
    """
    truth = np.asarray(labels, dtype=np.float64)
    chosen = cases_of_the_map(hidden, by_patient(truth, patients)[1], truth)
    of = None if patients is None else patients[chosen]
    found = nested_loss(np.asarray(logits, dtype=np.float64)[chosen], truth[chosen], of)
    return calibrator.model_copy(update={"nested": found})


def with_interval(
    calibrator: Calibrator,
    members: Array,
    labels: Array,
    hidden: Mapping[Subset, Array],
    patients: Patients | None = None,
) -> Calibrator:
    """Add what intervals take, from the calibration cases; see :func:`fit_interval`."""
    found = fit_interval(calibrator, members, labels, hidden, patients)
    return calibrator.model_copy(update={"interval": found})


def with_thresholds(
    calibrator: Calibrator,
    probability: Array,
    labels: NDArray[np.int64],
    goals: Iterable[OperatingGoal],
    apart: Mapping[Subset, Array],
    groups: Iterable[Group] = (),
) -> Calibrator:
    """Add conformal and operating thresholds, set on patients the map was not fitted on.

    Parameters
    ----------
    probability : shape (n,)
        Calibrated, with whatever modalities each case has.
    apart
        The same of the same cases with only some modalities read; NaN where a case lacks one.
    groups
        Whose sets have thresholds of their own where there are enough cases.
    """
    return calibrator.model_copy(
        update={
            "conformal": fit_conformal(probability, labels, coverage=COVERAGE),
            "conformal_apart": tuple(_apart(labels, apart)),
            "conformal_groups": tuple(_by_group(probability, labels, groups)),
            "operating": tuple(
                fit_operating_point(
                    probability, labels, goal=goal.goal, at_least=goal.at_least,
                    confidence=goal.confidence,
                )
                for goal in goals
            ),
        }
    )  # fmt: skip


def _by_group(
    probability: Array, labels: NDArray[np.int64], groups: Iterable[Group]
) -> Iterator[GroupThresholds]:
    for group in groups:
        own = group.members
        found = fit_conformal(probability[own], labels[own], coverage=COVERAGE)
        if found is not None:
            yield GroupThresholds(value=group.value, group=group.words, **found.model_dump())


def _apart(
    labels: NDArray[np.int64], probability: Mapping[Subset, Array]
) -> Iterator[SubsetThresholds]:
    for present, values in probability.items():
        known = ~np.isnan(values)
        found = fit_conformal(values[known], labels[known], coverage=COVERAGE)
        if found is not None:
            yield SubsetThresholds(present=present, **found.model_dump())

"""Calibration of tasks of several classes, levels or horizons: one slope for all steps."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.calibration.chance import require_better_than_chance
from pipeline.calibration.choose import (
    Patients,
    by_patient,
    left_out_losses,
    require_of_each,
    simplest,
)
from pipeline.calibration.fit import LEAST_SLOPE, MAX_SLOPE, SLOPE_SD
from pipeline.calibration.questions import questions
from pipeline.calibration.steps import (
    moved_steps,
    outcome_probabilities,
    spans,
    step_kind,
    step_losses,
)
from pipeline.calibration.subsets import (
    MIN_CASES,
    PRIOR_SD_INTERCEPT,
    PRIOR_SD_SLOPE,
    Subset,
    cases_of_the_map,
    is_common,
    lack_something,
)
from pipeline.errors import CalibrationError
from schemas.calibration import StepCalibrator, StepMap, StepMethod, StepShift
from schemas.task import Task

Array = NDArray[np.float64]


def fit_step_calibrator(
    task: Task,
    steps: Array,
    labels: Array,
    hidden: Mapping[Subset, Array],
    patients: Patients | None = None,
) -> StepCalibrator:
    """Fit the common map and the subsets' shifts on calibration cases.

    A temperature; where left-out cases are then predicted better by more than a standard error, an
    intercept common to all cumulative logits or spans beside it, or one for each step. The slope is
    common and what is added is the same for all cases, so no case's levels can come out of order
    if one's are in order, and a risk over spans never falls whatever each span's own.

    Parameters
    ----------
    steps : shape (n, S), log-odds
        With whatever modalities each case has.
    labels : shape (n, L)
        Without NaN.
    hidden
        Steps of the same cases with only some modalities read; NaN where a case lacks one.
    patients : shape (n,)
        Whose cases they are; None if each is another's.

    Raises
    ------
    CalibrationError
        If an outcome has too few patients, a step is not finite, or the steps do not rank the cases
        better than chance.
    """
    groups = outcome_groups(task, labels)
    highest, of = by_patient(groups, patients)
    require_of_each(outcome_names(task), highest, task=task.name)
    if not np.isfinite(steps).all():
        msg = f"task {task.name}: a calibration logit is not finite"
        raise CalibrationError(msg)
    chosen = cases_of_the_map(hidden, of, groups)
    whose = None if patients is None else patients[chosen]
    common = _common_map(task, steps[chosen], labels[chosen], whose)
    asked = questions(task, outcome_probabilities(task.kind, steps), labels)
    chance = require_better_than_chance(asked, task=task.name, patients=patients)
    counts = np.bincount(groups)
    n_events = int(counts[1]) if task.kind == "survival" else int(len(groups) - counts.max())
    return StepCalibrator(
        task=task.name, kind=step_kind(task), map=common,
        shifts=_shifts(task, common, hidden, labels, is_mixed=lack_something(hidden, chosen)),
        n_cases=len(labels), n_events=n_events, chance_p=chance,
    )  # fmt: skip


def _common_map(task: Task, steps: Array, labels: Array, patients: Patients | None) -> StepMap:
    """Choose a method by cross-validated loss, fit it, and refuse a map that ranks nothing."""

    def losses_without(
        method: StepMethod, kept: NDArray[np.int64], left_out: NDArray[np.int64]
    ) -> Array:
        fitted = fit_step_map(task, method, steps[kept], labels[kept])
        return step_losses(task, moved_steps(fitted, steps[left_out]), labels[left_out])

    groups = outcome_groups(task, labels)
    losses = {
        method: left_out_losses(groups, partial(losses_without, method), patients)
        for method in _methods(task)
    }
    fitted = fit_step_map(task, simplest(losses), steps, labels)
    if not fitted.slope > LEAST_SLOPE:
        msg = (
            f"task {task.name}: the score does not rank the calibration cases ({fitted.method} "
            f"slope {fitted.slope:.2f}): use a larger cohort"
        )
        raise CalibrationError(msg)
    return fitted


def outcome_groups(task: Task, labels: Array) -> NDArray[np.int64]:
    """Return each case's class; of ``survival`` whether the event came by the last horizon."""
    values = spans(task, labels)[0].any(1) if task.kind == "survival" else labels[:, 0]
    return np.asarray(values, dtype=np.int64)


def outcome_names(task: Task) -> tuple[str, ...]:
    """Return what :func:`outcome_groups` tells apart, in its order."""
    names = {"survival": ("no event", "event"), "binary": ("no", "yes")}
    return names.get(task.kind, task.classes)


def fit_step_map(task: Task, method: StepMethod, steps: Array, labels: Array) -> StepMap:
    """Fit one method by likelihood, the slope with a weak prior; see ``fit.SLOPE_SD``."""
    free = {"temperature": 0, "platt": 1, "vector": steps.shape[1]}[method]
    slope, intercepts = _fitted(task, steps, labels, free=free, has_prior=False)
    return StepMap(method=method, slope=slope, intercepts=intercepts)


def _methods(task: Task) -> tuple[StepMethod, ...]:
    # What is added to all classes changes nothing.
    if task.kind == "multiclass":
        return ("temperature", "vector")
    return ("temperature", "platt", "vector")


def _shifts(
    task: Task,
    common: StepMap,
    hidden: Mapping[Subset, Array],
    labels: Array,
    *,
    is_mixed: bool,
) -> tuple[StepShift, ...]:
    """Fit slope and intercepts for each subset of the modalities, pulled towards no change.

    That of all modalities has some only if the common map is of other cases as well (`is_mixed`).
    """
    shifts = []
    for present, steps in hidden.items():
        known = ~np.isnan(steps).any(1)
        if is_common(present, is_mixed=is_mixed) or not known.sum() >= MIN_CASES:
            continue
        moved = moved_steps(common, steps[known])
        # A level that no such case has would leave its threshold to its neighbours.
        has_all = len(set(outcome_groups(task, labels[known]))) == len(task.outcomes)
        free = 1 if task.kind == "ordinal" and not has_all else moved.shape[1]
        slope, intercepts = _fitted(task, moved, labels[known], free=free, has_prior=True)
        shifts.append(
            StepShift(present=present, slope=slope, intercepts=intercepts, n_cases=int(known.sum()))
        )
    return tuple(shifts)


def _fitted(
    task: Task, steps: Array, labels: Array, *, free: int, has_prior: bool
) -> tuple[float, tuple[float, ...]]:
    """Return slope and one intercept a step, so many of them free; those of classes centred.

    The prior is that of the binary tasks' shifts: normal around a slope of 1 and intercepts of 0.
    """
    n_steps = steps.shape[1]

    def spread(p: Array) -> Array:
        return np.resize(p[1:], n_steps) if free else np.zeros(n_steps)

    def loss(p: Array) -> float:
        total = step_losses(task, p[0] * steps + spread(p), labels).sum()
        if has_prior:
            slope, intercepts = (p[0] - 1.0) / PRIOR_SD_SLOPE, p[1:] / PRIOR_SD_INTERCEPT
            return float(total + (slope**2 + (intercepts**2).sum()) / 2.0)
        return float((total + ((p[0] - 1.0) / SLOPE_SD) ** 2 / 2.0) / len(labels))

    start = np.array([1.0] + [0.0] * free)
    bounds = [(LEAST_SLOPE / 2.0, MAX_SLOPE), *[(None, None)] * free]
    found = minimize(loss, start, bounds=bounds, method="L-BFGS-B").x
    intercepts = spread(found)
    if task.kind == "multiclass":
        intercepts = intercepts - intercepts.mean()
    return float(found[0]), tuple(intercepts.tolist())

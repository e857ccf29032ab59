"""Several log-odds to the probabilities of classes, levels or horizons.

Shapes: n cases, S steps, O outcomes, L label columns (two for survival).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from pipeline.calibration.maps import MODALITIES, what_is_there
from schemas.calibration import StepCalibrator, StepKind, StepMap, StepShift
from schemas.task import Task

LEAST = 1e-12
"""Of a probability in a logarithm."""

Array = NDArray[np.float64]


def step_kind(task: Task) -> StepKind:
    """Return the kind of a task that is not binary."""
    if task.kind == "binary":
        msg = f"task {task.name} is binary: it has one step"
        raise ValueError(msg)
    return task.kind


def step_probabilities(
    calibrator: StepCalibrator, steps: Array, present: Iterable[str] = MODALITIES
) -> Array:
    """Return calibrated probabilities, shape (n, O), of cases with the same modalities.

    Parameters
    ----------
    steps : shape (n, S), log-odds
        As the network gives them.
    present
        Those modalities.
    """
    moved = moved_steps(calibrator.map, steps)
    shift = step_shift_for(calibrator, present)
    moved = moved if shift is None else moved_steps(shift, moved)
    return outcome_probabilities(calibrator.kind, moved)


def moved_steps(fitted: StepMap | StepShift, steps: Array) -> Array:
    """Return slope x steps + intercepts, shape (n, S)."""
    return np.asarray(fitted.slope * steps + np.array(fitted.intercepts))


def step_shift_for(calibrator: StepCalibrator, present: Iterable[str]) -> StepShift | None:
    """Return what is changed for cases with these modalities; None if nothing was fitted."""
    wanted = set(present)
    return next((shift for shift in calibrator.shifts if set(shift.present) == wanted), None)


def steps_in_words(calibrator: StepCalibrator, present: Iterable[str]) -> str:
    """Say how steps become probabilities for a case with these modalities."""
    said = f"{calibrator.map.method}, fitted on {calibrator.n_cases} cases"
    if step_shift_for(calibrator, present) is None:
        return said
    return f"{said}; adjusted for cases {what_is_there(present)}"


def outcome_probabilities(kind: str, steps: Array) -> Array:
    """Return what steps mean.

    Returns
    -------
    shape (n, O)
        ``binary``: of a yes. ``multiclass`` and ``ordinal``: summing to 1. ``survival``: of an
        event up to each horizon; never falling.
    """
    match kind:
        case "binary":
            return np.asarray(expit(steps))
        case "multiclass":
            return np.asarray(softmax(steps, axis=1))
        case "survival":
            return np.asarray(1.0 - np.cumprod(expit(-steps), axis=1))
    end = np.full((len(steps), 1), np.inf)
    edges = np.hstack([end, steps, -end])
    # The difference of two sigmoids, taken on the side where both are small.
    is_high = (edges[:, :-1] + edges[:, 1:]) > 0
    upper, lower = expit(edges[:, :-1]), expit(edges[:, 1:])
    return np.where(is_high, expit(-edges[:, 1:]) - expit(-edges[:, :-1]), upper - lower)


def step_losses(task: Task, steps: Array, labels: Array) -> Array:
    """Return the negative log-likelihood of each case, nats, shape (n,).

    Parameters
    ----------
    labels : shape (n, L)
        Without NaN. For ``survival`` days and whether an event ended them: a case counts for the
        spans that it was seen to live through, or had the event in.
    """
    if task.kind == "survival":
        had_event, is_counted = spans(task, labels)
        loss = np.logaddexp(0.0, steps) - had_event * steps
        return np.asarray((loss * is_counted).sum(1))
    level = labels[:, :1].astype(np.int64)
    if task.kind == "multiclass":
        return np.asarray(-np.take_along_axis(log_softmax(steps, axis=1), level, 1)[:, 0])
    p = np.take_along_axis(outcome_probabilities(task.kind, steps), level, 1)[:, 0]
    return np.asarray(-np.log(np.maximum(p, LEAST)))


def spans(task: Task, labels: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return in which span each event came, and which spans are known of, both (n, horizons)."""
    days, event = labels[:, :1], labels[:, 1:] > 0.5
    ends = np.array(task.horizons_days)
    starts = np.array([-1.0, *task.horizons_days[:-1]])
    had_event = event & (days > starts) & (days <= ends)
    return had_event, had_event | ((days >= ends) & ~had_event)

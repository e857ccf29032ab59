"""Which calibration map a task gets: the simplest that predicts new cases as well as any."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

from pipeline.calibration.fit import CANDIDATES, MIN_OF_EACH_CLASS, log_loss_of
from pipeline.errors import CalibrationError
from schemas.calibration import CalibrationMap, Method

STANDARD_ERRORS = 0.5
"""What a further parameter must gain. Where the prevalence has shifted, a whole one keeps
temperature too often with few cases: 1 to 1.5 points worse at 50 to 200. Where it has not, half of
one costs 0.2 to 0.3 points there; at 1,000 neither matters (benchmarks/calibration.py)."""
N_FOLDS = 5
N_REPEATS = 4
ISOTONIC_CASES, ISOTONIC_EVENTS = 1000, 200

Name = TypeVar("Name", bound=str)
Array = NDArray[np.float64]


def fit_map(logits: ArrayLike, labels: ArrayLike, *, task: str) -> CalibrationMap:
    """Choose a method by cross-validated log loss and fit it on all cases.

    A method with more parameters is taken only if its loss on left-out folds is lower by more than
    ``STANDARD_ERRORS`` of the paired difference. Isotonic regression is tried only from
    ``ISOTONIC_CASES`` cases with ``ISOTONIC_EVENTS`` of the rarer class on.

    Parameters
    ----------
    logits : shape (n,), log-odds
        Of patients whom neither training nor early stopping has seen.
    labels : shape (n,), 0 or 1
    task
        For the message.

    Raises
    ------
    CalibrationError
        If there are fewer than ``MIN_OF_EACH_CLASS`` cases of either class, a logit is not
        finite, or the score carries no or reversed information.
    """
    score, truth = checked(logits, labels, task=task)

    def losses_without(name: Method, kept: NDArray[np.int64], left_out: NDArray[np.int64]) -> Array:
        fitted = CANDIDATES[name](score[kept], truth[kept])
        return log_loss_of(fitted, score[left_out], truth[left_out])

    try:
        losses = {
            name: left_out_losses(truth, partial(losses_without, name)) for name in _allowed(truth)
        }
        return CANDIDATES[simplest(losses)](score, truth)
    except CalibrationError as error:
        msg = f"task {task}: {error}"
        raise CalibrationError(msg) from error


def checked(
    logits: ArrayLike, labels: ArrayLike, *, task: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as arrays.

    Raises
    ------
    CalibrationError
        If a class has too few cases, or a logit is not finite.
    """
    score, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    n_events = int(truth.sum())
    if not min(n_events, len(truth) - n_events) >= MIN_OF_EACH_CLASS:
        msg = (
            f"task {task}: {n_events} positive of {len(truth)} calibration cases; each class "
            f"needs at least {MIN_OF_EACH_CLASS}: use a larger cohort"
        )
        raise CalibrationError(msg)
    if not np.isfinite(score).all():
        msg = f"task {task}: a calibration logit is not finite"
        raise CalibrationError(msg)
    return score, truth


def _allowed(labels: NDArray[np.float64]) -> list[Method]:
    rarer = min(labels.sum(), len(labels) - labels.sum())
    is_large = len(labels) >= ISOTONIC_CASES and rarer >= ISOTONIC_EVENTS
    return [name for name in CANDIDATES if name != "isotonic" or is_large]


def left_out_losses(
    groups: NDArray[Any], losses_without: Callable[[NDArray[np.int64], NDArray[np.int64]], Array]
) -> Array:
    """Return each case's loss under maps fitted without it, mean over repeats, shape (n,).

    Parameters
    ----------
    groups : shape (n,)
        Each fold gets its share of each.
    losses_without
        Takes the cases to fit on and those left out; returns the losses of the latter.
    """
    total = np.zeros(len(groups))
    for seed in range(N_REPEATS):
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        for kept, left_out in folds.split(groups, groups):
            total[left_out] += losses_without(kept, left_out)
    return total / N_REPEATS


def simplest(losses: dict[Name, NDArray[np.float64]]) -> Name:
    """Walk from simple to complex; move on only for a gain of ``STANDARD_ERRORS``."""
    names = list(losses)
    chosen = names[0]
    for name in names[1:]:
        gain = losses[chosen] - losses[name]
        if gain.mean() > STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = name
    return chosen

"""Which calibration map a task gets: the simplest that predicts new cases as well as any."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

from pipeline.calibration.fit import CANDIDATES, MIN_OF_EACH_CLASS, log_loss_of, ranks
from pipeline.errors import CalibrationError
from schemas.calibration import CalibrationMap, Method

STANDARD_ERRORS = 0.5
"""What a further parameter must gain. Where the prevalence has shifted, a whole one keeps
temperature too often with few cases: 1 to 1.5 points worse at 50 to 200. Where it has not, half of
one costs 0.2 to 0.3 points there; at 1,000 neither matters (benchmarks/calibration.py)."""
N_FOLDS = 5
N_REPEATS = 4
FREE_FORMS: tuple[Method, ...] = ("isotonic", "venn_abers")
"""They follow any rise, and chance as well where cases are few."""
MANY_CASES, MANY_EVENTS = 1000, 200

Name = TypeVar("Name", bound=str)
Array = NDArray[np.float64]
Patients = NDArray[np.str_]


def fit_map(
    logits: ArrayLike, labels: ArrayLike, *, task: str, patients: Patients | None = None
) -> CalibrationMap:
    """Choose a method by cross-validated log loss and fit it on all cases.

    A method with more parameters is taken only if its loss on left-out folds is lower by more than
    ``STANDARD_ERRORS`` of the paired difference. Isotonic regression and a Venn-Abers predictor
    are tried only from ``MANY_CASES`` cases with ``MANY_EVENTS`` of the rarer class on.

    Parameters
    ----------
    logits : shape (n,), log-odds
        Of patients whom neither training nor early stopping has seen.
    labels : shape (n,), 0 or 1
    task
        For the message.
    patients : shape (n,)
        Whose cases they are: a patient's are left out together. None if each is another's.

    Raises
    ------
    CalibrationError
        If there are fewer than ``MIN_OF_EACH_CLASS`` patients of either class, a logit is not
        finite, or the score carries no or reversed information.
    """
    score, truth = checked(logits, labels, task=task, patients=patients)
    fitted = chosen_map(score, truth, patients)
    if not ranks(fitted):
        msg = f"task {task}: the score does not rank the calibration cases ({fitted.method} map)"
        raise CalibrationError(msg)
    return fitted


def chosen_map(score: Array, truth: Array, patients: Patients | None) -> CalibrationMap:
    """Choose and fit as :func:`fit_map` does, without its checks; arrays of shape (n,)."""

    def losses_without(name: Method, kept: NDArray[np.int64], left_out: NDArray[np.int64]) -> Array:
        fitted = CANDIDATES[name](score[kept], truth[kept])
        return log_loss_of(fitted, score[left_out], truth[left_out])

    losses = {
        name: left_out_losses(truth, partial(losses_without, name), patients)
        for name in _allowed(truth)
    }
    return CANDIDATES[simplest(losses)](score, truth)


def chosen_out_of_bag(score: Array, truth: Array, drawn: NDArray[np.int64]) -> CalibrationMap:
    """Fit each method on a bootstrap; return the one chosen by the loss of what it left out.

    Parameters
    ----------
    score, truth : shape (n,)
    drawn
        The places of the cases in the bootstrap.
    """
    left_out = np.setdiff1d(np.arange(len(score)), drawn)
    maps = {name: CANDIDATES[name](score[drawn], truth[drawn]) for name in _allowed(truth[drawn])}
    losses = {
        name: log_loss_of(fitted, score[left_out], truth[left_out]) for name, fitted in maps.items()
    }
    return maps[simplest(losses)]


def checked(
    logits: ArrayLike, labels: ArrayLike, *, task: str, patients: Patients | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as arrays.

    Raises
    ------
    CalibrationError
        If a class has too few patients, or a logit is not finite.
    """
    score, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    require_of_each(("no", "yes"), by_patient(truth, patients)[0], task=task)
    if not np.isfinite(score).all():
        msg = f"task {task}: a calibration logit is not finite"
        raise CalibrationError(msg)
    return score, truth


def _allowed(labels: NDArray[np.float64]) -> list[Method]:
    rarer = min(labels.sum(), len(labels) - labels.sum())
    is_large = len(labels) >= MANY_CASES and rarer >= MANY_EVENTS
    return [name for name in CANDIDATES if name not in FREE_FORMS or is_large]


def left_out_losses(
    groups: NDArray[Any],
    losses_without: Callable[[NDArray[np.int64], NDArray[np.int64]], Array],
    patients: Patients | None = None,
    *,
    n_repeats: int = N_REPEATS,
) -> Array:
    """Return each case's loss under maps fitted without it, mean over repeats, shape (n,).

    Parameters
    ----------
    groups : shape (n,)
        Each fold gets its share of each.
    losses_without
        Takes the cases to fit on and those left out; returns the losses of the latter.
    patients : shape (n,)
        Whose cases they are; None if each is another's.
    n_repeats
        How often the cases are divided anew.
    """
    total = np.zeros(len(groups))
    highest, of = by_patient(groups, patients)
    for seed in range(n_repeats):
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        for _, chosen in folds.split(highest, highest):
            is_out = np.isin(of, chosen)
            left_out = np.flatnonzero(is_out)
            total[left_out] += losses_without(np.flatnonzero(~is_out), left_out)
    return total / n_repeats


def require_of_each(names: Sequence[str], groups: NDArray[Any], *, task: str) -> None:
    """Refuse calibration patients of whom too few had one of the outcomes.

    Parameters
    ----------
    names
        Of the outcomes.
    groups : shape (n,)
        Number of each patient's outcome, the highest of several studies.

    Raises
    ------
    CalibrationError
        If fewer than ``MIN_OF_EACH_CLASS`` had it.
    """
    counts = np.bincount(groups.astype(np.int64), minlength=len(names))
    few = [f"{name} has {n}" for name, n in zip(names, counts, strict=True)
           if not n >= MIN_OF_EACH_CLASS]  # fmt: skip
    if few:
        msg = (
            f"task {task}: of {len(groups)} calibration patients {', '.join(few)}; each "
            f"outcome needs at least {MIN_OF_EACH_CLASS}: use a larger cohort"
        )
        raise CalibrationError(msg)


def by_patient(
    groups: NDArray[Any], patients: Patients | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the highest group of each patient's cases, and each case's patient by number.

    Parameters
    ----------
    groups : shape (n,)
    patients : shape (n,)
        None if each case is another patient's.
    """
    if patients is None:
        return groups, np.arange(len(groups))
    _, of = np.unique(patients, return_inverse=True)
    highest = np.full(of.max() + 1, groups.min())
    np.maximum.at(highest, of, groups)
    return highest, of


def simplest(losses: dict[Name, NDArray[np.float64]]) -> Name:
    """Walk from simple to complex; move on only for a gain of ``STANDARD_ERRORS``."""
    names = list(losses)
    chosen = names[0]
    for name in names[1:]:
        gain = losses[chosen] - losses[name]
        if gain.mean() > STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = name
    return chosen

"""Inductive Venn-Abers predictors (Vovk, Petej and Fedorova, 2015)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.isotonic import isotonic_regression

from schemas.calibration import VennAbers

MIN_CASES = 50


def fit_venn_abers(odds: ArrayLike, labels: ArrayLike) -> VennAbers | None:
    """Compute both answers at every calibration score; None below ``MIN_CASES`` cases.

    Between two calibration scores a new case's answers are those of an isotonic fit with the new
    case between them; the answers stored at a knot are those for a case with that very score,
    which bound the ones between the knots.

    Parameters
    ----------
    odds : shape (n,)
        Calibrated log-odds of calibration cases.
    labels : shape (n,), 0 or 1
    """
    score, truth = np.asarray(odds, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if len(score) < MIN_CASES:
        return None
    knots, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=truth).astype(np.float64)
    answers = [_answers(sums, counts.astype(np.float64), label) for label in (0.0, 1.0)]
    return VennAbers(
        knots=tuple(knots.tolist()),
        if_negative=tuple(answers[0].tolist()),
        if_positive=tuple(answers[1].tolist()),
    )


def _answers(
    sums: NDArray[np.float64], counts: NDArray[np.float64], label: float
) -> NDArray[np.float64]:
    """Add one case of this label at each knot in turn and read the isotonic fit there."""
    answers = np.empty(len(sums))
    for place in range(len(sums)):
        weights = counts.copy()
        weights[place] += 1.0
        totals = sums.copy()
        totals[place] += label
        answers[place] = isotonic_regression(totals / weights, sample_weight=weights)[place]
    return answers


def venn_abers_range(
    fitted: VennAbers, odds: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both answers at a score: the least of the neighbouring knots', and the most."""
    x = np.asarray(odds, dtype=np.float64)
    knots = np.asarray(fitted.knots)
    right = np.clip(np.searchsorted(knots, x), 0, len(knots) - 1)
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 1)
    low, high = np.asarray(fitted.if_negative), np.asarray(fitted.if_positive)
    return np.minimum(low[left], low[right]), np.maximum(high[left], high[right])


def merged_probability(fitted: VennAbers, odds: ArrayLike) -> NDArray[np.float64]:
    """Return p1 / (1 - p0 + p1), the minimax merger under log loss."""
    low, high = venn_abers_range(fitted, odds)
    return np.asarray(high / (1.0 - low + high))


def widened(
    low: NDArray[np.float64], high: NDArray[np.float64], odds: ArrayLike, half_width: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the range that holds both answers and the probability, widened in log-odds."""
    at = np.asarray(odds, dtype=np.float64)
    half = np.asarray(half_width, dtype=np.float64)
    below = np.maximum(at - _log_odds(low), 0.0)
    above = np.maximum(_log_odds(high) - at, 0.0)
    return (
        np.asarray(expit(at - np.hypot(below, half))),
        np.asarray(expit(at + np.hypot(above, half))),
    )


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(bounded / (1.0 - bounded)))

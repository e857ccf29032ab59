"""Weighted statistics of probabilities, for many sets of weights at once.

A patient bootstrap is a set of whole-number weights: how often each patient was drawn. Shapes: n
cases, B sets of weights.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

N_BOOTSTRAP = 1000
_MOST_KEPT = 10_000
"""Patients of whom draws are kept: 20 MB."""
_EPS = 1e-12
_NEWTON_STEPS = 25
_CLOSE = 1e-9
_MAX_STEP = 0.5
"""Of a Newton step: a full one from an overconfident score overshoots for good."""

Array = NDArray[np.float64]
Statistic = Callable[[Array, Array, Array], Array]
"""Labels (n,), probabilities (n,) and weights (B, n) to values (B,); NaN where undefined."""


def patient_weights(patients: NDArray[np.str_], *, seed: int = 0) -> Array:
    """Return ones, then ``N_BOOTSTRAP`` draws of patients with replacement, shape (1 + B, n)."""
    _, code = np.unique(patients, return_inverse=True)
    weights = np.ones((1 + N_BOOTSTRAP, len(code)))
    n = int(code.max()) + 1
    draw = _kept_draw if n <= _MOST_KEPT else _draw
    weights[1:] = draw(n, seed)[:, code]
    return weights


def _draw(n: int, seed: int) -> NDArray[np.uint16]:
    """Return how often each of n is drawn, shape (B, n)."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=N_BOOTSTRAP)
    counts = drawn.astype(np.uint16)
    counts.setflags(write=False)
    return counts


_kept_draw = lru_cache(maxsize=4)(_draw)
"""One cohort is judged in many ways."""


def auroc(labels: Array, probability: Array, weights: Array) -> Array:
    """Return the chance that a positive has the higher probability, ties counting half."""
    positive, negative = _by_value(labels, probability, weights)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2.0)).sum(1)
    pairs = positive.sum(1) * negative.sum(1)
    return np.where(pairs > 0, wins / np.maximum(pairs, _EPS), np.nan)


def auprc(labels: Array, probability: Array, weights: Array) -> Array:
    """Return average precision: precision at each threshold, weighted by the recall it adds."""
    positive, negative = (part[:, ::-1] for part in _by_value(labels, probability, weights))
    hits, called = np.cumsum(positive, 1), np.cumsum(positive + negative, 1)
    precision = hits / np.maximum(called, _EPS)
    total = positive.sum(1)
    return np.where(total > 0, (precision * positive).sum(1) / np.maximum(total, _EPS), np.nan)


def brier(labels: Array, probability: Array, weights: Array) -> Array:
    """Return the mean squared difference."""
    return _mean((probability - labels) ** 2, weights)


def log_loss(labels: Array, probability: Array, weights: Array) -> Array:
    """Return the mean log loss, nats."""
    odds = log_odds(probability)
    return _mean(np.logaddexp(0.0, odds) - labels * odds, weights)


def observed_to_expected(labels: Array, probability: Array, weights: Array) -> Array:
    """Return events over the sum of probabilities."""
    return np.asarray((weights @ labels) / np.maximum(weights @ probability, _EPS))


def calibration_slope(labels: Array, probability: Array, weights: Array) -> Array:
    """Return the slope of the logistic regression of the outcome on the log-odds."""
    return _line(labels, log_odds(probability), weights)[:, 1]


def calibration_intercept(labels: Array, probability: Array, weights: Array) -> Array:
    """Return the intercept of the same regression with its slope held at 1."""
    odds = log_odds(probability)
    shift = np.zeros(len(weights))
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(odds + shift[:, None])
        gradient = (weights * (labels - p)).sum(1)
        step = gradient / np.maximum((weights * p * (1.0 - p)).sum(1), _EPS)
        shift += np.clip(step, -_MAX_STEP, _MAX_STEP)
        if not np.abs(step).max() > _CLOSE:
            break
    return shift


def log_odds(probability: Array) -> Array:
    """Return log-odds of probabilities, bounded away from infinity."""
    p = np.clip(probability, _EPS, 1.0 - _EPS)
    return np.asarray(np.log(p) - np.log1p(-p))


def _line(labels: Array, odds: Array, weights: Array) -> Array:
    """Fit intercept and slope by Newton's method for each set of weights, shape (B, 2)."""
    design = np.stack([np.ones_like(odds), odds], axis=1)
    found = np.tile([0.0, 1.0], (len(weights), 1))
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(found @ design.T)
        gradient = (weights * (labels - p)) @ design
        curvature = np.einsum("bn,ni,nj->bij", weights * p * (1.0 - p), design, design)
        curvature += 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        found = found + np.clip(step, -_MAX_STEP, _MAX_STEP)
        if not np.abs(step).max() > _CLOSE:
            break
    return found


def _by_value(labels: Array, probability: Array, weights: Array) -> tuple[Array, Array]:
    """Sum the weights of positives and negatives at each distinct probability, rising."""
    values, place = np.unique(probability, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    sums = [
        np.add.reduceat((weights * part)[:, order], starts, axis=1)
        for part in (labels, 1.0 - labels)
    ]
    return sums[0], sums[1]


def _mean(values: Array, weights: Array) -> Array:
    return np.asarray((weights @ values) / weights.sum(1))


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(x / 2.0)))

"""Scores against the truth: excess AUROC, and what one network gains on another, paired."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import with_interval
from pipeline.calibration.statistics import auroc, patient_weights

Scores = NDArray[np.float64]


def judged(outcomes: Scores, scores: Scores, limit: Scores) -> dict[str, float]:
    """Return one task's AUROC, that of the limit, the excess, and the mean distance from it.

    Parameters
    ----------
    outcomes, scores, limit : shape (n,)
        What came of it, the probability to judge, and that given all that is recorded.
    """
    once = np.ones((1, len(outcomes)))
    own, best = (float(auroc(outcomes, values, once)[0]) for values in (scores, limit))
    error = float(np.abs(scores - limit).mean())
    return {"auroc": own, "limit": best, "excess": (own - 0.5) / (best - 0.5), "error": error}


def gain(outcomes: Scores, ours: Scores, theirs: Scores) -> dict[str, Any]:
    """Return the difference of AUROC, mean over tasks, with its paired 95 % interval, (n, K)."""
    weights = _weights(len(outcomes))
    value, *interval = with_interval(
        _mean_auroc(outcomes, ours, weights) - _mean_auroc(outcomes, theirs, weights)
    )
    return {"value": value, "interval": interval}


def mean_excess(outcomes: Scores, scores: Scores, limit: Scores) -> tuple[float, list[float]]:
    """Return the excess AUROC, mean over tasks, with its 95 % interval over patients, (n, K)."""
    weights = _weights(len(outcomes))
    excess = [
        (auroc(y, own, weights) - 0.5) / (auroc(y, best, weights) - 0.5)
        for y, own, best in zip(outcomes.T, scores.T, limit.T, strict=True)
    ]
    value, *interval = with_interval(np.mean(excess, axis=0))
    return value, interval


def _mean_auroc(outcomes: Scores, scores: Scores, weights: Scores) -> Scores:
    tasks = zip(outcomes.T, scores.T, strict=True)
    return np.asarray(np.mean([auroc(y, own, weights) for y, own in tasks], axis=0))


def _weights(n: int) -> Scores:
    return patient_weights(np.arange(n).astype(str))

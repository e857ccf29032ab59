"""Thresholds whose sensitivity or positive predictive value is guaranteed.

Exact binomial tests along a fixed sequence of thresholds (Angelopoulos et al., "Learn then test",
2021): with the stated confidence over the draw of the patients, the property holds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from pipeline.calibration.reliability import binomial_bounds
from schemas.calibration import OperatingPoint
from schemas.doubt import Doubt
from schemas.metrics import OperatingResult
from schemas.task import GOAL_NAMES, Goal

N_STEPS = 200
"""Candidate thresholds; few enough that rounding to them costs little."""
BROKEN_P = 0.001
"""Of so few cases that are called right, if the property held."""


def fit_operating_point(
    probability: ArrayLike,
    labels: ArrayLike,
    *,
    goal: Goal,
    at_least: float,
    confidence: float,
) -> OperatingPoint:
    """Find the threshold that guarantees most while doing what is asked.

    For sensitivity thresholds are tried from the lowest up, since every step up can only lose
    cases: the highest that still passes is taken. For the positive predictive value from the
    highest down, the lowest before the first failure is taken, beginning where enough cases are
    called for a pass to be possible; that place depends on scores alone. Stopping at the first
    failure keeps the error of the whole sequence at that of one test.

    Parameters
    ----------
    probability : shape (n,)
        Calibrated, of patients on whom the map was not fitted.
    labels : shape (n,), 0 or 1
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(labels)
    grid = np.linspace(0.0, 1.0, N_STEPS + 1)
    threshold = None
    for candidate in grid if goal == "sensitivity" else grid[::-1]:
        hits, n = _counts(p, y, float(candidate), goal)
        if goal == "ppv" and not _passes(n, n, at_least, 1.0 - confidence):
            continue
        if not _passes(hits, n, at_least, 1.0 - confidence):
            break
        threshold = float(candidate)
    return OperatingPoint(
        goal=goal, at_least=at_least, confidence=confidence, threshold=threshold,
        n_cases=len(y), n_events=int(y.sum()),
    )  # fmt: skip


def judge_operating_points(
    points: Sequence[OperatingPoint], probability: ArrayLike, labels: ArrayLike
) -> tuple[OperatingResult, ...]:
    """Say what the thresholds do on other patients than those they were set on.

    Parameters
    ----------
    points
        Those without a threshold, or for which no case counts, are left out.
    probability : shape (n,)
        Calibrated.
    labels : shape (n,), 0 or 1
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(labels)
    found = []
    for point in points:
        if point.threshold is None:
            continue
        n_right, n = _counts(p, y, point.threshold, point.goal)
        if n == 0:
            continue
        lower, upper = binomial_bounds(n_right, n)
        found.append(
            OperatingResult(
                goal=point.goal, at_least=point.at_least, threshold=point.threshold, n_cases=n,
                n_right=n_right, lower=lower, upper=upper,
            )
        )  # fmt: skip
    return tuple(found)


def broken_promises(results: Sequence[OperatingResult]) -> tuple[Doubt, ...]:
    """Say which thresholds do less than promised, where chance hardly could be the reason."""
    return tuple(
        Doubt(
            about="threshold",
            words=f"the threshold of {one.threshold:.1%} has a {GOAL_NAMES[one.goal]} of "
            f"{one.share:.0%} in {one.n_cases} cases ({one.lower:.0%} to "
            f"{one.upper:.0%}), {one.at_least:.0%} were promised",
        )
        for one in results
        if binom.cdf(one.n_right, one.n_cases, one.at_least) < BROKEN_P
    )


def _counts(
    p: NDArray[np.float64], y: NDArray[np.int64], threshold: float, goal: Goal
) -> tuple[int, int]:
    is_called = p >= threshold
    hits = int((is_called & (y == 1)).sum())
    return hits, int((y == 1).sum()) if goal == "sensitivity" else int(is_called.sum())


def _passes(hits: int, n: int, at_least: float, alpha: float) -> bool:
    """Test whether so many hits would be rare, at most alpha, if the true share fell short."""
    return n > 0 and float(binom.sf(hits - 1, n, at_least)) <= alpha

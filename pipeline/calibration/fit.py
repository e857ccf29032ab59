"""The candidates for a calibration map, from the fewest parameters to the most."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from pipeline.calibration.maps import map_log_odds
from schemas.calibration import CalibrationMap, Method

MIN_OF_EACH_CLASS = 5
MAX_SLOPE = 20.0
LEAST_SLOPE = 1e-3
SLOPE_SD = 2.0
"""Of a normal prior around a slope of 1. A few dozen events outweigh it; where a handful of cases
happen to be told apart without an error it keeps the slope, and so the certainty, finite."""
_START_SLOPE = 1.0

Fit = Callable[[NDArray[np.float64], NDArray[np.float64]], CalibrationMap]


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit one slope (Guo et al., 2017)."""
    return _minimised(
        lambda p: CalibrationMap(method="temperature", slope=p[0]), logits, labels, n_slopes=1,
        intercept=False,
    )  # fmt: skip


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit slope and intercept (Platt, 1999), without his smoothing of the labels."""
    return _minimised(
        lambda p: CalibrationMap(method="platt", slope=p[0], intercept=p[1]), logits, labels,
        n_slopes=1, intercept=True,
    )  # fmt: skip


def fit_beta(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit two slopes and an intercept (Kull et al., 2017), both slopes kept from falling."""
    return _minimised(
        lambda p: CalibrationMap(method="beta", slope=p[0], slope_low=p[1], intercept=p[2]),
        logits, labels, n_slopes=2, intercept=True,
    )  # fmt: skip


def fit_isotonic(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit a rising step line by pool-adjacent-violators; never as far as 0 or 1.

    The bound, 1 / (n + 2), is what Laplace's rule would say of n cases without one event.
    """
    bound = 1.0 / (len(labels) + 2.0)
    line = IsotonicRegression(y_min=bound, y_max=1.0 - bound, out_of_bounds="clip")
    line.fit(logits, labels)
    return CalibrationMap(
        method="isotonic",
        knots=tuple(line.X_thresholds_.tolist()),
        levels=tuple(line.y_thresholds_.tolist()),
    )


CANDIDATES: Mapping[Method, Fit] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}


def log_loss_of(
    fitted: CalibrationMap, logits: NDArray[np.float64], labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log loss of each case, nats."""
    odds = map_log_odds(fitted, logits)
    return np.asarray(np.logaddexp(0.0, odds) - labels * odds)


def ranks(fitted: CalibrationMap) -> bool:
    """Say whether a map tells any case from another: one of a useless score is flat."""
    if fitted.method == "isotonic":
        return fitted.levels[0] < fitted.levels[-1]
    steepest = max(fitted.slope, fitted.slope_low) if fitted.method == "beta" else fitted.slope
    return steepest > LEAST_SLOPE


def _minimised(
    make: Callable[[list[float]], CalibrationMap],
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    n_slopes: int,
    intercept: bool,
) -> CalibrationMap:
    """Fit slopes, then an intercept, by penalised likelihood; see ``SLOPE_SD``."""

    def loss(p: NDArray[np.float64]) -> float:
        prior = np.sum((p[:n_slopes] - 1.0) ** 2) / (2.0 * SLOPE_SD**2)
        return float(log_loss_of(make(p.tolist()), logits, labels).mean() + prior / len(labels))

    start = [_START_SLOPE] * n_slopes + [0.0] * intercept
    bounds = [(0.0, MAX_SLOPE)] * n_slopes + [(None, None)] * intercept
    found = minimize(loss, np.array(start), bounds=bounds, method="L-BFGS-B")
    return make([float(value) for value in found.x])

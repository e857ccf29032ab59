"""The candidates for a calibration map, from the fewest parameters to the most."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from pipeline.calibration.maps import map_log_odds
from pipeline.calibration.venn_abers import fit_range
from schemas.calibration import CalibrationMap, Method

MIN_OF_EACH_CLASS = 5
MAX_SLOPE = 20.0
LEAST_SLOPE = 1e-3
SLOPE_SD = 2.0
"""Of a normal prior around a slope of 1. A few dozen events outweigh it; where a handful of cases
happen to be told apart without an error it keeps the slope, and so the certainty, finite."""
_START_SLOPE = 1.0
END_ODDS, END_SD, END_REACH = 4.0, 2.0, 8.0
"""Of normal priors on the log-odds of a floor and a ceiling: how far they lie beyond the
prevalence's and beyond even odds, their standard deviation, and the furthest that is tried. So a
small cohort without an event at low scores does not put the floor at 0, and a rare outcome is not
said to stay unlikely whatever the score."""

Fit = Callable[[NDArray[np.float64], NDArray[np.float64]], CalibrationMap]


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit one slope (Guo et al., 2017)."""
    (slope,) = _minimised([logits], labels, n_slopes=1)
    return CalibrationMap(method="temperature", slope=slope)


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit slope and intercept (Platt, 1999), without his smoothing of the labels."""
    slope, intercept = _minimised([logits, np.ones_like(logits)], labels, n_slopes=1)
    return CalibrationMap(method="platt", slope=slope, intercept=intercept)


def fit_beta(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit two slopes and an intercept (Kull et al., 2017), both slopes kept from falling."""
    high, low = np.logaddexp(0.0, logits), -np.logaddexp(0.0, -logits)
    found = _minimised([high, low, np.ones_like(logits)], labels, n_slopes=2)
    return CalibrationMap(method="beta", slope=found[0], slope_low=found[1], intercept=found[2])


def fit_four_parameter(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit slope, intercept, floor and ceiling of a four-parameter logistic.

    Where labels are wrong now and then, or much of the risk is chance, the risk of the surest cases
    stays away from 0 and 1 however high the score. The model is that of item response theory
    (M. A. Barton and F. M. Lord, 1981); penalised likelihood, see ``SLOPE_SD`` and ``END_ODDS``.
    """
    n = len(labels)
    middle = float(logit(np.clip(labels.mean(), 0.5 / n, 1.0 - 0.5 / n)))
    low, high = min(middle, 0.0), max(middle, 0.0)
    around = np.array([_START_SLOPE, 0.0, low - END_ODDS, high + END_ODDS])
    precision = np.array([SLOPE_SD**-2, 0.0, END_SD**-2, END_SD**-2]) / n

    def loss(p: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        fit, slope = _four_parameter_loss(p, logits, labels)
        moved = p - around
        return fit + float(precision @ moved**2) / 2.0, slope + precision * moved

    line = fit_platt(logits, labels)
    bounds = [(0.0, MAX_SLOPE), (None, None), (low - END_REACH, middle),
              (middle, high + END_REACH)]  # fmt: skip
    # The line that is best without ends is too flat with them, and the loss is not convex.
    starts = [np.array([line.slope * k, line.intercept * k, *around[2:]]) for k in (1.0, 2.0)]
    tried = [minimize(loss, one, jac=True, bounds=bounds, method="L-BFGS-B") for one in starts]
    found = min(tried, key=lambda one: float(one.fun)).x
    floor, ceiling = expit(found[2:]).tolist()
    return CalibrationMap(
        method="four_parameter_logistic", slope=float(found[0]), intercept=float(found[1]),
        floor=floor, ceiling=ceiling,
    )  # fmt: skip


def _four_parameter_loss(
    p: NDArray[np.float64], logits: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean log loss and its gradient by slope, intercept and the ends' log-odds."""
    share, (floor, ceiling) = expit(p[0] * logits + p[1]), expit(p[2:])
    risk = floor + (ceiling - floor) * share
    fit = -np.where(labels == 1.0, np.log(risk), np.log1p(-risk)).mean()
    per_risk = (risk - labels) / (risk * (1.0 - risk)) / len(labels)
    per_odds = per_risk * (ceiling - floor) * share * (1.0 - share)
    by_floor = per_risk @ (1.0 - share) * floor * (1.0 - floor)
    by_ceiling = per_risk @ share * ceiling * (1.0 - ceiling)
    return float(fit), np.array([per_odds @ logits, per_odds.sum(), by_floor, by_ceiling])


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


def fit_venn_abers(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> CalibrationMap:
    """Fit an inductive Venn-Abers predictor (Vovk and Petej, 2014)."""
    return CalibrationMap(method="venn_abers", venn_abers=fit_range(logits, labels))


CANDIDATES: Mapping[Method, Fit] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "beta": fit_beta,
    "four_parameter_logistic": fit_four_parameter,
    "isotonic": fit_isotonic,
    "venn_abers": fit_venn_abers,
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
    if fitted.venn_abers is not None:
        return fitted.venn_abers.upper[0] < fitted.venn_abers.lower[-1]
    if fitted.method == "four_parameter_logistic":
        return fitted.slope * (fitted.ceiling - fitted.floor) > LEAST_SLOPE
    steepest = max(fitted.slope, fitted.slope_low) if fitted.method == "beta" else fitted.slope
    return steepest > LEAST_SLOPE


def _minimised(
    terms: Sequence[NDArray[np.float64]], labels: NDArray[np.float64], *, n_slopes: int
) -> list[float]:
    """Fit the weights of terms that add up to log-odds by penalised likelihood; see ``SLOPE_SD``.

    Parameters
    ----------
    terms : shape (n,) each
        Those with slopes first.
    labels : shape (n,), 0 or 1
    """
    design, n = np.stack(terms), len(labels)
    middle = np.array([_START_SLOPE] * n_slopes + [0.0] * (len(terms) - n_slopes))
    precision = np.where(np.arange(len(terms)) < n_slopes, 1.0 / (SLOPE_SD**2 * n), 0.0)

    def loss(p: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds, moved = p @ design, p - middle
        fit = float((np.logaddexp(0.0, odds) - labels * odds).mean())
        slope = design @ (expit(odds) - labels) / n + precision * moved
        return fit + float(precision @ moved**2) / 2.0, slope

    bounds = [(0.0, MAX_SLOPE)] * n_slopes + [(None, None)] * (len(terms) - n_slopes)
    found = minimize(loss, middle, jac=True, bounds=bounds, method="L-BFGS-B")
    return [float(value) for value in found.x]

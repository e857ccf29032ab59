"""Temperature scaling (Guo et al., 2017): one slope a task, fitted on its own patients."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from pipeline.errors import CalibrationError
from schemas.bundle import Calibrator

LOG_SLOPE_BOUND = 3.0
MIN_OF_EACH_CLASS = 5


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, task: str) -> Calibrator:
    """Fit the slope that minimises log loss.

    Parameters
    ----------
    logits : shape (n,), log-odds
        Of patients whom neither training nor early stopping has seen.
    labels : shape (n,), 0 or 1
    task
        For the calibrator and the message.

    Raises
    ------
    CalibrationError
        If there are fewer than ``MIN_OF_EACH_CLASS`` cases of either class, a logit is not
        finite, or the best slope lies at the bound: the score carries no or reversed information.
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
    fit = minimize_scalar(
        lambda log_slope: _log_loss(np.exp(log_slope) * score, truth),
        bounds=(-LOG_SLOPE_BOUND, LOG_SLOPE_BOUND), method="bounded",
    )  # fmt: skip
    if not abs(fit.x) < 0.99 * LOG_SLOPE_BOUND:
        msg = f"task {task}: the score does not rank the calibration cases (slope at its bound)"
        raise CalibrationError(msg)
    return Calibrator(task=task, slope=float(np.exp(fit.x)), n_cases=len(truth), n_events=n_events)


def to_probability(calibrator: Calibrator, logits: ArrayLike) -> NDArray[np.float64]:
    """Return calibrated probabilities, same shape as ``logits``."""
    score = np.asarray(logits, dtype=np.float64)
    return np.asarray(expit(calibrator.slope * score + calibrator.intercept))


def _log_loss(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))

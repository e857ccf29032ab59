"""Score to calibrated log-odds and probability: what a fitted calibrator does."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from pipeline.calibration.venn_abers import merged_log_odds
from schemas.calibration import CalibrationMap, Calibrator, SubsetShift

MODALITIES = ("image", "notes", "table")
_WHOLE = SubsetShift(present=MODALITIES, slope=1.0, intercept=0.0, n_cases=0)


def to_probability(
    calibrator: Calibrator, logits: ArrayLike, present: Iterable[str] = MODALITIES
) -> NDArray[np.float64]:
    """Return calibrated probabilities, same shape as ``logits``.

    Parameters
    ----------
    logits
        Raw scores of cases in which the same modalities are there.
    present
        Those modalities.
    """
    return np.asarray(expit(to_log_odds(calibrator, logits, present)))


def to_log_odds(
    calibrator: Calibrator, logits: ArrayLike, present: Iterable[str] = MODALITIES
) -> NDArray[np.float64]:
    """Return calibrated log-odds: the common map, the subset's shift, the site's own."""
    return after_map(calibrator, map_log_odds(calibrator.map, logits), present)


def after_map(
    calibrator: Calibrator, odds: NDArray[np.float64], present: Iterable[str]
) -> NDArray[np.float64]:
    """Return log-odds of the common map with the subset's shift and the site's own."""
    shift, site = shift_for(calibrator, present), calibrator.recalibration
    shifted = np.asarray(shift.slope * odds + shift.intercept)
    return shifted if site is None else site.slope * shifted + site.intercept


def before_site(
    calibrator: Calibrator, logits: ArrayLike, present: Iterable[str] = MODALITIES
) -> NDArray[np.float64]:
    """Return the same without the site's own."""
    shift = shift_for(calibrator, present)
    return np.asarray(shift.slope * map_log_odds(calibrator.map, logits) + shift.intercept)


def shift_for(calibrator: Calibrator, present: Iterable[str]) -> SubsetShift:
    """Return what is changed for cases with these modalities; nothing if none was fitted."""
    wanted = frozenset(present)
    return next((shift for shift in calibrator.shifts if set(shift.present) == wanted), _WHOLE)


def in_words(calibrator: Calibrator, present: Iterable[str]) -> str:
    """Say how a score becomes a probability for a case with these modalities."""
    method = calibrator.map.method.replace("_", " ")
    parts = [f"{method}, fitted on {calibrator.n_cases} cases"]
    if shift_for(calibrator, present) is not _WHOLE:
        parts.append(f"adjusted for cases {what_is_there(present)}")
    if calibrator.recalibration is not None:
        parts.append(f"updated on {calibrator.recalibration.n_cases} cases of the site")
    return "; ".join(parts)


def what_is_there(present: Iterable[str]) -> str:
    """Say which modalities cases lack, if any."""
    absent = [name for name in MODALITIES if name not in set(present)]
    return f"without {' and '.join(absent)}" if absent else "with every modality"


def map_log_odds(fitted: CalibrationMap, logits: ArrayLike) -> NDArray[np.float64]:
    """Apply one map; log-odds to log-odds."""
    if fitted.venn_abers is not None:
        return merged_log_odds(fitted.venn_abers, logits)
    x = np.asarray(logits, dtype=np.float64)
    match fitted.method:
        case "beta":
            # Kull et al. (2017) in log-odds: a ln s - b ln(1 - s) + c with s = sigmoid(x).
            with np.errstate(invalid="ignore"):  # NaN, of a case that was not read so, stays NaN
                rise, fall = np.logaddexp(0.0, x), np.logaddexp(0.0, -x)
            return np.asarray(fitted.slope * rise - fitted.slope_low * fall + fitted.intercept)
        case "four_parameter_logistic":
            share = expit(fitted.slope * x + fitted.intercept)
            return np.asarray(logit(fitted.floor + (fitted.ceiling - fitted.floor) * share))
        case "isotonic":
            return np.asarray(logit(np.interp(x, fitted.knots, fitted.levels)))
        case _:
            return np.asarray(fitted.slope * x + fitted.intercept)

"""A site's own outcomes on top of a task's calibration."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.calibration.chance import require_better_than_chance
from pipeline.calibration.fit import fit_platt
from pipeline.calibration.questions import Question
from pipeline.calibration.statistics import calibration_intercept
from schemas.calibration import Calibrator, ConformalThresholds, OperatingPoint, Recalibration

MIN_EVENTS, EVENTS_FOR_SLOPE = 50, 200

Array = NDArray[np.float64]
Sets = TypeVar("Sets", bound=ConformalThresholds)


def recalibrated(
    calibrator: Calibrator,
    odds: Array,
    labels: Array,
    *,
    labels_sha256: str,
    from_bundle_sha256: str,
) -> Calibrator | None:
    """Return a task's calibrator updated on a site; None where its outcomes are too few.

    From ``MIN_EVENTS`` of the rarer outcome on the intercept is updated, from
    ``EVENTS_FOR_SLOPE`` on the slope as well (Steyerberg, 2004). Thresholds by class, conformal
    ones and those of a sensitivity, are carried along: they call the same cases as before, which
    another prevalence does not spoil. A guaranteed predictive value does not carry over and is
    dropped.

    Parameters
    ----------
    odds : shape (n,)
        Calibrated log-odds that the bundle gave, one a patient.
    labels : shape (n,), 0 or 1

    Raises
    ------
    CalibrationError
        If the answers rank the site's cases no better than chance does, or the wrong way round.
    """
    n_events = int(labels.sum())
    rarer = min(n_events, len(labels) - n_events)
    if rarer < MIN_EVENTS:
        return None
    asked = Question("yes", labels.astype(np.int64), expit(odds), np.ones(len(labels)))
    require_better_than_chance([asked], task=calibrator.task, whose="site's")
    slope = 1.0
    intercept = float(calibration_intercept(labels, expit(odds), np.ones((1, len(odds))))[0])
    if rarer >= EVENTS_FOR_SLOPE:
        line = fit_platt(odds, labels)
        slope, intercept = line.slope, line.intercept
    before = calibrator.recalibration
    errors = _errors(odds, slope * odds + intercept, before, has_slope=rarer >= EVENTS_FOR_SLOPE)
    site = Recalibration(
        slope=slope * (before.slope if before else 1.0),
        intercept=slope * (before.intercept if before else 0.0) + intercept,
        n_cases=len(labels),
        n_events=n_events,
        intercept_sd=float(errors[0, 0] ** 0.5),
        slope_sd=float(errors[1, 1] ** 0.5),
        covariance=float(errors[0, 1]),
        labels_sha256=labels_sha256,
        from_bundle_sha256=from_bundle_sha256,
    )
    carried = _with_thresholds_carried(calibrator, slope, intercept)
    return carried.model_copy(update={"recalibration": site})


def _with_thresholds_carried(calibrator: Calibrator, slope: float, intercept: float) -> Calibrator:
    sets, apart, groups = (
        calibrator.conformal, calibrator.conformal_apart, calibrator.conformal_groups,
    )  # fmt: skip
    return calibrator.model_copy(
        update={
            "conformal": None if sets is None else _carried(sets, slope, intercept),
            "conformal_apart": tuple(_carried(one, slope, intercept) for one in apart),
            "conformal_groups": tuple(_carried(one, slope, intercept) for one in groups),
            "operating": tuple(_moved(point, slope, intercept) for point in calibrator.operating),
        }
    )


def _errors(odds: Array, moved: Array, before: Recalibration | None, *, has_slope: bool) -> Array:
    """Return the covariance of the whole update's intercept and slope, shape (2, 2).

    A slope that is kept from an earlier update keeps its error: the new intercept undoes it where
    the site's cases lie, and nowhere else.

    Parameters
    ----------
    odds, moved : shape (n,)
        Of the site's cases before and after this update.
    has_slope
        Whether this update refitted the slope.
    """
    chance = expit(moved)
    weights = chance * (1.0 - chance)
    if before is not None:
        odds = (odds - before.intercept) / before.slope
    if has_slope:
        design = np.stack([np.ones_like(odds), odds])
        return np.asarray(np.linalg.inv((weights * design) @ design.T), dtype=np.float64)
    centre = float(np.average(odds, weights=weights))
    kept = 0.0 if before is None else before.slope_sd**2
    turned = kept * np.array([[centre**2, -centre], [-centre, 1.0]])
    return np.asarray(turned + np.diag([1.0 / weights.sum(), 0.0]))


def _carried(sets: Sets, slope: float, intercept: float) -> Sets:
    return sets.model_copy(
        update={
            "positive": _mapped(sets.positive, slope, intercept),
            "negative": 1.0 - _mapped(1.0 - sets.negative, slope, intercept),
        }
    )


def _moved(point: OperatingPoint, slope: float, intercept: float) -> OperatingPoint:
    keeps = point.goal == "sensitivity" and point.threshold is not None
    threshold = _mapped(point.threshold or 0.0, slope, intercept) if keeps else None
    return point.model_copy(update={"threshold": threshold})


def _mapped(probability: float, slope: float, intercept: float) -> float:
    return float(expit(slope * logit(probability) + intercept))

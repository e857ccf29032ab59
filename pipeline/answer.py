"""One task's answer: from a raw score to what the report says."""

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import (
    in_words,
    interval,
    label_set,
    steps_in_words,
    thresholds_of,
    to_log_odds,
    to_probability,
)
from pipeline.heatmap import Heatmap
from pipeline.regions import regions_of
from pipeline.report import heatmap_name
from pipeline.volume import Volume
from schemas.calibration import AnyCalibrator, Calibrator, GroupThresholds
from schemas.maps import MapCheck, MapProof
from schemas.prediction import Evidence, RiskEstimate
from schemas.report import Decision, Risk


def estimate(
    calibrator: Calibrator,
    logit: float,
    members: NDArray[np.float64],
    present: tuple[str, ...],
    evidence: Evidence,
    value: str | None = None,
) -> RiskEstimate:
    """Return the calibrated probability of a raw score, its interval and its set.

    Parameters
    ----------
    logit
        Log-odds before calibration.
    members : shape (M,)
        The same by each network of the ensemble.
    present
        The modalities that the network read.
    value
        Of the variable by which the task's sets are set apart; None if there is none.
    """
    thresholds = thresholds_of(calibrator, present, value)
    probability = float(to_probability(calibrator, logit, present))
    lower, upper = interval(calibrator, members, present) or (None, None)
    return RiskEstimate(
        task=calibrator.task,
        logit=logit,
        probability=probability,
        lower=lower,
        upper=upper,
        calibrated_logit=float(to_log_odds(calibrator, logit, present)),
        label_set=label_set(thresholds, probability),
        set_among=thresholds.group if isinstance(thresholds, GroupThresholds) else "",
        evidence=evidence,
    )


def answered(
    blank: Risk, found: RiskEstimate, calibrator: AnyCalibrator, present: tuple[str, ...]
) -> Risk:
    """Return the report's entry with its numbers."""
    said: tuple[str, tuple[Decision, ...], float | None]
    if isinstance(calibrator, Calibrator):
        level = calibrator.interval.level if calibrator.interval else None
        said = in_words(calibrator, present), _decisions(calibrator, found.probability), level
    else:
        said = steps_in_words(calibrator, present), (), None
    return blank.model_copy(
        update={
            "probability": found.probability,
            "steps": found.steps,
            "lower": found.lower,
            "upper": found.upper,
            "interval_level": said[2],
            "set": found.label_set,
            "set_among": found.set_among,
            "set_coverage": calibrator.conformal.coverage if calibrator.conformal else None,
            "logit": found.logit,
            "calibrated_logit": found.calibrated_logit,
            "calibration": said[0],
            "decisions": said[1],
            "evidence": found.evidence,
        }
    )


def with_heatmap(
    risk: Risk,
    heatmap: Heatmap | None,
    reason: str,
    volume: Volume | None,
    check: MapCheck | None = None,
    proof: MapProof | None = None,
) -> Risk:
    """Return the entry with its heatmap's file name, regions and tests, or why there is none.

    A heatmap that claims too little points at nothing: it has no regions.
    """
    regions = () if heatmap is None or volume is None else regions_of(heatmap, volume)
    return risk.model_copy(
        update={
            "heatmap": None if heatmap is None else heatmap_name(risk.task),
            "heatmap_reason": reason,
            "map_check": check,
            "map_proof": proof,
            "regions": regions if check is None or check.points else (),
        }
    )


def _decisions(calibrator: Calibrator, probability: float) -> tuple[Decision, ...]:
    return tuple(
        Decision(
            goal=point.goal,
            at_least=point.at_least,
            confidence=point.confidence,
            threshold=point.threshold,
            is_positive=None if point.threshold is None else probability >= point.threshold,
        )
        for point in calibrator.operating
    )

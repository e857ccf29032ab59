"""Logit to probability and set, and the numbers that judge them."""

from pipeline.calibration.calibrator import fit_calibrator, with_thresholds
from pipeline.calibration.conformal import label_set
from pipeline.calibration.judge import Answers, judge, paired_difference
from pipeline.calibration.maps import MODALITIES, in_words, to_log_odds, to_probability
from pipeline.calibration.reference import Reference, fit_reference, outside_reference

__all__ = [
    "MODALITIES", "Answers", "Reference", "fit_calibrator", "fit_reference", "in_words",
    "judge", "label_set", "outside_reference", "paired_difference", "to_log_odds",
    "to_probability", "with_thresholds",
]  # fmt: skip

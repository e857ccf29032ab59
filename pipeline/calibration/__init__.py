"""Logit to probability, and the numbers that judge it."""

from pipeline.calibration.metrics import judge
from pipeline.calibration.reference import Reference, fit_reference, outside_reference
from pipeline.calibration.temperature import fit_temperature, to_probability

__all__ = [
    "Reference", "fit_reference", "fit_temperature", "judge", "outside_reference",
    "to_probability",
]  # fmt: skip

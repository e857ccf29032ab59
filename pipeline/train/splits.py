"""Patients to parts, by hash: the same patient always falls in the same part."""

import hashlib
from typing import Literal

from schemas.settings import SplitFractions

Part = Literal["train", "validation", "calibration", "test"]


def part_of(patient_id: str, fractions: SplitFractions, *, seed: int) -> Part:
    """Return the part that a patient belongs to.

    Depends on nothing but the patient and the seed, so adding or removing cases moves nobody.
    """
    place = place_of(patient_id, seed=seed)
    if place < fractions.train:
        return "train"
    if place < fractions.train + fractions.validation:
        return "validation"
    if place < fractions.train + fractions.validation + fractions.calibration:
        return "calibration"
    return "test"


def place_of(name: str, *, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but name and seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64

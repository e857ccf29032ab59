"""Patients to parts, by hash: the same patient always falls in the same part."""

import hashlib
from typing import Literal, get_args

from schemas.settings import SplitFractions

Part = Literal["train", "validation", "calibration", "conformal", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


def part_of(patient_id: str, fractions: SplitFractions, *, seed: int) -> Part:
    """Return the part that a patient belongs to.

    Depends on nothing but the patient and the seed, so adding or removing cases moves nobody.
    """
    place = place_of(patient_id, seed=seed)
    shares: tuple[tuple[Part, float], ...] = (
        ("train", fractions.train),
        ("validation", fractions.validation),
        ("calibration", fractions.calibration),
        ("conformal", fractions.conformal),
    )
    for part, share in shares:
        if place < share:
            return part
        place -= share
    return "test"


def place_of(name: str, *, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but name and seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64

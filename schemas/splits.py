"""Which patients a bundle was trained, calibrated and judged on, as hashes."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel


class SplitRecord(FrozenModel):
    """The split that made a bundle.

    Who has the cohort can find each patient's part again; who has not sees hashes, which hide an
    identifier only as far as it cannot be guessed.
    """

    by: Literal["hash", "stratified", "time"]
    """How patients were divided."""
    seed: int
    """Of the hashes."""
    parts: dict[str, tuple[str, ...]] = Field(repr=False)
    """By part, SHA-256 of "seed:identifier", sorted; the identifier without case, spaces,
    punctuation and leading zeros, or as written in a bundle of an earlier version. Who recalibrated
    a bundle is in the part `site`, and may be in `test` as well."""

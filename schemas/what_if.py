"""What the risk would be if something had not been read, or had been otherwise."""

from itertools import combinations
from typing import Literal, get_args

from pydantic import Field, model_validator

from schemas.base import FrozenModel

Modality = Literal["image", "notes", "table"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
Reference = Literal["normal", "mean"]
"""The nearer end of the protocol's normal range, or the training patients' mean."""
SHARES_TOLERANCE = 1e-6


class SubsetRisk(FrozenModel):
    """The answer where only some of what is there is read."""

    present: tuple[Modality, ...]
    """What is read; what was found in the notes goes with the notes."""
    probability: float = Field(ge=0, le=1)
    """Calibrated as for cases that have no more than this."""
    calibrated_logit: float
    """Its log-odds."""


class ModalityShare(FrozenModel):
    """How much one modality counts, fairly shared where several count only together."""

    name: Modality
    """Which."""
    is_present: bool
    """Whether the case has it; the share is 0 if not."""
    log_odds: float
    """Its Shapley value in calibrated log-odds: what it adds to those read before it, averaged
    over all orders of reading."""


class Modalities(FrozenModel):
    """The calibrated log-odds, divided among image, notes and table without a remainder.

    The shares sum to the answer's log-odds less those with nothing read.
    """

    shares: tuple[ModalityShare, ...]
    """One a modality."""
    subsets: tuple[SubsetRisk, ...]
    """Every subset of what is there, from nothing to all: what the shares are made of."""

    @model_validator(mode="after")
    def _whole(self) -> "Modalities":
        there = [share.name for share in self.shares if share.is_present]
        wanted = [set(some) for size in range(len(there) + 1) for some in combinations(there, size)]
        if [set(subset.present) for subset in self.subsets] != wanted:
            msg = f"subsets of {', '.join(there)} must all be there, the smallest first"
            raise ValueError(msg)
        moved = self.subsets[-1].calibrated_logit - self.subsets[0].calibrated_logit
        total = sum(share.log_odds for share in self.shares)
        if not abs(total - moved) <= SHARES_TOLERANCE * max(1.0, abs(moved)):
            msg = f"the modalities' shares sum to {total}, all of them together moved {moved}"
            raise ValueError(msg)
        return self

    def risk_of(self, *present: Modality) -> float | None:
        """Return the probability with just these read; None if one of them is not there."""
        found = (one.probability for one in self.subsets if set(one.present) == set(present))
        return next(found, None)


class Change(FrozenModel):
    """One thing that was otherwise, all else as it was, and the risk then."""

    kind: Literal["image", "table", "concept"]
    """`image`: what the heatmap points at was painted over, as in the heatmap's own test. `table`:
    a variable took a usual value. `concept`: the notes said otherwise, or nothing."""
    name: str = ""
    """The protocol's name of the column or concept; empty for the image."""
    label: str = ""
    """What a reader sees in place of the name; the name if empty."""
    unit: str = ""
    """Unit of a number."""
    before: float | str | bool | None = Field(default=None, repr=False)
    """What was read; None for the image."""
    after: float | str | bool | None = Field(default=None, repr=False)
    """What was read instead; None for the image, and where the notes say nothing of a concept."""
    reference: Reference | None = None
    """Where a number that was read instead is from; None of all else."""
    n_sentences: int = Field(default=0, ge=0)
    """Sentences of the notes that were taken away with it, since they say otherwise."""
    restated: str = ""
    """The sentence, of the protocol's own words, that stood in the place of the first of them;
    empty if none did."""
    probability: float = Field(ge=0, le=1)
    """Calibrated, as changed."""
    calibrated_logit: float
    """Its log-odds."""


class WhatIf(FrozenModel):
    """How the answer hangs on what was read: computed by asking the network again."""

    modalities: Modalities
    """What each modality counts for."""
    changes: tuple[Change, ...] = ()
    """Single facts turned round, the one that moves the log-odds furthest first."""

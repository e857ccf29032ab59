"""What the model says of a case, before anyone reads it."""

from datetime import datetime
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from schemas.base import FrozenModel
from schemas.history import ConceptFact, Context

SUM_TOLERANCE = 1e-4
"""Of a logit, by the sum of its parts: relative, or absolute of one below 1."""
PROBABILITY_TOLERANCE = 1e-3
"""Of a probability that was found in two ways."""


class TableEvidence(FrozenModel):
    """What one table variable added."""

    name: str
    """The protocol's column name."""
    label: str = ""
    """What a reader sees in place of the name; the name if empty."""
    value: float | str | bool | None = Field(repr=False)
    """What the model read; None if missing."""
    unit: str = ""
    """Unit of a number."""
    contribution: float
    """Log-odds."""
    probability_without: float | None = Field(default=None, ge=0, le=1)
    """Calibrated probability had it not been recorded; None where it was not."""


class ConceptEvidence(FrozenModel):
    """What one concept of the notes added."""

    name: str
    """The protocol's concept name."""
    label: str = ""
    """What a reader sees in place of the name; the name if empty."""
    value: ConceptFact | None = Field(repr=False)
    """What the model read; None where no note answers."""
    unit: str = ""
    """Unit of a number."""
    written_at: datetime | None = Field(default=None, repr=False)
    """When the note that says so was written."""
    kind: str = ""
    """Kind of that note."""
    quote: str = Field(default="", repr=False)
    """The sentence that says so; where the value is None, the newest that names it and does not
    count, or nothing."""
    contexts: tuple[Context, ...] = ()
    """How that sentence speaks of it."""
    contribution: float
    """Log-odds."""
    probability_without: float | None = Field(default=None, ge=0, le=1)
    """Calibrated probability had it not been found, its sentence left as it is; None where it was
    not."""


class NoteEvidence(FrozenModel):
    """What one sentence of a note added."""

    written_at: datetime
    """When the note was written."""
    kind: str
    """Kind of note."""
    quote: str = Field(repr=False)
    """The sentence, as written."""
    contribution: float
    """Log-odds."""
    probability_without: float | None = Field(default=None, ge=0, le=1)
    """Calibrated probability without the sentence; what it says of concepts stays."""


class Evidence(FrozenModel):
    """How a logit came about, exactly: bias + image + all contributions."""

    bias: float
    """Log-odds with nothing read."""
    image: float
    """Log-odds that the image added; the sum of the heatmap."""
    table: tuple[TableEvidence, ...] = ()
    """One for each variable."""
    concepts: tuple[ConceptEvidence, ...] = ()
    """One for each concept."""
    notes: tuple[NoteEvidence, ...] = ()
    """One for each sentence."""

    def total(self) -> float:
        """Sum of all parts, log-odds."""
        table = sum(part.contribution for part in self.table)
        concepts = sum(part.contribution for part in self.concepts)
        notes = sum(part.contribution for part in self.notes)
        return self.bias + self.image + table + concepts + notes


class OutcomeProbability(FrozenModel):
    """How probable one class, level or horizon is."""

    label: str
    """The class, or the time until which an event is meant."""
    probability: float = Field(ge=0, le=1)
    """Calibrated."""
    train_share: float = Field(ge=0, le=1)
    """Of the training cases, for comparison."""


class StepAnswer(FrozenModel):
    """What an answer of several classes, levels or horizons holds beyond one probability."""

    kind: Literal["multiclass", "ordinal", "survival"]
    """`multiclass` and `ordinal`: the probabilities sum to 1. `survival`: they never fall."""
    outcomes: tuple[OutcomeProbability, ...] = Field(min_length=1)
    """In the protocol's order."""
    shown: str
    """The most probable class or level, or the last horizon: what `probability` is of."""
    logit_of: str
    """What the logit and its evidence speak for, in words."""
    expected_level: float | None = None
    """Mean level, counted from 1; `ordinal` alone."""

    @model_validator(mode="after")
    def _whole(self) -> "StepAnswer":
        values = [outcome.probability for outcome in self.outcomes]
        is_whole = abs(sum(values) - 1.0) <= PROBABILITY_TOLERANCE
        is_rising = all(a <= b for a, b in pairwise(values))
        if not (is_rising if self.kind == "survival" else is_whole):
            msg = f"{self.kind} probabilities must sum to 1, of survival never fall, got {values}"
            raise ValueError(msg)
        if self.shown not in {outcome.label for outcome in self.outcomes}:
            msg = f"{self.shown} is shown, and is no outcome"
            raise ValueError(msg)
        return self


class RiskEstimate(FrozenModel):
    """One task's answer."""

    task: str
    """The protocol's task name."""
    logit: float
    """The network's raw score, log-odds before calibration."""
    probability: float = Field(ge=0, le=1)
    """Calibrated."""
    calibrated_logit: float
    """Log-odds of the probability."""
    lower: float | None = None
    """Lower end of its interval; None where the bundle has no ensemble to tell."""
    upper: float | None = None
    """Upper end of the same."""
    label_set: tuple[str, ...] | None = None
    """Conformal set; None if none could be fitted."""
    set_among: str = ""
    """The group by whose thresholds; empty if by common ones."""
    evidence: Evidence
    """Where the logit came from."""
    steps: StepAnswer | None = None
    """All probabilities of a task of several classes, levels or horizons."""

    @model_validator(mode="after")
    def _consistent(self) -> "RiskEstimate":
        if not abs(self.evidence.total() - self.logit) <= SUM_TOLERANCE * max(1.0, abs(self.logit)):
            msg = (
                f"task {self.task}: evidence sums to {self.evidence.total()}, logit is {self.logit}"
            )
            raise ValueError(msg)
        if self.lower is not None and not self.lower <= self.probability:
            msg = f"task {self.task}: the interval must hold the probability"
            raise ValueError(msg)
        if self.upper is not None and not self.upper >= self.probability:
            msg = f"task {self.task}: the interval must hold the probability"
            raise ValueError(msg)
        return self

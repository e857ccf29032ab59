"""One question that the model answers."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel

Goal = Literal["sensitivity", "ppv"]
GOAL_NAMES: Mapping[Goal, str] = {"sensitivity": "sensitivity", "ppv": "positive predictive value"}


class OperatingGoal(FrozenModel):
    """A property that a decision threshold must have."""

    goal: Goal
    """Sensitivity, or positive predictive value."""
    at_least: float = Field(gt=0, lt=1)
    """How much of it."""
    confidence: float = Field(default=0.9, gt=0, lt=1)
    """With which confidence over the draw of the patients that the threshold is set on."""


class Task(FrozenModel):
    """One question that the model answers for a study."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its column in labels.csv; `survival` has two: `<name>_days` and `<name>_event`."""
    kind: Literal["binary", "multiclass", "ordinal", "survival"] = "binary"
    """The form of the answer. `binary`: yes or no. `multiclass`: one of `classes`. `ordinal`: one
    of `classes`, which rise. `survival`: whether and when an event came, or until when the patient
    was seen free of it."""
    question: str = Field(min_length=8)
    """In plain words; the model is asked with it."""
    label_words: tuple[str, ...] = ()
    """Words and phrases that state the outcome; training refuses a cohort in which a note of the
    look-back holds one."""
    operating: tuple[OperatingGoal, ...] = ()
    """Thresholds that reports show."""
    sets_by: str = Field(default="", pattern=NAME_PATTERN + "|^$")
    """A flag or category of the table. Of cases that have every modality each of its values gets
    sets by thresholds of its own, where it has enough cases: the coverage that is promised then
    holds within each. Binary tasks only."""
    classes: tuple[str, ...] = ()
    """Labels of a `multiclass` or `ordinal` task; rising for the latter."""
    horizons_days: tuple[float, ...] = ()
    """Ends of the time spans of a `survival` task, rising; a risk is given for each."""
    annotation: str = Field(default="", pattern=NAME_PATTERN + "|^$")
    """Task whose masks in annotations/ show what this task's finding looks like; its own if
    empty."""

    weight: float = Field(default=1.0, gt=0)
    """Of its loss beside the other tasks'."""

    @model_validator(mode="after")
    def _complete(self) -> "Task":
        has_classes = self.kind in ("multiclass", "ordinal")
        if has_classes != (len(self.classes) >= 3) or len(set(self.classes)) != len(self.classes):
            msg = f"task {self.name}: multiclass and ordinal need 3 or more different classes"
            raise ValueError(msg)
        if (self.kind == "survival") != bool(self.horizons_days):
            msg = f"task {self.name}: horizons_days belong to kind 'survival', and are needed there"
            raise ValueError(msg)
        if not all(a < b for a, b in pairwise((0.0, *self.horizons_days))):
            msg = f"task {self.name}: horizons_days must be above 0 and rise"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _binary_alone(self) -> "Task":
        for name in ("operating", "sets_by"):
            if getattr(self, name) and self.kind != "binary":
                msg = f"task {self.name}: {name} belongs to binary tasks; take it off"
                raise ValueError(msg)
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What gets a probability: a yes, each class, or an event by each horizon."""
        if self.kind == "binary":
            return ("yes",)
        return self.classes or tuple(f"within {days:g} days" for days in self.horizons_days)

    @property
    def n_steps(self) -> int:
        """Log-odds that the answer is made of: the logits and their further thresholds."""
        return self.n_logits + self.n_cuts

    @property
    def n_logits(self) -> int:
        """Logits with evidence of their own: one, or one a class for `multiclass`."""
        return len(self.classes) if self.kind == "multiclass" else 1

    @property
    def n_cuts(self) -> int:
        """Further thresholds that share the one logit's evidence."""
        if self.kind == "ordinal":
            return len(self.classes) - 2
        return max(len(self.horizons_days) - 1, 0)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of labels.csv that hold what is known."""
        if self.kind == "survival":
            return (f"{self.name}_days", f"{self.name}_event")
        return (self.name,)

"""One question that the model answers."""

from typing import Literal

from pydantic import Field

from schemas.base import NAME_PATTERN, FrozenModel


class OperatingGoal(FrozenModel):
    """A property that a decision threshold must have."""

    goal: Literal["sensitivity", "ppv"]
    """Sensitivity, or positive predictive value."""
    at_least: float = Field(gt=0, lt=1)
    """How much of it."""
    confidence: float = Field(default=0.9, gt=0, lt=1)
    """With which confidence over the draw of the patients that the threshold is set on."""


class Task(FrozenModel):
    """One question that the model answers for a study."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its column in labels.csv."""
    kind: Literal["binary"] = "binary"
    """The form of the answer."""
    question: str = Field(min_length=8)
    """In plain words; the model is asked with it."""
    label_words: tuple[str, ...] = ()
    """Words and phrases that state the outcome; training refuses a cohort in which a note of the
    look-back holds one."""
    annotation: str = Field(default="", pattern=NAME_PATTERN + "|^$")
    """Task whose masks in annotations/ show what this task's finding looks like; its own if
    empty."""
    operating: tuple[OperatingGoal, ...] = ()
    """Thresholds that reports show."""

"""One question that the model answers."""

from typing import Literal

from pydantic import Field

from schemas.base import NAME_PATTERN, FrozenModel


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

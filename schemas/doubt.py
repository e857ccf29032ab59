"""What speaks against a bundle's probabilities of one task."""

from typing import Literal

from pydantic import model_validator

from schemas.base import FrozenModel

DoubtAbout = Literal["prevalence", "slope", "labels", "sets", "threshold", "unstated"]


class Doubt(FrozenModel):
    """One thing that speaks against a task's probabilities or sets."""

    about: DoubtAbout
    """`prevalence`: how often the outcome comes. `slope`: how extreme the probabilities are.
    `labels`: whose outcomes they are, seen in the ranking. `sets`: what conformal sets hold.
    `threshold`: what a promised threshold does. `unstated`: kept by an earlier version, as words
    alone."""
    words: str
    """In words."""

    @model_validator(mode="before")
    @classmethod
    def _of_words(cls, given: object) -> object:
        return {"about": "unstated", "words": given} if isinstance(given, str) else given

"""What the guard against leaks saw before a training."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel

LeakKind = Literal["patient", "same-image", "similar-image", "similar-note", "label-word"]

EXPLAINED: dict[LeakKind, str] = {
    "patient": "one patient stands in two parts",
    "same-image": "the same image stands in two parts",
    "similar-image": "two parts hold images that are nearly the same",
    "similar-note": "two parts hold notes that are nearly the same",
    "label-word": "a note of the look-back holds words that state the outcome",
}


class Leak(FrozenModel):
    """One way in which an answer reaches where it must not be known."""

    kind: LeakKind
    """What kind."""
    studies: tuple[str, ...]
    """The Study Instance UIDs that it joins, or the one that holds it."""
    parts: tuple[str, ...]
    """Theirs."""
    task: str = ""
    """Of a label word: the task that it states."""
    likeness: float | None = None
    """Of a pair: 1 for the same."""


class LeakReport(FrozenModel):
    """What was compared, how close it came, and what was found."""

    is_checked: bool
    """False if the guard was off: then nothing was compared and nothing is known."""
    n_patients: dict[str, int] = Field(default_factory=dict)
    """Patients in each part."""
    n_images: int = 0
    """Images that were compared."""
    closest_images: float | None = None
    """Largest correlation of two images of different parts; None if there is no pair."""
    image_limit: float = 0.0
    """From here on two images are nearly the same."""
    n_notes: int = 0
    """Different notes of the look-back."""
    n_notes_compared: int = 0
    """Those with enough words of their own."""
    closest_notes: float = 0.0
    """Largest likeness of two notes of different parts."""
    note_limit: float = 0.0
    """From here on two notes are nearly the same."""
    label_words: dict[str, int] = Field(default_factory=dict)
    """By task, studies with a note that holds one of its label words."""
    counts: dict[LeakKind, int] = Field(default_factory=dict)
    """Leaks found, by kind."""
    leaks: tuple[Leak, ...] = ()
    """The first of each kind."""

    @property
    def is_clean(self) -> bool:
        """Whether the guard was on and found nothing."""
        return self.is_checked and not any(self.counts.values())

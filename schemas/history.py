"""What was recorded about a patient at or before a moment."""

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from schemas.base import FrozenModel
from schemas.issue import Issue


class TableValue(FrozenModel):
    """One table variable of a patient at the scan."""

    name: str
    """The protocol's column name."""
    value: float | str | bool | None = Field(repr=False)
    """Number, category or flag; None where nothing usable was recorded."""
    unit: str = ""
    """Unit of a number."""
    recorded_at: datetime | None = Field(default=None, repr=False)
    """When it was recorded; None for an undated or a missing value."""


Context = Literal["negated", "uncertain", "someone_else", "not_so_yet", "past"]
SectionName = Literal[
    "history", "past history", "medication", "allergies", "family history", "social history",
    "examination", "findings", "impression", "plan",
]  # fmt: skip
ConceptFact = float | Literal["present", "stopped", "absent", "left", "right", "both"]


class Mention(FrozenModel):
    """One place in a note that names a concept, whether or not it counts."""

    concept: str
    """The protocol's concept name."""
    note: int = Field(ge=0)
    """Which of the history's notes, from 0."""
    start: int = Field(ge=0)
    """First character of the words in that note."""
    end: int = Field(ge=1)
    """One past their last character."""
    value: ConceptFact = Field(repr=False)
    """What it says of whom it is about."""
    contexts: tuple[Context, ...] = ()
    """`negated`: said not to be so. `uncertain`: a doubt. `someone_else`: another person than the
    concept is about. `not_so_yet`: a condition, a plan, a warning. `past`: long ago."""
    counts: bool
    """Whether it may give the concept its value."""


class ConceptValue(FrozenModel):
    """What the notes say about one concept of the protocol at the scan."""

    name: str
    """The protocol's concept name."""
    value: ConceptFact | None = Field(repr=False)
    """None if no note speaks of it, or only of a relative, of a doubt or of another time."""
    unit: str = ""
    """Unit of a number."""
    written_at: datetime | None = Field(default=None, repr=False)
    """When the note that says so was written; None if unknown."""
    kind: str = ""
    """Kind of that note."""
    quote: str = Field(default="", repr=False)
    """The sentence that says so; where the value is None, the newest that names it and does not
    count, or nothing."""
    contexts: tuple[Context, ...] = ()
    """How that sentence speaks of it."""


class NoteSection(FrozenModel):
    """A part of a note under a heading of its own."""

    name: SectionName
    """What the heading says, in one of these words."""
    start: int = Field(ge=0)
    """First character below the heading."""
    end: int = Field(ge=0)
    """One past the last."""


class Note(FrozenModel):
    """One written note."""

    written_at: datetime
    """When it was written, in the site's local time."""
    kind: str
    """The cohort's own word for the kind of note."""
    text: str = Field(repr=False)
    """Its text, encoding repaired, without templates and without what was copied from an earlier
    note of the same patient."""
    sections: tuple[NoteSection, ...] = ()
    """Parts under headings, where there are any."""


class History(FrozenModel):
    """A patient's record, cut at a moment: nothing in it is later."""

    at: datetime | None
    """The moment of the cut (the study's acquisition time); None if unknown."""
    values: tuple[TableValue, ...] = ()
    """One for each column of the protocol, missing ones included."""
    concepts: tuple[ConceptValue, ...] = ()
    """One for each concept of the protocol, unknown ones included."""
    mentions: tuple[Mention, ...] = ()
    """Every place in the notes that names a concept, those that do not count included."""
    notes: tuple[Note, ...] = ()
    """Oldest first."""
    n_after_scan: int = Field(default=0, ge=0)
    """Records left out since they were made after the scan."""
    n_too_old: int = Field(default=0, ge=0)
    """Records left out since they are older than the protocol's look-back."""
    issues: tuple[Issue, ...] = ()
    """Faults found while reading it."""

    @model_validator(mode="after")
    def _nothing_from_the_future(self) -> "History":
        times = [note.written_at for note in self.notes]
        times += [value.recorded_at for value in self.values if value.recorded_at is not None]
        times += [value.written_at for value in self.concepts if value.written_at is not None]
        if times and (self.at is None or not max(times) <= self.at):
            msg = "a history may hold nothing later than its own moment"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _mentions_lie_in_notes(self) -> "History":
        lengths = [len(note.text) for note in self.notes]
        if not all(
            one.note < len(lengths) and one.start < one.end <= lengths[one.note]
            for one in self.mentions
        ):
            msg = "a mention must lie in one of the history's notes"
            raise ValueError(msg)
        return self

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a value nor a note."""
        return not self.notes and all(value.value is None for value in self.values)

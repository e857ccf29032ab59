"""Which notes are read, and what is looked for in them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from schemas.base import NAME_PATTERN, FrozenModel

MAX_PHRASE = 80


class NotesRule(FrozenModel):
    """Which notes are read."""

    kinds: tuple[str, ...] = ()
    """Kinds that are read; empty reads all."""
    templates: tuple[str, ...] = ()
    """Phrases of the site's forms and letterheads: a sentence that holds one is not read. Common
    ones (signatures, page numbers, boxes that were not ticked) are known without."""


class Concept(FrozenModel):
    """One fact that is looked for in the notes and becomes a variable beside the table's."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its name; differs from every column's."""
    label: str = ""
    """What a reader of the report sees; the name if empty."""
    kind: Literal["presence", "drug", "side", "number"] = "presence"
    """`presence`: present or absent. `drug`: present while it is taken, stopped once it is not any
    more, absent if it is not taken. `side`: left, right or both, absent, or present without a
    side. `number`: the number that stands with the words, in `unit`."""
    about: Literal["patient", "family"] = "patient"
    """Whose fact it is: of the patient, or of relatives by blood."""
    past: Literal["counts", "ignored"] = "counts"
    """Whether what was only so in childhood or five years and more before the note counts."""
    words: tuple[str, ...] = Field(min_length=1)
    """Words and synonyms that name it, lower case, in the singular. `...` stands for up to five
    words in between: `power ... reduced`. Inflections and typing errors need not be listed."""
    but_not: tuple[str, ...] = ()
    """Phrases that hold such a word and mean something else: `stroke volume`."""
    wider: tuple[str, ...] = ()
    """Words for a wider kind of thing: that there is no cancer says that there is no lung cancer,
    that there is one says nothing."""
    opposites: tuple[str, ...] = ()
    """Phrases that say that it is not so: `power is full` for a weakness."""
    unit: str = ""
    """Unit of a number."""
    low: float | None = None
    """Smallest plausible number; a smaller one is not read."""
    high: float | None = None
    """Largest plausible number; a larger one is not read."""

    @field_validator("words", "but_not", "wider", "opposites")
    @classmethod
    def _readable(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in phrases:
            parts = phrase.split()
            has_ends = bool(parts) and "..." not in (parts[0], parts[-1])
            if not has_ends or phrase != phrase.lower() or not len(phrase) <= MAX_PHRASE:
                msg = (
                    f"'{phrase[:MAX_PHRASE]}' must be lower-case words, at most {MAX_PHRASE} "
                    "characters, with '...' only between words"
                )
                raise ValueError(msg)
        return phrases

    @model_validator(mode="after")
    def _complete(self) -> "Concept":
        low, high = self.low, self.high
        if (self.kind == "number") != (low is not None and high is not None):
            msg = f"concept {self.name}: low and high belong to kind 'number', and are needed there"
            raise ValueError(msg)
        if low is not None and high is not None and not low < high:
            msg = f"concept {self.name}: low {low:g} must be below high {high:g}"
            raise ValueError(msg)
        return self

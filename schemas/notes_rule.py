"""Which notes are read, and what is looked for in them."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel


class NotesRule(FrozenModel):
    """Which notes are read."""

    kinds: tuple[str, ...] = ()
    """Kinds that are read; empty reads all."""


class Concept(FrozenModel):
    """One fact that is looked for in the notes and becomes a variable beside the table's."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its name; differs from every column's."""
    label: str = ""
    """What a reader of the report sees; the name if empty."""
    kind: Literal["presence", "side", "number"] = "presence"
    """`presence`: present or absent. `side`: left, right or both, absent, or present without a
    side. `number`: the number that stands with the words, in `unit`."""
    words: tuple[str, ...] = Field(min_length=1)
    """Words and synonyms that name it, lower case."""
    unit: str = ""
    """Unit of a number."""
    low: float | None = None
    """Smallest plausible number."""
    high: float | None = None
    """Largest plausible number."""

    @model_validator(mode="after")
    def _complete(self) -> "Concept":
        if (self.kind == "number") != (self.low is not None and self.high is not None):
            msg = f"concept {self.name}: low and high belong to kind 'number', and are needed there"
            raise ValueError(msg)
        return self

"""One variable of the table: its kind, unit and plausible range."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel


class Column(FrozenModel):
    """One table variable."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its name in the cohort's table."""
    kind: Literal["number", "category", "flag"]
    """A number, one of `categories`, or yes/no."""
    label: str = ""
    """What a reader of the report sees; the name if empty."""
    unit: str = ""
    """Unit of a number, as written in the report."""
    low: float | None = None
    """Smallest plausible number; smaller is set missing."""
    high: float | None = None
    """Largest plausible number; larger is set missing."""
    categories: tuple[str, ...] = ()
    """The allowed values of a category."""
    undated: bool = False
    """Whether a record without a time may be used (sex, say)."""

    @model_validator(mode="after")
    def _complete(self) -> "Column":
        if (self.kind == "category") != bool(self.categories):
            msg = f"column {self.name}: categories belong to kind 'category', and are needed there"
            raise ValueError(msg)
        if self.kind == "number" and (self.low is None or self.high is None):
            msg = f"column {self.name}: a number needs its plausible range, low and high"
            raise ValueError(msg)
        return self

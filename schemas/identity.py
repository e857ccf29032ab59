"""How a cohort's records are paired with its studies."""

from typing import Literal

from pydantic import Field

from schemas.base import NAME_PATTERN, FrozenModel

_COLUMN = NAME_PATTERN + "|^$"


class IdentityRule(FrozenModel):
    """How records are paired with studies, and what must agree for that."""

    match: Literal["exact", "normalised"] = "exact"
    """`exact`: a record's patient_id is the study's Patient ID, character for character.
    `normalised`: where no exact one is there, one that differs in leading zeros, case, spaces or
    punctuation alone, if it is the only one; every such pairing is an issue of the report."""
    sex: str = Field(default="", pattern=_COLUMN)
    """Table column to compare with Patient's Sex (0010,0040); none if empty."""
    birth_year: str = Field(default="", pattern=_COLUMN)
    """Table column to compare with the year of Patient's Birth Date (0010,0030)."""
    age: str = Field(default="", pattern=_COLUMN)
    """Table column of the age in years when recorded; compared with the same, a year allowed."""

"""Which series of a study a protocol reads."""

from typing import Literal

from pydantic import Field

from schemas.base import NAME_PATTERN, FrozenModel


class SeriesRule(FrozenModel):
    """One named series that the model reads, and how to find it in a study."""

    name: str = Field(pattern=NAME_PATTERN)
    """The protocol's name for it."""
    modality: Literal["CT", "MR"]
    """Modality (0008,0060) that it must have."""
    descriptions: tuple[str, ...] = ()
    """Lower-case words of a Series Description that speak for a series; none is required."""
    min_slices: int = Field(default=8, ge=2)
    """A series with fewer slices is not considered."""

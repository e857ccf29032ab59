"""Which series of a study a protocol reads."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel

Trait = Literal[
    "acquisition", "b-value", "echo", "echo time", "flip angle", "inversion time", "kV", "kernel",
    "temporal position", "trigger delay", "trigger time",
]  # fmt: skip


class PartRule(FrozenModel):
    """Which part of a series that holds several volumes is read."""

    trait: Trait
    """What tells the parts apart."""
    take: str = "first"
    """`first` or `last` by the trait's number, or the value itself as the header writes it."""


class SeriesRule(FrozenModel):
    """One named series that the model reads, and how to find it in a study.

    `modality`, `min_slices`, `max_slices`, `excluded`, `orientation`, the two spacings and a named
    value in `parts` must hold. All else only speaks for or against a series, because headers are
    often silent or wrong.
    """

    name: str = Field(pattern=NAME_PATTERN)
    """The protocol's name for it."""
    modality: Literal["CT", "MR"]
    """Modality (0008,0060) that it must have."""
    descriptions: tuple[str, ...] = ()
    """Lower-case words of a Series Description that speak for a series; none is required."""
    excluded: tuple[str, ...] = ()
    """Lower-case words of a Series Description that rule a series out."""
    body_parts: tuple[str, ...] = ()
    """Words of Body Part Examined (0018,0015) that speak for a series."""
    orientation: Literal["", "axial", "sagittal", "coronal"] = ""
    """The slices' plane, by their positions, within 45 degrees; empty for any."""
    min_slices: int = Field(default=8, ge=2)
    """A series with fewer slices is not considered."""
    max_slices: int = Field(default=100_000, ge=2)
    """A series with more slices is not considered."""
    min_spacing_mm: float = Field(default=0.0, ge=0)
    """Smallest distance between slices, by their positions."""
    max_spacing_mm: float = Field(default=1000.0, gt=0)
    """Largest distance between slices, by their positions."""
    kernels: tuple[str, ...] = ()
    """Beginnings of Convolution Kernel (0018,1210) that speak for a CT series."""
    contrast: Literal["", "with", "without"] = ""
    """Whether a contrast agent should have been given; by header, words, or CT values."""
    lungs: Literal["", "with", "without"] = ""
    """Whether a CT should show lungs, by its values."""
    parts: tuple[PartRule, ...] = ()
    """Which echo, time or acquisition of a series that holds several; the first if not said."""
    irregular: Literal["refuse", "resample"] = "refuse"
    """What happens to slices that are unevenly spaced along a straight line, as they are where one
    is missing: no volume, or one that is interpolated between them."""
    largest_gap_mm: float = Field(default=5.0, gt=0)
    """A gap wider than this is never interpolated over."""

    @model_validator(mode="after")
    def _ordered(self) -> "SeriesRule":
        for low, high in (
            (self.min_slices, self.max_slices),
            (self.min_spacing_mm, self.max_spacing_mm),
        ):
            if not low <= high:
                msg = f"series {self.name}: a smallest value is above the largest, {low} > {high}"
                raise ValueError(msg)
        return self

"""The model's own grid, and how voxel values become its inputs."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from schemas.base import FrozenModel


class Grid(FrozenModel):
    """The model's own grid, axes along R-L, A-P and I-S, centred on the first series there is."""

    spacing_mm: tuple[float, float, float]
    """Voxel size along the patient's left-right, front-back and foot-head axes."""
    size: tuple[int, int, int]
    """Voxels along the same axes; each a multiple of the image encoder's stride."""

    @field_validator("spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.1 <= spacing <= 20.0 for spacing in value):
            msg = f"spacing_mm must be between 0.1 and 20, got {value}"
            raise ValueError(msg)
        return value

    @field_validator("size")
    @classmethod
    def _bounded(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if not all(8 <= size <= 512 and size % 8 == 0 for size in value):
            msg = f"size must be multiples of 8 between 8 and 512, got {value}"
            raise ValueError(msg)
        return value


class Intensity(FrozenModel):
    """How voxel values become the model's inputs."""

    kind: Literal["window", "percentile"]
    """`window`: low..high in HU become -1..1. `percentile`: those of the volume's own head or
    body become -1..1. Both clip beyond, at the top after `headroom`."""
    low: float
    """HU, or a percentile."""
    high: float
    """HU, or a percentile."""
    headroom: float = Field(default=0.0, ge=0.0, le=10.0)
    """How far above `high` values still count, in widths of low..high. With a `high` well inside
    the bulk of the tissue and some headroom, a large bright finding does not change the scale of
    everything else."""

    @model_validator(mode="after")
    def _ordered(self) -> "Intensity":
        if not self.low < self.high:
            msg = f"low must be below high, got {self.low} and {self.high}"
            raise ValueError(msg)
        if self.kind == "percentile" and not (self.low >= 0 and self.high <= 100):
            msg = f"percentiles lie between 0 and 100, got {self.low} and {self.high}"
            raise ValueError(msg)
        return self

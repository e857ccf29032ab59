"""Voxels on a grid, and where each slice came from."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.geometry import Geometry
from schemas.series import FrameSource


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image of one patient.

    Parameters
    ----------
    array : shape (slices, rows, columns), float32
        HU for CT, scanner units for MR. Read-only once stored.
    geometry
        Where the voxels are; its shape is the array's.
    unit
        ``HU`` or ``scanner``.
    series_uid
        Series Instance UID.
    sources
        For each slice, the DICOM instance and frame that it was read from, or that lies nearest
        to it if the volume was resampled.
    scanned
        The grid that the scanner looked at, if the volume was resampled from another (a tilted
        stack's is sheared). What lies outside it holds the volume's smallest value.

    Raises
    ------
    GeometryError
        If shapes or the number of sources disagree.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    unit: Literal["HU", "scanner"]
    series_uid: str
    sources: tuple[FrameSource, ...]
    scanned: Geometry | None = None

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            msg = f"array {self.array.shape} and geometry {self.geometry.shape} differ in shape"
            raise GeometryError(msg)
        if len(self.sources) != self.geometry.shape[0]:
            msg = f"{len(self.sources)} sources for {self.geometry.shape[0]} slices"
            raise GeometryError(msg)
        view = self.array.view()
        view.setflags(write=False)
        object.__setattr__(self, "array", view)

    @property
    def scanned_grid(self) -> Geometry:
        """Where the scanner looked: the volume's own grid unless it was resampled."""
        return self.scanned or self.geometry

    def matches(self, other: Self, *, atol: float = 0.0) -> bool:
        """Say whether both hold the same voxels at the same place, of the same series."""
        return (
            self.geometry.matches(other.geometry)
            and self.unit == other.unit
            and self.series_uid == other.series_uid
            and self.sources == other.sources
            and self.scanned_grid.matches(other.scanned_grid)
            and bool((np.abs(self.array - other.array) <= atol).all())
        )

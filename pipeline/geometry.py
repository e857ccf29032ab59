"""Where voxels are: an affine, a shape and a frame of reference."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import GeometryError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A regular grid of voxels in the patient.

    Parameters
    ----------
    affine : shape (4, 4), mm, LPS
        Takes (slice, row, column, 1), counted from 0 at voxel centres, to DICOM's patient
        coordinates (left, posterior, superior). Read-only once stored.
    shape
        Slices, rows, columns.
    frame_of_reference_uid
        Frame of Reference UID (0020,0052); empty if unknown.

    Raises
    ------
    GeometryError
        If the affine is not finite, not invertible, or left-handed when read in DICOM's order
        (column, row, slice), or the shape is not positive.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            msg = f"an affine is 4x4 and finite, got shape {affine.shape}"
            raise GeometryError(msg)
        (a, b, c, _), (d, e, f, _), (g, h, i, _), last = affine.tolist()
        if last != [0.0, 0.0, 0.0, 1.0]:
            msg = f"an affine's last row is 0 0 0 1, got {affine[3]}"
            raise GeometryError(msg)
        # Reversing the axes to (column, row, slice) flips the sign of the determinant.
        if not a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g) < -1e-9:
            msg = "voxel axes (column, row, slice) must be independent and right-handed"
            raise GeometryError(msg)
        if len(self.shape) != 3 or not all(size > 0 for size in self.shape):
            msg = f"a shape is three positive sizes, got {self.shape}"
            raise GeometryError(msg)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring slices, rows and columns, mm."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, millilitres; of a sheared grid too."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """Centre of the whole volume, shape (3,), mm, LPS."""
        return self.to_mm((np.array(self.shape) - 1.0) / 2.0)

    def to_mm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Take (slice, row, column) indices, shape (..., 3), to mm, LPS, shape (..., 3)."""
        moved: NDArray[np.float64] = (
            np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        )
        return moved

    def to_index(self, position_mm: ArrayLike) -> NDArray[np.float64]:
        """Take positions in mm, LPS, shape (..., 3), to (slice, row, column), shape (..., 3)."""
        offset = np.asarray(position_mm, dtype=np.float64) - self.affine[:3, 3]
        moved: NDArray[np.float64] = offset @ np.linalg.inv(self.affine[:3, :3]).T
        return moved

    def matches(self, other: Self, *, atol_mm: float = 1e-3) -> bool:
        """Say whether both are the same grid in the same frame of reference.

        Compared at the volume's corners, so that ``atol_mm`` is a distance in the patient.
        """
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape])).reshape(3, -1).T
        return (
            self.shape == other.shape
            and self.frame_of_reference_uid == other.frame_of_reference_uid
            and bool(np.abs(self.to_mm(corners) - other.to_mm(corners)).max() <= atol_mm)
        )

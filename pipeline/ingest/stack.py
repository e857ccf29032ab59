"""From positions to a grid: how far a stack is tilted, where its slices lie, what it becomes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.instance import Plane, Vector
from schemas.series import Affine, Resampling

EXACT_MM = 0.01
"""A voxel's corner may lie this far from where its own header says, without a word."""
_TILT_DEG = 0.1
_JITTER_MM = 0.1
_JITTER_FRACTION = 0.1
_WHOLE = 1e-3
_MAX_NORMALS = 1024

Points = NDArray[np.float64]
Corners = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Slices of one size, in order along the normal of the first.

    Parameters
    ----------
    positions : shape (n, 3), mm, LPS
        Centres of their first voxels.
    down, across : shape (n, 3), mm, LPS
        Steps to the next row and to the next column.
    normal : shape (3,), unit length, LPS
    size
        Rows, columns.
    """

    positions: Points
    down: Points
    across: Points
    normal: Points
    size: tuple[int, int]

    @classmethod
    def of(cls, planes: Sequence[Plane], size: tuple[int, int]) -> Self:
        """Take planes in order."""
        spacing = np.array([plane.spacing_mm for plane in planes])
        return cls(
            positions=np.array([plane.position for plane in planes]),
            down=np.array([plane.along_column for plane in planes]) * spacing[:, :1],
            across=np.array([plane.along_row for plane in planes]) * spacing[:, 1:],
            normal=normal_of(planes[0]),
            size=size,
        )

    @property
    def corners(self) -> Points:
        """Centres of their four corner voxels, shape (n, 4, 3), mm, LPS."""
        rows, columns = self.size
        down, across = self.down * (rows - 1), self.across * (columns - 1)
        below = self.positions + down
        corners = (self.positions, below, self.positions + across, below + across)
        return np.stack(corners, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Lean:
    """How slices follow each other.

    Parameters
    ----------
    depth : shape (n,), mm
        Of each slice along the normal.
    direction : shape (3,), LPS
        Of the straight line nearest to their first voxels; its part along the normal is 1.
    gaps_mm : shape (n - 1,), mm
        Between neighbouring slices along the normal.
    tilt_deg : float
        Between the line and the slice normal.
    """

    depth: Points
    direction: Points
    gaps_mm: Points
    tilt_deg: float

    @classmethod
    def of(cls, slices: Slices) -> Self:
        """Measure at least two slices at different places along the normal."""
        depth = slices.positions @ slices.normal
        offset = depth - depth.mean()
        direction = offset @ slices.positions / (offset @ offset)
        along = float(direction @ slices.normal)
        sideways = float(np.linalg.norm(direction - slices.normal * along))
        tilt_deg = float(np.degrees(np.arctan2(sideways, along)))
        return cls(depth, direction, depth[1:] - depth[:-1], tilt_deg)

    @property
    def is_tilted(self) -> bool:
        """Whether the slices lean by more than what rounded positions may show."""
        travel_mm = float(self.gaps_mm.sum()) * np.tan(np.radians(self.tilt_deg))
        return self.tilt_deg > _TILT_DEG and bool(travel_mm > _JITTER_MM)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The straight line on which the first voxels of the slices lie.

    Parameters
    ----------
    affine : shape (4, 4), mm, LPS
        Takes (place, row, column). Its first column is one typical gap along the line.
    places : shape (n,)
        Of each slice, in typical gaps from the first.
    worst_mm : float
        Farthest that a slice's corner lies from where the line puts it.
    """

    affine: Points
    places: Points
    worst_mm: float


def jitter_mm(spacing_mm: float) -> float:
    """Return how far a voxel's corner may lie off the regular grid before a stack is refused."""
    return min(_JITTER_MM, _JITTER_FRACTION * spacing_mm)


def normal_of(plane: Plane) -> Points:
    """Return the slice normal, shape (3,), unit length, LPS; read-only."""
    return _normal(plane.along_row, plane.along_column)


@lru_cache(_MAX_NORMALS)
def _normal(along_row: Vector, along_column: Vector) -> Points:
    (a, b, c), (x, y, z) = along_row, along_column
    normal = np.array([b * z - c * y, c * x - a * z, a * y - b * x])  # np.cross, ten times as fast
    unit: Points = normal / np.linalg.norm(normal)
    unit.setflags(write=False)
    return unit


def corners_of(plane: Plane, rows: int, columns: int) -> Corners:
    """Return the centres of one slice's four corner voxels, mm, LPS."""
    rows_mm, columns_mm = plane.spacing_mm
    down_mm, across_mm = rows_mm * (rows - 1), columns_mm * (columns - 1)
    (x, y, z), (a, b, c), (d, e, f) = plane.position, plane.along_column, plane.along_row
    below = x + a * down_mm, y + b * down_mm, z + c * down_mm
    u, v, w = d * across_mm, e * across_mm, f * across_mm
    return (x, y, z), below, (x + u, y + v, z + w), (below[0] + u, below[1] + v, below[2] + w)


def affine_corners(affine: Points, places: Points, rows: int, columns: int) -> Points:
    """Return the same corners of slices at ``places`` as an affine puts them."""
    index = np.empty((len(places), 4, 3))
    index[:] = (0, 0, 0), (0, rows - 1, 0), (0, 0, columns - 1), (0, rows - 1, columns - 1)
    index[:, :, 0] = places[:, None]
    moved: Points = index @ affine[:3, :3].T + affine[:3, 3]
    return moved


def worst_corner_mm(slices: Slices, affine: Points, places: Points) -> float:
    """Return the farthest that any of the slices' corners lies from where an affine puts it, mm."""
    off = slices.corners - affine_corners(affine, places, *slices.size)
    return math.sqrt(float((off * off).sum(axis=2).max()))


def regular_affine(slices: Slices) -> Points:
    """Fit origin and step by least squares to slices in order, one step apart."""
    n_slices = len(slices.positions)
    index = np.arange(n_slices) - (n_slices - 1) / 2
    step = index @ slices.positions / (index @ index)
    return _affine(slices, step, slices.positions.mean(axis=0) + step * index[0])


def line_of(slices: Slices, lean: Lean) -> Line:
    """Fit a straight line to slices in order, whatever the gaps between them."""
    gap_mm = float(np.median(lean.gaps_mm))
    from_middle = lean.depth[0] - lean.depth.mean()
    origin = slices.positions.mean(axis=0) + lean.direction * from_middle
    affine = _affine(slices, lean.direction * gap_mm, origin)
    places = (lean.depth - lean.depth[0]) / gap_mm
    return Line(affine, places, worst_corner_mm(slices, affine, places))


def resampling_of(lean: Lean, affine: Points, places: Points, size: tuple[int, int]) -> Resampling:
    """Return the right, regular grid for a stack whose slices lie at ``places`` of ``affine``.

    It runs from the first slice to the last in whole steps as near as possible to the stack's,
    its slices lie in the planes of the scanned ones, its rows and columns are theirs, and it is so
    wide that every scanned voxel of a tilted stack is inside.
    """
    n_steps = max(round(float(places[-1])), 1)
    scanned = affine.copy()
    scanned[:3, 0] *= float(places[-1]) / n_steps
    # Sideways way of one step, in rows and columns.
    shift = np.linalg.lstsq(scanned[:3, 1:3], scanned[:3, 0], rcond=None)[0]
    travel = np.outer([0.0, float(n_steps)], shift)
    low = np.floor(travel.min(axis=0) + _WHOLE)
    high = np.ceil(travel.max(axis=0) - _WHOLE)
    target = scanned.copy()
    target[:3, 0] -= scanned[:3, 1:3] @ shift
    target[:3, 3] += scanned[:3, 1:3] @ low
    rows, columns = (int(n + step) for n, step in zip(size, high - low, strict=True))
    return Resampling(
        affine_lps=as_rows(scanned),
        places=tuple(float(place) for place in places * n_steps / places[-1]),
        source_shape=(len(places), *size),
        target_affine_lps=as_rows(target),
        target_shape=(n_steps + 1, rows, columns),
        tilt_deg=lean.tilt_deg if lean.is_tilted else 0.0,
        largest_gap_mm=float(lean.gaps_mm.max()),
    )


def as_rows(affine: Points) -> Affine:
    """Return an affine as plain numbers."""
    return tuple((a, b, c, d) for a, b, c, d in affine.tolist())


def _affine(slices: Slices, step: Points, origin: Points) -> Points:
    """Put the mean axes of the slices beside a step and an origin."""
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = slices.down.mean(axis=0)
    affine[:3, 2] = slices.across.mean(axis=0)
    affine[:3, 3] = origin
    return affine

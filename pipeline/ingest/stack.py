"""From positions to a grid: how far a stack is tilted, where its slices lie, what it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.instance import Plane
from schemas.series import Affine, Resampling

EXACT_MM = 0.01
"""A voxel's corner may lie this far from where its own header says, without a word."""
_TILT_DEG = 0.1
_JITTER_MM = 0.1
_JITTER_FRACTION = 0.1
_WHOLE = 1e-3

Points = NDArray[np.float64]
Corners = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The straight line on which the first voxels of the slices lie.

    Parameters
    ----------
    affine : shape (4, 4), mm, LPS
        Takes (place, row, column). Its first column is one typical gap along the line.
    places : shape (n,)
        Of each slice, in typical gaps from the first.
    gaps_mm : shape (n - 1,), mm
        Between neighbouring slices along the normal.
    worst_mm : float
        Farthest that a slice's corner lies from where the line puts it.
    tilt_deg : float
        Between the line and the slice normal.
    """

    affine: Points
    places: Points
    gaps_mm: Points
    worst_mm: float
    tilt_deg: float

    @property
    def is_tilted(self) -> bool:
        """Whether the slices lean by more than what rounded positions may show."""
        travel_mm = float(self.gaps_mm.sum()) * np.tan(np.radians(self.tilt_deg))
        return self.tilt_deg > _TILT_DEG and bool(travel_mm > _JITTER_MM)


def jitter_mm(spacing_mm: float) -> float:
    """Return how far a voxel's corner may lie off the regular grid before a stack is refused."""
    return min(_JITTER_MM, _JITTER_FRACTION * spacing_mm)


def normal_of(plane: Plane) -> Points:
    """Return the slice normal, shape (3,), unit length, LPS."""
    (a, b, c), (x, y, z) = plane.along_row, plane.along_column
    normal = np.array([b * z - c * y, c * x - a * z, a * y - b * x])  # np.cross, ten times as fast
    unit: Points = normal / np.linalg.norm(normal)
    return unit


def slice_corners(planes: Sequence[Plane], rows: int, columns: int) -> Points:
    """Return the centres of the slices' four corner voxels, shape (n, 4, 3), mm, LPS."""
    return np.array([corners_of(plane, rows, columns) for plane in planes])


def corners_of(plane: Plane, rows: int, columns: int) -> Corners:
    """Return the centres of one slice's four corner voxels, mm, LPS."""
    rows_mm, columns_mm = plane.spacing_mm
    down = [step * rows_mm * (rows - 1) for step in plane.along_column]
    across = [step * columns_mm * (columns - 1) for step in plane.along_row]
    first = plane.position
    below = [a + b for a, b in zip(first, down, strict=True)]
    beside = [a + b for a, b in zip(first, across, strict=True)]
    return first, below, beside, [a + b for a, b in zip(below, across, strict=True)]


def affine_corners(affine: Points, places: Points, rows: int, columns: int) -> Points:
    """Return the same corners of slices at ``places`` as an affine puts them."""
    corners = np.array(
        [(0, 0, 0), (0, rows - 1, 0), (0, 0, columns - 1), (0, rows - 1, columns - 1)]
    )
    index = corners + np.multiply.outer(places, [1.0, 0.0, 0.0])[:, None]
    moved: Points = index @ affine[:3, :3].T + affine[:3, 3]
    return moved


def worst_corner_mm(
    corners: Points, affine: Points, places: Points, size: tuple[int, int]
) -> float:
    """Return the farthest that any of the slices' corners lies from where an affine puts it, mm."""
    off = corners - affine_corners(affine, places, *size)
    return float(np.linalg.norm(off, axis=2).max())


def regular_affine(planes: Sequence[Plane]) -> Points:
    """Fit origin and step by least squares to slices in order, one step apart."""
    positions = np.array([plane.position for plane in planes])
    index = np.arange(len(planes)) - (len(planes) - 1) / 2
    step = index @ positions / (index @ index)
    return _affine(planes, step, positions.mean(axis=0) + step * index[0])


def line_of(planes: Sequence[Plane], corners: Points, size: tuple[int, int]) -> Line:
    """Fit a straight line to slices in order, whatever the gaps between them.

    Parameters
    ----------
    planes
        At least two, at different places along the normal.
    corners : shape (n, 4, 3), mm, LPS
        Theirs, by ``slice_corners``.
    size
        Rows, columns.
    """
    positions = np.array([plane.position for plane in planes])
    normal = normal_of(planes[0])
    depth = positions @ normal
    offset = depth - depth.mean()
    # Its part along the normal is 1 by construction.
    direction = offset @ positions / (offset @ offset)
    gaps = np.diff(depth)
    gap_mm = float(np.median(gaps))
    step = direction * gap_mm
    origin = positions.mean(axis=0) + direction * offset[0]
    affine = _affine(planes, step, origin)
    places = (depth - depth[0]) / gap_mm
    sideways = float(np.linalg.norm(direction - normal * (direction @ normal)))
    return Line(
        affine=affine,
        places=places,
        gaps_mm=gaps,
        worst_mm=worst_corner_mm(corners, affine, places, size),
        tilt_deg=float(np.degrees(np.arctan2(sideways, float(direction @ normal)))),
    )


def resampling_of(line: Line, affine: Points, places: Points, size: tuple[int, int]) -> Resampling:
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
        tilt_deg=line.tilt_deg if line.is_tilted else 0.0,
        largest_gap_mm=float(line.gaps_mm.max()),
    )


def as_rows(affine: Points) -> Affine:
    """Return an affine as plain numbers."""
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in affine)


def _affine(planes: Sequence[Plane], step: Points, origin: Points) -> Points:
    """Put the mean axes of the slices beside a step and an origin."""
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = np.mean([np.array(p.along_column) * p.spacing_mm[0] for p in planes], axis=0)
    affine[:3, 2] = np.mean([np.array(p.along_row) * p.spacing_mm[1] for p in planes], axis=0)
    affine[:3, 3] = origin
    return affine

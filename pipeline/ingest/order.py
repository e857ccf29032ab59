"""Geometry of a stack of slices from their positions and orientations alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.instance import FoundFrame, Plane
from schemas.issue import Issue, IssueCode, Severity

MIN_SLICES = 3
"""Two slices have one gap, which cannot show whether a third is missing between them."""
EXACT_MM = 0.01
"""A voxel's corner may lie this far from where its own header says, without a word."""
_JITTER_MM = 0.1
_JITTER_FRACTION = 0.1
_TILT_DEG = 0.1

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames in order along the slice normal, and the affine that fits them."""

    frames: tuple[FoundFrame, ...]
    affine: Points
    """Shape (4, 4), mm, LPS; takes (slice, row, column)."""
    issues: tuple[Issue, ...]


def jitter_mm(spacing_mm: float) -> float:
    """Return how far a voxel's corner may lie off the regular grid before a stack is refused."""
    return min(_JITTER_MM, _JITTER_FRACTION * spacing_mm)


def stack_frames(frames: Sequence[FoundFrame]) -> Stack:
    """Order slices of one orientation, size and pixel spacing, and fit one regular grid to them.

    Only Image Position (0020,0032), Image Orientation (0020,0037) and Pixel Spacing (0028,0030)
    are read, never Instance Number, Slice Location, Slice Thickness or Spacing Between Slices.
    Slices run along the normal, the cross product of the row's and the column's direction.

    Parameters
    ----------
    frames
        At least ``MIN_SLICES``, each with a plane, in any order.

    Returns
    -------
    Stack
        With an error among its issues if the positions form no regular, untilted stack.
    """
    planes = [plane_of(found) for found in frames]
    normal = normal_of(planes[0])
    positions = np.array([plane.position for plane in planes])
    order = sorted(
        range(len(frames)),
        key=lambda i: (float(positions[i] @ normal), frames[i].instance.sop_uid, i),
    )
    planes, positions = [planes[i] for i in order], positions[order]
    affine = _fit(planes, positions)
    return Stack(
        frames=tuple(frames[i] for i in order),
        affine=affine,
        issues=_issues(frames[0].frame.rows, frames[0].frame.columns, planes, affine),
    )


def plane_of(found: FoundFrame) -> Plane:
    """Return the plane of a frame that is known to have one."""
    if found.frame.plane is None:
        msg = "a frame without a plane cannot be placed"
        raise ValueError(msg)
    return found.frame.plane


def normal_of(plane: Plane) -> Points:
    """Return the slice normal, shape (3,), unit length, LPS."""
    normal: Points = np.cross(plane.along_row, plane.along_column)
    unit: Points = normal / np.linalg.norm(normal)
    return unit


def slice_corners(plane: Plane, rows: int, columns: int) -> Points:
    """Return the centres of a slice's four corner voxels, shape (4, 3), mm, LPS."""
    down = np.array(plane.along_column) * plane.spacing_mm[0] * (rows - 1)
    across = np.array(plane.along_row) * plane.spacing_mm[1] * (columns - 1)
    corners: Points = np.array([0 * down, down, across, down + across]) + plane.position
    return corners


def affine_corners(affine: Points, index: int, rows: int, columns: int) -> Points:
    """Return the same corners of slice ``index`` as an affine places them."""
    corners = [(index, r, c, 1) for r, c in ((0, 0), (rows - 1, 0), (0, columns - 1))]
    corners.append((index, rows - 1, columns - 1, 1))
    moved: Points = np.array(corners, dtype=np.float64) @ affine.T
    return moved[:, :3]


def _fit(planes: Sequence[Plane], positions: Points) -> Points:
    """Fit origin and step by least squares; the plane's own axes are those of the mean slice."""
    index = np.arange(len(planes)) - (len(planes) - 1) / 2
    step = index @ positions / (index @ index)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = np.mean([np.array(p.along_column) * p.spacing_mm[0] for p in planes], axis=0)
    affine[:3, 2] = np.mean([np.array(p.along_row) * p.spacing_mm[1] for p in planes], axis=0)
    affine[:3, 3] = positions.mean(axis=0) + step * index[0]
    return affine


def _issues(rows: int, columns: int, planes: Sequence[Plane], affine: Points) -> tuple[Issue, ...]:
    normal = normal_of(planes[0])
    gaps = np.diff([np.array(plane.position) @ normal for plane in planes])
    n_repeated = int((gaps <= EXACT_MM).sum())
    if n_repeated:
        return (_repeated(n_repeated, len(planes)),)
    worst = max(
        float(np.linalg.norm(own - fitted, axis=1).max())
        for own, fitted in (
            (slice_corners(plane, rows, columns), affine_corners(affine, i, rows, columns))
            for i, plane in enumerate(planes)
        )
    )
    found = [_tilted(affine, normal), _uneven(gaps, worst)]
    return tuple(issue for issue in found if issue is not None)


def _repeated(n_repeated: int, n_frames: int) -> Issue:
    return Issue(
        code=IssueCode.SERIES_AMBIGUOUS,
        severity=Severity.ERROR,
        message=f"{n_repeated} of {n_frames} images share a position with another, and nothing "
        "in the headers tells them apart.",
    )


def _tilted(affine: Points, normal: Points) -> Issue | None:
    step = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(step, normal)), step @ normal)))
    if tilt <= _TILT_DEG:
        return None
    return Issue(
        code=IssueCode.GEOMETRY_TILTED,
        severity=Severity.ERROR,
        message=f"Slice positions run {tilt:.2f} degrees off the slice normal (gantry tilt); at "
        f"most {_TILT_DEG} is read.",
    )


def _uneven(gaps: Points, worst_mm: float) -> Issue | None:
    bound = jitter_mm(float(gaps.mean()))
    if worst_mm <= EXACT_MM:
        return None
    if worst_mm <= bound:
        return Issue(
            code=IssueCode.GEOMETRY_IRREGULAR,
            severity=Severity.WARNING,
            message=f"Slices lie up to {worst_mm:.3f} mm off a regular grid; up to {bound:.3f} mm "
            "is tolerated.",
        )
    typical = float(np.median(gaps))
    spread = f"gaps between slices run from {gaps.min():.3f} to {gaps.max():.3f} mm"
    n_missing = int(np.rint(gaps / typical - 1).clip(0).sum())
    is_whole = bool((np.abs(gaps / typical - np.rint(gaps / typical)) < 0.1).all())
    why = f"{n_missing} slices are missing" if n_missing and is_whole else "unevenly spaced"
    return Issue(
        code=IssueCode.GEOMETRY_IRREGULAR,
        severity=Severity.ERROR,
        message=f"The slices form no regular grid ({why}): {spread}, and one lies "
        f"{worst_mm:.3f} mm off; up to {bound:.3f} mm is tolerated.",
    )

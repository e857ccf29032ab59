"""Slices in order along their normal, and what their positions say of the stack."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.ingest.instance import FoundFrame, Plane
from pipeline.ingest.pixel_format import MAX_VOXELS
from pipeline.ingest.stack import (
    EXACT_MM,
    Line,
    Points,
    jitter_mm,
    line_of,
    normal_of,
    regular_affine,
    resampling_of,
    slice_corners,
    worst_corner_mm,
)
from schemas.issue import Issue, IssueCode, Severity
from schemas.series import Resampling

MIN_SLICES = 3
"""Two slices have one gap, which cannot show whether a third is missing between them."""
MAX_TILT_DEG = 35.0
"""Gantries tilt up to 30 degrees; what leans more is something else."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames in order along the slice normal, and the affine that fits them."""

    frames: tuple[FoundFrame, ...]
    affine: Points
    """Shape (4, 4), mm, LPS; takes (slice, row, column)."""
    issues: tuple[Issue, ...]
    resampling: Resampling | None = None
    """How a right, regular volume can be made where the slices themselves are none."""


def stack_frames(frames: Sequence[FoundFrame]) -> Stack:
    """Order slices of one orientation, size and pixel spacing, and fit a grid to them.

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
        A tilted stack has a warning and a resampling. One that is not regular has an error, and
        a resampling all the same if its slices lie on a straight line.
    """
    planes = [plane_of(found) for found in frames]
    depth = np.array([plane.position for plane in planes]) @ normal_of(planes[0])
    order = sorted(
        range(len(frames)),
        key=lambda i: (float(depth[i]), frames[i].instance.sop_uid, frames[i].frame.number),
    )
    found = tuple(frames[i] for i in order)
    planes = [planes[i] for i in order]
    affine = regular_affine(planes)
    n_repeated = int((np.diff(depth[order]) <= EXACT_MM).sum())
    if n_repeated:
        return Stack(found, affine, (_repeated(n_repeated, len(planes)),))
    return _stack(found, planes, affine)


def plane_of(found: FoundFrame) -> Plane:
    """Return the plane of a frame that is known to have one."""
    if found.frame.plane is None:
        msg = "a frame without a plane cannot be placed"
        raise ValueError(msg)
    return found.frame.plane


def _stack(frames: tuple[FoundFrame, ...], planes: Sequence[Plane], affine: Points) -> Stack:
    size = (frames[0].frame.rows, frames[0].frame.columns)
    corners = slice_corners(planes, *size)
    line = line_of(planes, corners, size)
    places = np.arange(len(planes), dtype=np.float64)
    worst = worst_corner_mm(corners, affine, places, size)
    is_regular = worst <= _bound_mm(line)
    issues = (*_tilted(line), *_uneven(line, worst))
    if is_regular and not line.is_tilted:
        return Stack(frames, affine, issues)
    resampling = None
    if is_regular:
        resampling = resampling_of(line, affine, places, size)
    elif line.worst_mm <= _bound_mm(line):
        resampling = resampling_of(line, line.affine, line.places, size)
    if resampling is not None and np.prod(resampling.target_shape, dtype=float) > MAX_VOXELS:
        return Stack(frames, affine, (*issues, _too_large(resampling)))
    return Stack(frames, affine, issues, resampling)


def _bound_mm(line: Line) -> float:
    return max(jitter_mm(float(line.gaps_mm.mean())), EXACT_MM)


def _repeated(n_repeated: int, n_frames: int) -> Issue:
    return Issue(
        code=IssueCode.SERIES_AMBIGUOUS,
        severity=Severity.ERROR,
        message=f"{n_repeated} of {n_frames} images share a position with another, and nothing "
        "in the headers tells them apart.",
    )


def _too_large(resampling: Resampling) -> Issue:
    size = "x".join(map(str, resampling.target_shape))
    message = f"{size} voxels once the tilt is undone; at most {MAX_VOXELS} are read."
    return Issue(code=IssueCode.SERIES_UNREADABLE, severity=Severity.ERROR, message=message)


def _tilted(line: Line) -> tuple[Issue, ...]:
    if not line.is_tilted:
        return ()
    is_gantry = line.tilt_deg <= MAX_TILT_DEG
    what = (
        "the volume is resampled onto a right grid"
        if is_gantry
        else f"at most {MAX_TILT_DEG:.0f} is read"
    )
    issue = Issue(
        code=IssueCode.GEOMETRY_TILTED,
        severity=Severity.WARNING if is_gantry else Severity.ERROR,
        message=f"Slice positions run {line.tilt_deg:.2f} degrees off the slice normal (gantry "
        f"tilt); {what}.",
    )
    return (issue,)


def _uneven(line: Line, worst_mm: float) -> tuple[Issue, ...]:
    bound = _bound_mm(line)
    if worst_mm <= EXACT_MM:
        return ()
    is_tolerated = worst_mm <= bound
    message = (
        f"Slices lie up to {worst_mm:.3f} mm off a regular grid; up to {bound:.3f} mm is tolerated."
        if is_tolerated
        else f"The slices form no regular grid ({_reason(line)}), and one lies {worst_mm:.3f} mm "
        f"off; up to {bound:.3f} mm is tolerated."
    )
    severity = Severity.WARNING if is_tolerated else Severity.ERROR
    return (Issue(code=IssueCode.GEOMETRY_IRREGULAR, severity=severity, message=message),)


def _reason(line: Line) -> str:
    gaps = line.gaps_mm
    steps = gaps / float(np.median(gaps))
    n_missing = int(np.rint(steps - 1).clip(0).sum())
    is_whole = bool((np.abs(steps - np.rint(steps)) < 0.1).all())
    why = f"{n_missing} slices are missing" if n_missing and is_whole else "unevenly spaced"
    if line.worst_mm > _bound_mm(line):
        why += ", and not on a straight line"
    return f"{why}: gaps between slices run from {gaps.min():.3f} to {gaps.max():.3f} mm"

"""Slices in order along their normal, and what their positions say of the stack."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.ingest.instance import FoundFrame, Plane
from pipeline.ingest.pixel_format import MAX_VOXELS
from pipeline.ingest.stack import (
    EXACT_MM,
    Lean,
    Points,
    Slices,
    jitter_mm,
    line_of,
    normal_of,
    regular_affine,
    resampling_of,
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
    depth = (np.array([plane.position for plane in planes]) @ normal_of(planes[0])).tolist()
    order = sorted(
        range(len(frames)),
        key=lambda i: (depth[i], frames[i].instance.sop_uid, frames[i].frame.number),
    )
    found = tuple(frames[i] for i in order)
    first = found[0].frame
    slices = Slices.of([planes[i] for i in order], (first.rows, first.columns))
    n_repeated = sum(depth[after] - depth[i] <= EXACT_MM for i, after in pairwise(order))
    if n_repeated:
        return Stack(found, regular_affine(slices), (_repeated(n_repeated, len(order)),))
    return _stack(found, slices)


def plane_of(found: FoundFrame) -> Plane:
    """Return the plane of a frame that is known to have one."""
    if found.frame.plane is None:
        msg = "a frame without a plane cannot be placed"
        raise ValueError(msg)
    return found.frame.plane


def _stack(frames: tuple[FoundFrame, ...], slices: Slices) -> Stack:
    affine, lean = regular_affine(slices), Lean.of(slices)
    places = np.arange(len(frames), dtype=np.float64)
    worst, bound = worst_corner_mm(slices, affine, places), _bound_mm(lean)
    if worst <= bound and not lean.is_tilted:
        return Stack(frames, affine, _jittered(worst, bound))
    resampling, issues = None, _tilted(lean)
    if worst <= bound:
        issues += _jittered(worst, bound)
        resampling = resampling_of(lean, affine, places, slices.size)
    else:
        line = line_of(slices, lean)
        is_straight = line.worst_mm <= bound
        issues += (_irregular(_reason(lean.gaps_mm, is_straight=is_straight), worst, bound),)
        if is_straight:
            resampling = resampling_of(lean, line.affine, line.places, slices.size)
    if resampling is not None and np.prod(resampling.target_shape, dtype=float) > MAX_VOXELS:
        return Stack(frames, affine, (*issues, _too_large(resampling)))
    return Stack(frames, affine, issues, resampling)


def _bound_mm(lean: Lean) -> float:
    return max(jitter_mm(float(lean.gaps_mm.mean())), EXACT_MM)


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


def _tilted(lean: Lean) -> tuple[Issue, ...]:
    if not lean.is_tilted:
        return ()
    is_gantry = lean.tilt_deg <= MAX_TILT_DEG
    what = (
        "the volume is resampled onto a right grid"
        if is_gantry
        else f"at most {MAX_TILT_DEG:.0f} is read"
    )
    issue = Issue(
        code=IssueCode.GEOMETRY_TILTED,
        severity=Severity.WARNING if is_gantry else Severity.ERROR,
        message=f"Slice positions run {lean.tilt_deg:.2f} degrees off the slice normal (gantry "
        f"tilt); {what}.",
    )
    return (issue,)


def _jittered(worst_mm: float, bound_mm: float) -> tuple[Issue, ...]:
    if worst_mm <= EXACT_MM:
        return ()
    message = (
        f"Slices lie up to {worst_mm:.3f} mm off a regular grid; up to {bound_mm:.3f} mm is "
        "tolerated."
    )
    code = IssueCode.GEOMETRY_IRREGULAR
    return (Issue(code=code, severity=Severity.WARNING, message=message),)


def _irregular(reason: str, worst_mm: float, bound_mm: float) -> Issue:
    message = (
        f"The slices form no regular grid ({reason}), and one lies {worst_mm:.3f} mm off; up to "
        f"{bound_mm:.3f} mm is tolerated."
    )
    code = IssueCode.GEOMETRY_IRREGULAR
    return Issue(code=code, severity=Severity.ERROR, message=message)


def _reason(gaps: Points, *, is_straight: bool) -> str:
    steps = gaps / float(np.median(gaps))
    n_missing = int(np.rint(steps - 1).clip(0).sum())
    is_whole = bool((np.abs(steps - np.rint(steps)) < 0.1).all())
    why = f"{n_missing} slices are missing" if n_missing and is_whole else "unevenly spaced"
    if not is_straight:
        why += ", and not on a straight line"
    return f"{why}: gaps between slices run from {gaps.min():.3f} to {gaps.max():.3f} mm"

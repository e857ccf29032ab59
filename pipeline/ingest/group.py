"""The frames of one DICOM series, divided into what could each be one volume."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.ingest.contrast import mixture_issues
from pipeline.ingest.instance import FoundFrame, Plane
from pipeline.ingest.order import MIN_SLICES, plane_of
from pipeline.ingest.stack import EXACT_MM, normal_of
from schemas.issue import Issue, IssueCode, Severity

_COSINE_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 1e-3

Frames = Sequence[FoundFrame]
Traits = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Frames that could be one volume, or that were set aside together."""

    frames: tuple[FoundFrame, ...]
    label: str = ""
    """What tells it apart from the series' other parts."""
    traits: Traits = ()
    """The header values among that, by name."""
    is_set_aside: bool = False
    issues: tuple[Issue, ...] = ()


def split_series(frames: Frames) -> tuple[Part, ...]:
    """Divide the frames of one series.

    Always apart: what was set aside (localizers, derived, colour), by reason; then frame of
    reference, size, orientation and pixel spacing. Where several of the remaining images share a
    position, the first trait that tells them apart divides them (echo, phase, b-value,
    repetition and so on), and so on until no position is shared or no trait is left.

    Parameters
    ----------
    frames
        All of one series, in any order.

    Returns
    -------
    tuple of Part
        A frame is in exactly one.
    """
    aside = [found for found in frames if found.frame.set_aside is not None]
    slices = [found for found in frames if found.frame.set_aside is None]
    parts = [
        Part(tuple(group), label=_aside_label(group), is_set_aside=True)
        for group in _divide(aside, _aside_key)
    ]
    if any(found.frame.plane is None for found in slices):
        return (Part(tuple(slices), issues=(_unplaced(slices),)), *parts)
    groups = _divide(slices, _plane_key(slices))
    strays = _stray_issues(groups)
    for group, issues in zip(groups, strays, strict=True):
        label = _plane_label(group) if len(groups) > 1 else ""
        for traits, members in _split_by_traits(group):
            words = [f"{name} {value}".strip() for name, value in traits]
            name = ", ".join(text for text in (label, *words) if text)
            found = (*issues, *mixture_issues(members))
            parts.append(Part(tuple(members), label=name, traits=traits, issues=found))
    return tuple(parts)


def _aside_key(found: FoundFrame) -> Hashable:
    return found.frame.set_aside.code if found.frame.set_aside else None


def _aside_label(group: Frames) -> str:
    return group[0].frame.set_aside.phrase if group[0].frame.set_aside else ""


def _divide(frames: Frames, key: Callable[[FoundFrame], Hashable]) -> list[list[FoundFrame]]:
    groups: dict[Hashable, list[FoundFrame]] = defaultdict(list)
    for found in frames:
        groups[key(found)].append(found)
    return sorted(groups.values(), key=lambda group: min(map(_identity, group)))


def _identity(found: FoundFrame) -> tuple[str, int]:
    return found.instance.sop_uid, found.frame.number


def _plane_key(frames: Frames) -> Callable[[FoundFrame], Hashable]:
    """Key on frame of reference and size exactly, on orientation and spacing within tolerance."""
    planes = {plane_of(found) for found in frames}
    orientation = _clusters(
        ((*p.along_row, *p.along_column) for p in planes), _COSINE_TOLERANCE, is_relative=False
    )
    spacing = _clusters((p.spacing_mm for p in planes), _SPACING_TOLERANCE, is_relative=True)

    def key(found: FoundFrame) -> Hashable:
        plane, frame = plane_of(found), found.frame
        turned = orientation[(*plane.along_row, *plane.along_column)]
        size = (frame.rows, frame.columns, spacing[plane.spacing_mm])
        return turned, frame.frame_of_reference_uid, size

    return key


def _clusters(
    values: Iterable[tuple[float, ...]], tolerance: float, *, is_relative: bool
) -> dict[tuple[float, ...], int]:
    """Give each value the number of the first one, in sorted order, that it is close to."""
    leaders: list[tuple[float, ...]] = []
    numbers = {}
    for value in sorted(set(values)):
        bound = tolerance * min(value) if is_relative else tolerance
        near = (
            number
            for number, leader in enumerate(leaders)
            if max(abs(a - b) for a, b in zip(value, leader, strict=True)) <= bound
        )
        numbers[value] = next(near, len(leaders))
        if numbers[value] == len(leaders):
            leaders.append(value)
    return numbers


def _plane_label(group: Frames) -> str:
    plane, frame = plane_of(group[0]), group[0].frame
    axis = ("sagittal", "coronal", "axial")[int(np.abs(normal_of(plane)).argmax())]
    rows_mm, columns_mm = plane.spacing_mm
    return f"{axis} {frame.rows}x{frame.columns} of {rows_mm:.3g}x{columns_mm:.3g} mm"


def _stray_issues(groups: Sequence[Frames]) -> list[tuple[Issue, ...]]:
    """Say of each group that there are others, with the worst reason first found.

    A few slices of another size or spacing among parallel ones strayed, so the series is at fault
    and all of it is refused, as it is with two frames of reference. Groups that are volumes of
    their own, or lie in different directions, stand, with a warning.
    """
    found = []
    for group in groups:
        issues = [_mixed(group, other) for other in groups if other is not group]
        found.append(
            tuple(sorted(issues, key=lambda issue: issue.severity is Severity.WARNING)[:1])
        )
    return found


def _is_parallel(group: Frames, other: Frames) -> bool:
    first, second = plane_of(group[0]), plane_of(other[0])
    return bool(abs(normal_of(first) @ normal_of(second)) > 1 - _COSINE_TOLERANCE)


def _mixed(group: Frames, other: Frames) -> Issue:
    is_other_frame = group[0].frame.frame_of_reference_uid != other[0].frame.frame_of_reference_uid
    is_stray = _is_parallel(group, other) and min(len(group), len(other)) < MIN_SLICES
    what = "frames of reference" if is_other_frame else "orientations, sizes or pixel spacings"
    return Issue(
        code=IssueCode.IDENTITY_CONFLICT if is_other_frame else IssueCode.GEOMETRY_MIXED,
        severity=Severity.ERROR if is_stray or is_other_frame else Severity.WARNING,
        message=f"The series mixes {what}: {len(group)} images here, {len(other)} others.",
    )


def _unplaced(frames: Frames) -> Issue:
    n_unplaced = sum(found.frame.plane is None for found in frames)
    return Issue(
        code=IssueCode.GEOMETRY_MISSING,
        severity=Severity.ERROR,
        message=f"{n_unplaced} of {len(frames)} images lack a valid position, orientation or "
        "pixel spacing.",
    )


def _split_by_traits(frames: Frames) -> list[tuple[Traits, Frames]]:
    """Divide images that share positions by the first trait that may name volumes.

    It makes no more groups than images share one position, since a trait that differs from slice
    to slice (a trigger time, say) names no volume. Either one of its groups has an image at every
    position, or each is a run of neighbouring ones (two scans that overlap): the packages of an
    interleaved scan are no volumes.
    """
    places = _places(frames)
    n_shared = len(frames) - len(set(places.values()))
    most = max(Counter(places.values()).values())
    for name in _trait_names(frames) if n_shared else ():
        groups = _divide(frames, partial(_trait, name=name))
        taken = [{places[_identity(found)] for found in group} for group in groups]
        left = sum(len(group) - len(own) for group, own in zip(groups, taken, strict=True))
        is_whole = any(len(own) == len(set(places.values())) for own in taken)
        are_runs = all(max(own) - min(own) + 1 == len(own) >= MIN_SLICES for own in taken)
        if 1 < len(groups) <= most and (is_whole or are_runs) and left < n_shared:
            return [
                (((name, _trait(group[0], name=name)), *traits), members)
                for group in groups
                for traits, members in _split_by_traits(group)
            ]
    return [((), frames)]


def _trait_names(frames: Frames) -> list[str]:
    """Names of all traits, in the order in which they are tried."""
    longest = max((found.frame.traits for found in frames), key=len)
    names = [name for name, _ in longest]
    others = sorted({name for found in frames for name, _ in found.frame.traits} - set(names))
    return list(dict.fromkeys(names + others))


def _trait(found: FoundFrame, *, name: str) -> str:
    return next((value for key, value in found.frame.traits if key == name), "")


def _places(frames: Frames) -> dict[tuple[str, int], int]:
    """Give each image the number of its place along the normal."""
    planes: list[Plane] = [plane_of(found) for found in frames]
    x, y, z = normal_of(planes[0]).tolist()
    depth = [p.position[0] * x + p.position[1] * y + p.position[2] * z for p in planes]
    places, number, before = {}, 0, min(depth)
    for i in sorted(range(len(frames)), key=depth.__getitem__):
        number += depth[i] - before > EXACT_MM
        before = depth[i]
        places[_identity(frames[i])] = number
    return places


def summed_faults(frames: Frames) -> tuple[Issue, ...]:
    """Turn the faults of single frames into one issue each for all of them."""
    counts: Counter[tuple[IssueCode, bool, str]] = Counter()
    for found in frames:
        aside = (found.frame.set_aside,) if found.frame.set_aside else ()
        for fault in (*aside, *found.frame.faults):
            counts[fault.code, fault.is_error, fault.phrase] += 1
    return tuple(
        Issue(
            code=code,
            severity=Severity.ERROR if is_error else Severity.WARNING,
            message=f"{n} of {len(frames)} images: {phrase}.",
        )
        for (code, is_error, phrase), n in sorted(counts.items())
    )

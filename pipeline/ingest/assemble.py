"""The frames found under one Series Instance UID become one Series, or several."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pipeline.ingest.group import Part, split_series, summed_faults
from pipeline.ingest.identity import shared_instance
from pipeline.ingest.instance import Component, FoundFrame, Instance
from pipeline.ingest.order import MIN_SLICES, Stack, stack_frames
from pipeline.ingest.person import patient_sha256
from pipeline.ingest.pixel_format import MAX_VOXELS
from pipeline.ingest.stack import as_rows
from pipeline.ingest.uids import derived_uid
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.series import Affine, FrameSource, Series


def series_of(
    instances: Sequence[Instance],
    *,
    study_uid: str,
    series_uid: str,
    issues: tuple[Issue, ...],
    suspects: set[str],
) -> tuple[Series, ...]:
    """Build every volume that one DICOM series holds.

    The only part that is not set aside keeps the series' UID. Every other part gets
    ``derived_uid("part", series_uid, ...)`` of the SOP Instance UIDs and frame numbers in it, so
    that it depends on the content alone and no two collide.

    Parameters
    ----------
    instances
        All of one series.
    issues
        Faults of the series as a whole; each part carries them.
    suspects
        SOP Instance UIDs that stand for several contents; only parts that hold one are refused.
    """
    found = [FoundFrame(instance, frame) for instance in instances for frame in instance.frames]
    parts = split_series(found)
    is_only = sum(not part.is_set_aside for part in parts) == 1 or len(parts) == 1
    built = []
    for part in parts:
        keeps = is_only and (not part.is_set_aside or len(parts) == 1)
        uid = series_uid if keeps else _part_uid(series_uid, part)
        split = () if keeps else (_split(len(parts)),)
        members = [found.instance for found in part.frames]
        built.append(
            _series(
                part,
                study_uid=study_uid,
                uids=(uid, "" if keeps else series_uid),
                issues=(*issues, *shared_instance(members, suspects), *split),
            )
        )
    return tuple(built)


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the first of the known moments."""
    return min((moment for moment in moments if moment is not None), default=None)


def _series(
    part: Part, *, study_uid: str, uids: tuple[str, str], issues: tuple[Issue, ...]
) -> Series:
    first = part.frames[0]
    size = _size_issue(part)
    is_stack = not (part.is_set_aside or has_errors(part.issues + size))
    stack = stack_frames(part.frames) if is_stack else None
    found = (*issues, *part.issues, *summed_faults(part.frames), *size)
    found += stack.issues if stack else ()
    shape = (len(part.frames), first.frame.rows, first.frame.columns)
    is_good = stack is not None and not has_errors(found)
    resampling = stack.resampling if stack is not None else None
    if resampling is not None:
        shape = resampling.target_shape
    return Series(
        series_uid=uids[0],
        source_uid=uids[1],
        part=part.label,
        traits=part.traits,
        component=_component(part.frames),
        study_uid=study_uid,
        patient_sha256=patient_sha256(first.instance),
        modality=first.instance.modality,
        description=first.instance.description,
        body_part=first.instance.about.body_part,
        kernel=first.instance.about.kernel,
        contrast_agent=first.instance.about.contrast_agent,
        frame_of_reference_uid=first.frame.frame_of_reference_uid,
        acquired_at=earliest(found.instance.acquired_at for found in part.frames),
        n_frames=len(part.frames),
        frames=tuple(map(_source, stack.frames)) if stack else (),
        files=tuple(sorted({found.instance.file for found in part.frames})),
        shape=shape if is_good else None,
        affine_lps=_affine(stack) if stack is not None and is_good else None,
        resampling=resampling,
        issues=found,
    )


def _size_issue(part: Part) -> tuple[Issue, ...]:
    n_frames, frame = len(part.frames), part.frames[0].frame
    if part.is_set_aside:
        return ()
    if n_frames < MIN_SLICES:
        code = IssueCode.SERIES_TOO_SHORT
        message = f"{n_frames} slices; a volume needs at least {MIN_SLICES}."
    elif n_frames * frame.rows * frame.columns > MAX_VOXELS:
        code = IssueCode.SERIES_UNREADABLE
        message = f"{n_frames}x{frame.rows}x{frame.columns} voxels; at most {MAX_VOXELS} are read."
    else:
        return ()
    return (Issue(code=code, severity=Severity.ERROR, message=message),)


def _split(n_parts: int) -> Issue:
    message = f"One of {n_parts} parts of a DICOM series that holds more than one volume."
    return Issue(code=IssueCode.SERIES_SPLIT, severity=Severity.INFO, message=message)


def _part_uid(series_uid: str, part: Part) -> str:
    members = sorted(f"{found.instance.sop_uid}:{found.frame.number}" for found in part.frames)
    return derived_uid("part", series_uid, *members)


def _component(frames: Sequence[FoundFrame]) -> Component:
    components = {found.frame.component for found in frames}
    return components.pop() if len(components) == 1 else ""


def _source(found: FoundFrame) -> FrameSource:
    return FrameSource(
        file=found.instance.file,
        sop_instance_uid=found.instance.sop_uid,
        frame=found.frame.number,
    )


def _affine(stack: Stack) -> Affine:
    return stack.resampling.target_affine_lps if stack.resampling else as_rows(stack.affine)

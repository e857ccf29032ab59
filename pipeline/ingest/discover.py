"""A folder of files becomes an Inventory: studies, their series, and what was left aside."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from pipeline.ingest.assemble import earliest, series_of
from pipeline.ingest.collector import fewer_collected
from pipeline.ingest.dicomdir import missing_files
from pipeline.ingest.identity import conflicts_of, patient_of
from pipeline.ingest.instance import Instance, Unread
from pipeline.ingest.person import clock_of, mixed, person_of
from pipeline.ingest.scan import Progress, scan_files
from pipeline.ingest.store import FileStore
from pipeline.ingest.uids import derived_uid
from pipeline.ingest.walk import files_below
from schemas.issue import Issue, IssueCode, Severity
from schemas.series import Inventory, Series, SkippedFile, Study


def discover(folder: Path, *, on_progress: Progress | None = None) -> Inventory:
    """Find the studies below a folder by the headers of its files, whatever their names.

    Pixels are not decoded. Whatever a file holds, this returns: what cannot be read is listed
    with the reason.

    Parameters
    ----------
    folder
        Read with all folders below it, and with the members of zip archives; links out of it are
        not followed.
    on_progress
        Called with the number of files read and of all files known so far; it grows where an
        archive is found.

    Raises
    ------
    UsageError
        If the folder does not exist.
    """
    with fewer_collected():
        return _found(folder, on_progress)


def _found(folder: Path, on_progress: Progress | None) -> Inventory:
    names, passed_over = files_below(folder)
    with FileStore(folder) as store:
        instances, unread = scan_files(store, names, on_progress)
    unread = [*passed_over, *unread]
    unread += missing_files((instance.file for instance in instances), unread)
    unique, repeated = _unique(instances)
    studies = _studies(unique, unread)
    skipped = [SkippedFile(file=item.file, issue=item.issue) for item in (*unread, *repeated)]
    return Inventory(
        studies=tuple(sorted(studies, key=lambda study: study.study_uid)),
        skipped=tuple(sorted(skipped, key=lambda item: item.file)),
    )


def _unique(instances: Sequence[Instance]) -> tuple[list[Instance], list[Unread]]:
    """Keep each distinct file once: the first by path."""
    kept: dict[tuple[str, str], Instance] = {}
    repeated = []
    for instance in instances:
        first = kept.setdefault((instance.sop_uid, instance.sha256), instance)
        if first is not instance:
            message = "the same bytes as another file; read once"
            issue = _issue(IssueCode.FILE_DUPLICATE, Severity.INFO, message)
            repeated.append(Unread(instance.file, issue))
    return list(kept.values()), repeated


def _studies(instances: Sequence[Instance], unread: Sequence[Unread]) -> list[Study]:
    shared_uids = _shared(instances, lambda item: item.sop_uid, lambda item: item.sha256)
    wandering = _shared(
        [item for item in instances if item.series_uid],
        lambda item: item.series_uid,
        lambda item: item.study_uid,
    )
    others = defaultdict(list)
    for item in unread:
        if item.study_uid and item.sha256:
            others[item.study_uid].append(item.sha256)
    return [
        _study(group, others[group[0].study_uid], {*shared_uids, *wandering})
        for group in _grouped(instances, _study_key)
    ]


def _study(members: Sequence[Instance], other_files: list[str], suspects: set[str]) -> Study:
    content = sorted({member.sha256 for member in members} | set(other_files))
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()
    study_uid = members[0].study_uid or derived_uid("study", digest)
    groups = _grouped(members, _series_key)
    patient_id, issues = patient_of(groups)
    own = [member for member in members if member.patient_id in ("", patient_id)]
    person = person_of(own)
    issues = (*issues, *mixed(own), *_study_issues(members))
    conflicts = tuple(issue for issue in issues if issue.severity is Severity.ERROR)
    series: list[Series] = []
    for group in groups:
        hashes = sorted(member.sha256 for member in group)
        uid = group[0].series_uid or derived_uid("series", *hashes)
        faults = (*conflicts, *conflicts_of(group), *_series_issues(group, suspects))
        series += series_of(
            group, study_uid=study_uid, series_uid=uid, issues=faults, suspects=suspects
        )
    usable = [item.acquired_at for item in series if item.is_usable]
    acquired_at = earliest(usable) or earliest(item.acquired_at for item in series)
    first = clock_of(members, acquired_at)
    if acquired_at is None:
        message = "No acquisition, series or study time is in the headers."
        issues += (_issue(IssueCode.TIME_UNKNOWN, Severity.WARNING, message),)
    return Study(
        study_uid=study_uid,
        patient_id=patient_id,
        issuer=person.issuer,
        sex=person.sex,
        birth_year=person.birth_year,
        acquired_at=acquired_at,
        is_day_only=first.is_day_only,
        utc_offset_minutes=first.utc_offset_minutes,
        scanner=_scanner(members),
        series=tuple(sorted(series, key=lambda item: item.series_uid)),
        issues=issues,
        content_sha256=digest,
    )


def _scanner(members: Sequence[Instance]) -> str:
    names = {member.scanner for member in members if member.scanner}
    return names.pop() if len(names) == 1 else ""


def _study_issues(members: Sequence[Instance]) -> tuple[Issue, ...]:
    if not any("StudyInstanceUID" in member.replaced_uids for member in members):
        return ()
    message = "The Study Instance UID is empty or malformed; a stable one replaces it."
    return (_issue(IssueCode.UID_MISSING, Severity.WARNING, message),)


def _series_issues(members: Sequence[Instance], suspects: set[str]) -> tuple[Issue, ...]:
    issues = []
    for keyword, name in (("SeriesInstanceUID", "Series"), ("SOPInstanceUID", "SOP")):
        n = sum(keyword in member.replaced_uids for member in members)
        if n:
            message = f"{n} of {len(members)} files: the {name} Instance UID is empty or malformed."
            issues.append(_issue(IssueCode.UID_MISSING, Severity.WARNING, message))
    if members[0].series_uid in suspects:
        message = "The same Series Instance UID is used in several studies."
        issues.append(_issue(IssueCode.IDENTITY_CONFLICT, Severity.ERROR, message))
    return tuple(issues)


def _shared(
    instances: Iterable[Instance],
    key: Callable[[Instance], str],
    differing: Callable[[Instance], str],
) -> set[str]:
    """Return the keys that stand for more than one thing."""
    first: dict[str, str] = {}
    return {
        name
        for instance in instances
        if first.setdefault(name := key(instance), thing := differing(instance)) != thing
    }


def _grouped(
    instances: Iterable[Instance], key: Callable[[Instance], tuple[str, ...]]
) -> list[list[Instance]]:
    groups: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[key(instance)].append(instance)
    return list(groups.values())


def _study_key(instance: Instance) -> tuple[str, ...]:
    """Where the UID is empty, files of one folder with one date and time belong together.

    Never files of two folders: two patients stripped of their identity must not be joined.
    """
    if instance.study_uid:
        return (instance.study_uid,)
    return ("", str(PurePosixPath(instance.file).parent), *instance.study_hint)


def _series_key(instance: Instance) -> tuple[str, ...]:
    if instance.series_uid:
        return (instance.series_uid,)
    return ("", str(PurePosixPath(instance.file).parent), *instance.series_hint)


def _issue(code: IssueCode, severity: Severity, message: str) -> Issue:
    return Issue(code=code, severity=severity, message=message)

"""Whose images these are, and what of a study an identity error spoils."""

from collections.abc import Sequence

from pipeline.ingest.instance import Instance
from pipeline.ingest.person import birth_year
from schemas.issue import Issue, IssueCode, Severity


def conflicts_of(instances: Sequence[Instance]) -> tuple[Issue, ...]:
    """Say whether files of one series name different patients."""
    ids = {instance.patient_id for instance in instances}
    births = {instance.birth_date for instance in instances}
    if len(ids) == 1 and len(births) == 1:
        return ()
    what = "Patient IDs" if len(ids) > 1 else "birth dates"
    n_different = max(len(ids), len(births))
    return (_conflict(f"The series carries {n_different} different {what}."),)


def patient_of(groups: Sequence[Sequence[Instance]]) -> tuple[str, tuple[Issue, ...]]:
    """Return the patient of a study, and what is in doubt about that.

    Parameters
    ----------
    groups
        The instances of each series.

    Returns
    -------
    patient_id
        Empty if unknown.
    issues
        An error if whole series name different patients or birth years, so that nobody can say
        whose study it is. Where all series that name one patient agree, they stand: a series that
        mixes patients is refused alone, and the study has a warning.
    """
    named = [{instance.patient_id for instance in group} - {""} for group in groups]
    ids = set().union(*named)
    if not ids:
        message = "No Patient ID is in the headers, so no history can be paired."
        code = IssueCode.PATIENT_UNKNOWN
        return "", (Issue(code=code, severity=Severity.WARNING, message=message),)
    agreed = set().union(*(found for found in named if len(found) == 1))
    if len(agreed) != 1:
        return "", (_conflict(f"The study carries {len(ids)} different Patient IDs."),)
    issues = []
    if len(ids) > 1:
        n_mixed = sum(len(found) > 1 for found in named)
        issues.append(_doubt(f"{n_mixed} series that mix patients are refused."))
    return agreed.pop(), (*issues, *_birth_issues(groups))


def _birth_issues(groups: Sequence[Sequence[Instance]]) -> tuple[Issue, ...]:
    """Take whole series of different birth years for two people; a day or a month may be blanked.

    A series that mixes birth dates is refused alone, so its years say nothing of the others.
    """
    named = [{instance.birth_date for instance in group} - {""} for group in groups]
    dates = set().union(*named)
    if len(dates) < 2:
        return ()
    years = {birth_year(date) for found in named if len(found) == 1 for date in found}
    message = f"The study carries {len(dates)} different birth dates."
    return (_conflict(message) if len(years - {None}) > 1 else _doubt(message),)


def shared_instance(instances: Sequence[Instance], suspects: set[str]) -> tuple[Issue, ...]:
    """Say whether files share a SOP Instance UID but not their content.

    Parameters
    ----------
    suspects
        SOP Instance UIDs that stand for several contents.
    """
    n = sum(instance.sop_uid in suspects for instance in instances)
    if not n:
        return ()
    message = f"{n} of {len(instances)} files share a SOP Instance UID but differ in content."
    code = IssueCode.INSTANCE_CONFLICT
    return (Issue(code=code, severity=Severity.ERROR, message=message),)


def _conflict(message: str) -> Issue:
    return Issue(code=IssueCode.IDENTITY_CONFLICT, severity=Severity.ERROR, message=message)


def _doubt(message: str) -> Issue:
    return Issue(code=IssueCode.IDENTITY_CONFLICT, severity=Severity.WARNING, message=message)

"""Studies and records of one cohort, joined by who the patient is and when the scan was made."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from pipeline.history.contradictions import contradictions
from pipeline.history.cut import history_at
from pipeline.history.identifiers import Identifiers, identifiers_of
from pipeline.history.records import Records
from schemas.history import History
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.protocol import Protocol
from schemas.series import Study


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """A cohort's records, and what its studies say of whose they are.

    Parameters
    ----------
    records
        Before any cut.
    studies
        By Patient ID, for those that have one.
    identifiers
        Every spelling in use.
    """

    records: Records
    protocol: Protocol
    studies: Mapping[str, tuple[Study, ...]]
    identifiers: Identifiers

    def history(self, study: Study) -> History:
        """Return the record of a study's patient, cut at the study's moment.

        Where the identity is contradicted nothing is read at all, and an error says so.
        """
        table, notes, issues = self._own(study)
        issues += self._contradicted(study, table, notes)
        if study.is_day_only:
            issues.append(_issue(IssueCode.TIME_COARSE, Severity.WARNING, _DAY_ONLY))
        if has_errors(issues):
            table = notes = None
        at = _moment(study)
        issues += _all_later((table, notes), at)
        alone = replace(
            self.records,
            table={} if table is None else {study.patient_id: table},
            notes={} if notes is None else {study.patient_id: notes},
        )
        history = history_at(alone, study.patient_id, at, self.protocol)
        return history.model_copy(update={"issues": (*issues, *history.issues)})

    def _own(self, study: Study) -> tuple[pd.DataFrame | None, pd.DataFrame | None, list[Issue]]:
        """Return the rows and notes that are the patient's, by identifier and issuer."""
        issues: list[Issue] = []
        if not study.patient_id:
            return None, None, issues
        others = self.identifiers.others(study.patient_id)
        joined: set[str] = set()
        is_allowed = self.protocol.identity.match == "normalised" and (
            self.identifiers.is_one_patient(study.patient_id)
        )
        frames = []
        for source in (self.records.table, self.records.notes):
            spellings = set(source.keys() & {study.patient_id})
            if not spellings and is_allowed:
                spellings = set(source.keys() & others)
                joined |= spellings
            frames.append(source[spellings.pop()] if spellings else None)
        if joined:
            issues.append(_issue(IssueCode.IDENTITY_NORMALISED, Severity.WARNING, _JOINED))
        elif others:
            message = _SIMILAR.format(n=len(others))
            issues.append(_issue(IssueCode.IDENTITY_SIMILAR, Severity.WARNING, message))
        kept = [_of_issuer(frame, study.issuer) for frame in frames]
        n_other = sum(_length(frame) for frame in frames) - sum(_length(frame) for frame in kept)
        if n_other:
            message = f"{n_other} records of another issuer's patient with this ID were not read"
            issues.append(_issue(IssueCode.ISSUER_OTHER, Severity.WARNING, message))
        return kept[0], kept[1], issues

    def _contradicted(
        self, study: Study, table: pd.DataFrame | None, notes: pd.DataFrame | None
    ) -> list[Issue]:
        named = self.studies.get(study.patient_id, ())
        peers = [other for other in named if not _differ(other.issuer, study.issuer)]
        faults = contradictions(peers, table, self.protocol)
        issuers = {other.issuer.casefold() for other in named if other.issuer}
        told = {name for frame in (table, notes) for name in _issuers(frame)}
        if not study.issuer and len((issuers | told) - {""}) > 1:
            faults.append("several issuers use this Patient ID and the study names none of them")
        elif study.issuer and len(issuers) > 1 and "" in told:
            faults.append("several issuers use this Patient ID and some records name none of them")
        return [
            _issue(IssueCode.IDENTITY_CONTRADICTED, Severity.ERROR, _CONTRADICTED.format(why=fault))
            for fault in faults
        ]


def pair(records: Records, studies: Sequence[Study], protocol: Protocol) -> Pairing:
    """Make ready to pair a cohort's records with its studies.

    A patient is known by Patient ID (0010,0020) together with its issuer (0010,0021), against
    ``patient_id`` and, where there is such a column, ``issuer`` of tables and notes.

    Parameters
    ----------
    studies
        All of the cohort's: whether an identifier is one patient's is seen only in all of them.
    """
    by_patient: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        if study.patient_id:
            by_patient[study.patient_id].append(study)
    return Pairing(
        records,
        protocol,
        {patient: tuple(found) for patient, found in by_patient.items()},
        identifiers_of(records.table.keys(), records.notes.keys(), by_patient.keys()),
    )


_DAY_ONLY = "only the day of the scan is known; no record of that day or later was read"
_JOINED = (
    "records stand under an ID that differs from the study's in zeros, case, spaces or "
    "punctuation; they were read, as the protocol allows (identity.match: normalised)"
)
_SIMILAR = (
    "{n} other IDs in the cohort differ from this one in zeros, case, spaces or punctuation "
    "alone; they were taken for other patients and their records were not read"
)
_CONTRADICTED = "{why}: two patients may share this ID, so no record was read; correct the data"


def _moment(study: Study) -> datetime | None:
    """Return the last moment whose records count: before a day of which no hour is known."""
    if study.acquired_at is None or not study.is_day_only:
        return study.acquired_at
    return study.acquired_at - timedelta(microseconds=1)


def _all_later(frames: Sequence[pd.DataFrame | None], at: datetime | None) -> list[Issue]:
    columns = ("recorded_at", "written_at")
    times = [
        frame[column].min() for frame, column in zip(frames, columns, strict=True)
        if frame is not None
    ]  # fmt: skip
    dated = [time for time in times if not pd.isna(time)]
    if at is None or not dated or min(dated) <= at:
        return []
    message = "every dated record of the patient is later than the study: is its date right?"
    return [_issue(IssueCode.RECORDS_ALL_AFTER_SCAN, Severity.WARNING, message)]


def _of_issuer(frame: pd.DataFrame | None, issuer: str) -> pd.DataFrame | None:
    if frame is None or not issuer:
        return frame
    kept = frame[frame["issuer"].str.casefold().isin(["", issuer.casefold()])]
    return None if kept.empty else kept


def _issuers(frame: pd.DataFrame | None) -> set[str]:
    return set() if frame is None else set(frame["issuer"].str.casefold().unique())


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one.casefold() != other.casefold()


def _length(frame: pd.DataFrame | None) -> int:
    return 0 if frame is None else len(frame)


def _issue(code: IssueCode, severity: Severity, message: str) -> Issue:
    return Issue(code=code, severity=severity, message=message)

"""Studies and records of one cohort, joined by who the patient is and when the scan was made."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pandas as pd

from pipeline.history.contradictions import contradictions
from pipeline.history.cut import cut, history_at
from pipeline.history.identifiers import Identifiers, identifiers_of, normalised
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
        if not study.patient_id:
            return history_at(self.records, "", scan_moment(study), self.protocol)
        table, notes, issues = self._own(study)
        issues += self._contradicted(study, table, notes)
        if study.is_day_only:
            issues.append(_issue(IssueCode.TIME_COARSE, Severity.WARNING, _DAY_ONLY))
        if has_errors(issues):
            table, notes = table.iloc[:0], notes.iloc[:0]
        at = scan_moment(study)
        history = cut(table, notes, at, self.protocol)
        n_dated = sum(int(frame["known_at"].notna().sum()) for frame in (table, notes))
        if at is not None and 0 < n_dated == history.n_after_scan:
            code = IssueCode.RECORDS_ALL_AFTER_SCAN
            issues.append(_issue(code, Severity.WARNING, _ALL_LATER))
        return history.model_copy(update={"issues": (*issues, *history.issues)})

    def _own(self, study: Study) -> tuple[pd.DataFrame, pd.DataFrame, list[Issue]]:
        """Return the rows and notes that are the patient's, by identifier and issuer."""
        issues: list[Issue] = []
        others = self.identifiers.others(study.patient_id)
        is_allowed = self.protocol.identity.match == "normalised" and (
            self.identifiers.is_one_patient(study.patient_id)
        )
        records = self.records
        in_table, in_notes = (
            _spelling(known.keys(), study.patient_id, others if is_allowed else frozenset())
            for known in (records.table_rows, records.note_rows)
        )
        if {in_table, in_notes} != {study.patient_id}:
            issues.append(_issue(IssueCode.IDENTITY_NORMALISED, Severity.WARNING, _JOINED))
        elif others:
            message = _SIMILAR.format(n=len(others))
            issues.append(_issue(IssueCode.IDENTITY_SIMILAR, Severity.WARNING, message))
        table, notes = records.table_of(in_table), records.notes_of(in_notes)
        mine = [_of_issuer(frame, study.issuer) for frame in (table, notes)]
        n_other = len(table) + len(notes) - sum(map(len, mine))
        if n_other:
            message = f"{n_other} records of another issuer's patient with this ID were not read"
            issues.append(_issue(IssueCode.ISSUER_OTHER, Severity.WARNING, message))
        return mine[0], mine[1], issues

    def _contradicted(self, study: Study, table: pd.DataFrame, notes: pd.DataFrame) -> list[Issue]:
        named = self.studies.get(study.patient_id, ())
        peers = [other for other in named if not _differ(other.issuer, study.issuer)]
        faults = contradictions(peers, table, self.protocol)
        if self._is_two_people(study.patient_id):
            faults.append("the records' source gives this ID to people of other sex or birth year")
        issuers = {other.issuer.casefold() for other in named if other.issuer}
        told = set(table["issuer"].str.casefold()) | set(notes["issuer"].str.casefold())
        if not study.issuer and len((issuers | told) - {""}) > 1:
            faults.append("several issuers use this Patient ID and the study names none of them")
        elif study.issuer and len(issuers) > 1 and "" in told:
            faults.append("several issuers use this Patient ID and some records name none of them")
        return [
            _issue(IssueCode.IDENTITY_CONTRADICTED, Severity.ERROR, _CONTRADICTED.format(why=fault))
            for fault in faults
        ]

    def _is_two_people(self, patient_id: str) -> bool:
        is_exact = self.protocol.identity.match != "normalised"
        return patient_id in self.records.contradicted or any(
            not is_exact and normalised(other) == normalised(patient_id)
            for other in self.records.contradicted
        )


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
        identifiers_of(records.table_rows, records.note_rows, by_patient),
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
_ALL_LATER = "every dated record of the patient is later than the study: is its date right?"
_CONTRADICTED = "{why}: two patients may share this ID, so no record was read; correct the data"


def scan_moment(study: Study) -> datetime | None:
    """Return the last moment whose records count for a study; aware if its offset is known.

    Where only the day is known, that is before the day: any hour of it may be after the scan.
    """
    at = study.acquired_at
    if at is None:
        return None
    if study.utc_offset_minutes is not None:
        at = at.replace(tzinfo=timezone(timedelta(minutes=study.utc_offset_minutes)))
    return at - timedelta(microseconds=1) if study.is_day_only else at


def _spelling(known: Collection[str], patient_id: str, others: frozenset[str]) -> str:
    """Return the spelling under which a source has a patient; the study's own if under none."""
    if patient_id in known:
        return patient_id
    return next((other for other in sorted(others) if other in known), patient_id)


def _of_issuer(frame: pd.DataFrame, issuer: str) -> pd.DataFrame:
    if not issuer or frame.empty:
        return frame
    return frame[frame["issuer"].str.casefold().isin(["", issuer.casefold()])]


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one.casefold() != other.casefold()


def _issue(code: IssueCode, severity: Severity, message: str) -> Issue:
    return Issue(code=code, severity=severity, message=message)

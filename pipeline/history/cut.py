"""Records to a History that ends at the scan: what is later is never read."""

from datetime import datetime

import numpy as np
import pandas as pd

from pipeline.history.choose import Candidates, choose
from pipeline.history.clock import Clock
from pipeline.history.records import Records
from schemas.column import Column
from schemas.history import History, Note, TableValue
from schemas.issue import Issue, IssueCode, Severity
from schemas.protocol import Protocol


def history_at(
    records: Records, patient_id: str, at: datetime | None, protocol: Protocol
) -> History:
    """Return what was known about a patient at a moment, as far back as the protocol looks.

    Parameters
    ----------
    records
        The cohort's records.
    patient_id
        As written in the DICOM header, stripped; compared exactly.
    at
        The study's acquisition time: aware, or local. Without one no dated record can be used.
    protocol
        Says which columns and notes count, and how far back.

    Returns
    -------
    History
        Nothing in it was recorded, or became available, after ``at``, to the microsecond. Its
        times are local, with their UTC offset if the protocol has a timezone.
    """
    if patient_id:
        table, notes = records.table_of(patient_id), records.notes_of(patient_id)
        return cut(table, notes, at, protocol)
    history = cut(records.table.iloc[:0], records.notes.iloc[:0], at, protocol)
    message = "the study has no Patient ID, so no history was paired with it"
    issue = _issue(IssueCode.PATIENT_UNKNOWN, Severity.WARNING, message)
    return history.model_copy(update={"issues": (issue,)})


def cut(
    table: pd.DataFrame, notes: pd.DataFrame, at: datetime | None, protocol: Protocol
) -> History:
    """Return one patient's history at a moment from the patient's own rows of `Records`."""
    clock = Clock.of(protocol)
    moment = None if at is None else clock.of_scan(at)
    kept_rows, after_rows, old_rows = _cut(table, "recorded_at", moment, protocol.look_back_days)
    kept_notes, after_notes, old_notes = _cut(notes, "written_at", moment, protocol.look_back_days)
    rows, undated_rows = _usable(kept_rows, protocol.table)
    values, faults = _values(rows, protocol, moment, clock)
    read, undated_notes = _notes(kept_notes, protocol.notes.kinds, clock)
    n_after = after_rows + after_notes
    issues = (
        *_gaps(at, values, read, protocol), *faults,
        *_not_read(n_after, undated_rows + undated_notes),
    )  # fmt: skip
    return History(
        at=None if moment is None else clock.shown(moment, exact=True), values=values, notes=read,
        n_after_scan=n_after, n_too_old=old_rows + old_notes, issues=issues,
    )  # fmt: skip


def _cut(
    frame: pd.DataFrame, column: str, at: np.datetime64 | None, look_back_days: int
) -> tuple[pd.DataFrame, int, int]:
    """Return the rows that count, and how many were later or too old; undated rows stay."""
    known_at = frame["known_at"].to_numpy("datetime64[us]")
    undated = np.isnat(known_at)
    if at is None:
        return frame[undated], 0, 0
    after = ~undated & ~(known_at <= at)
    since = at - np.timedelta64(look_back_days, "D")
    old = ~undated & ~after & (frame[column].to_numpy("datetime64[us]") < since)
    return frame[~after & ~old], int(after.sum()), int(old.sum())


def _usable(rows: pd.DataFrame, columns: tuple[Column, ...]) -> tuple[pd.DataFrame, int]:
    """Leave out the rows without a time of columns that need one, and count them."""
    undated = rows["known_at"].isna().to_numpy()
    if not undated.any():
        return rows, 0
    dated = [column.name for column in columns if not column.undated]
    without = undated & rows["name"].isin(dated).to_numpy()
    return rows[~without], int(without.sum())


def _values(
    rows: pd.DataFrame, protocol: Protocol, at: np.datetime64 | None, clock: Clock
) -> tuple[tuple[TableValue, ...], list[Issue]]:
    values, issues = [], []
    found = Candidates.by_column(rows, protocol.table)
    for column, candidates in zip(protocol.table, found, strict=True):
        days = column.window_days or protocol.look_back_days
        since = None if at is None else at - np.timedelta64(days, "D")
        value, said = choose(candidates, column, since, clock)
        values.append(value)
        issues += said
    return tuple(values), issues


def _notes(
    rows: pd.DataFrame, kinds: tuple[str, ...], clock: Clock
) -> tuple[tuple[Note, ...], int]:
    """Return the notes of the wanted kinds, oldest first, and how many have no time."""
    undated = rows["known_at"].isna().to_numpy()
    rows = rows[~undated]
    if kinds:
        rows = rows[rows["kind"].isin(kinds)]
    rows = rows.sort_values("written_at", kind="stable")
    written_at = rows["written_at"].to_numpy("datetime64[us]")
    notes = tuple(
        Note(written_at=clock.shown(moment), kind=kind, text=text)
        for moment, kind, text in zip(written_at, rows["kind"], rows["text"], strict=True)
    )
    return notes, int(undated.sum())


def _gaps(
    at: datetime | None,
    values: tuple[TableValue, ...],
    notes: tuple[Note, ...],
    protocol: Protocol,
) -> list[Issue]:
    issues = []
    if at is None:
        message = "the study has no acquisition time, so no dated record was read"
        issues.append(_issue(IssueCode.TIME_UNKNOWN, Severity.WARNING, message))
    missing = [value.name for value in values if value.value is None]
    if len(missing) == len(values) and not notes:
        message = "neither a table value nor a note was recorded at or before the scan"
        return [*issues, _issue(IssueCode.HISTORY_MISSING, Severity.WARNING, message)]
    if missing:
        message = f"no value at or before the scan for: {', '.join(missing)}"
        issues.append(_issue(IssueCode.VALUE_MISSING, Severity.INFO, message))
    if not notes:
        message = f"no note in the {protocol.look_back_days} days before the scan"
        issues.append(_issue(IssueCode.NOTES_MISSING, Severity.INFO, message))
    return issues


def _not_read(n_after: int, n_undated: int) -> list[Issue]:
    issues = []
    if n_after:
        message = f"{n_after} records became known after the scan and were not read"
        issues.append(_issue(IssueCode.RECORDS_AFTER_SCAN, Severity.INFO, message))
    if n_undated:
        message = f"{n_undated} records have no time and were not read"
        issues.append(_issue(IssueCode.RECORDS_UNDATED, Severity.INFO, message))
    return issues


def _issue(code: IssueCode, severity: Severity, message: str) -> Issue:
    return Issue(code=code, severity=severity, message=message)

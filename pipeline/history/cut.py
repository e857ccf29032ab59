"""Records to a History that ends at the scan: what is later is never read."""

from datetime import datetime, timedelta

import pandas as pd

from pipeline.history.records import Records
from pipeline.history.told import with_notes_read
from pipeline.history.values import parse_value
from schemas.column import Column
from schemas.history import History, Note, TableValue
from schemas.issue import Issue, IssueCode, Severity
from schemas.protocol import Protocol


def history_at(
    records: Records, patient_id: str, at: datetime | None, protocol: Protocol
) -> History:
    """Return what was recorded about a patient at or before a moment, within the look-back.

    Parameters
    ----------
    records
        The cohort's records.
    patient_id
        As written in the DICOM header, stripped; compared exactly.
    at
        The study's acquisition time, local. Without one no dated record can be used.
    protocol
        Says which columns and notes count, and how far back.

    Returns
    -------
    History
        Dated exactly at or before ``at``, to the microsecond. Of several values of a column the
        latest counts, of equal times the one further down in the file.
    """
    table = records.table.get(patient_id) if patient_id else None
    notes = records.notes.get(patient_id) if patient_id else None
    kept_rows, after_rows, old_rows = _cut(table, "recorded_at", at, protocol.look_back_days)
    kept_notes, after_notes, old_notes = _cut(notes, "written_at", at, protocol.look_back_days)
    values, faults = _values(kept_rows, protocol.table)
    read = _notes(kept_notes, protocol.notes.kinds)
    n_after = after_rows + after_notes
    n_undated = _n_undated(kept_rows, kept_notes, protocol.table)
    issues = (
        *_gaps(patient_id, at, values, read, protocol), *faults,
        *_not_read(n_after, n_undated),
    )  # fmt: skip
    history = History(
        at=at, values=values, notes=read, n_after_scan=n_after, n_too_old=old_rows + old_notes,
        issues=issues,
    )  # fmt: skip
    return with_notes_read(history, protocol)


def _cut(
    frame: pd.DataFrame | None, column: str, at: datetime | None, look_back_days: int
) -> tuple[pd.DataFrame | None, int, int]:
    """Return the rows that count, and how many were later or too old; undated rows stay."""
    if frame is None:
        return None, 0, 0
    times = frame[column]
    undated = times.isna()
    if at is None:
        return frame[undated], 0, 0
    after = ~undated & ~(times <= at)
    old = ~undated & (times < at - timedelta(days=look_back_days))
    return frame[~after & ~old], int(after.sum()), int(old.sum())


def _values(
    rows: pd.DataFrame | None, columns: tuple[Column, ...]
) -> tuple[tuple[TableValue, ...], list[Issue]]:
    values, faults = [], []
    for column in columns:
        value, fault = _latest(rows, column)
        values.append(value)
        if fault:
            message = f"table column {column.name}: the latest value {fault}; it counts as missing"
            faults.append(_issue(IssueCode.VALUE_IMPLAUSIBLE, Severity.WARNING, message))
    return tuple(values), faults


def _latest(rows: pd.DataFrame | None, column: Column) -> tuple[TableValue, str]:
    empty = TableValue(name=column.name, value=None, unit=column.unit)
    if rows is None:
        return empty, ""
    mine = rows[rows["name"] == column.name]
    if not column.undated:
        mine = mine[mine["recorded_at"].notna()]
    if mine.empty:
        return empty, ""
    row = mine.sort_values("recorded_at", kind="stable", na_position="first").iloc[-1]
    if row["unit"] not in ("", column.unit):
        return empty, f"is in another unit than {column.unit or 'none'}"
    value, fault = parse_value(row["text"], column)
    if value is None:
        return empty, fault
    recorded_at = None if pd.isna(row["recorded_at"]) else row["recorded_at"].to_pydatetime()
    return empty.model_copy(update={"value": value, "recorded_at": recorded_at}), ""


def _notes(rows: pd.DataFrame | None, kinds: tuple[str, ...]) -> tuple[Note, ...]:
    if rows is None:
        return ()
    rows = rows[rows["written_at"].notna()]
    if kinds:
        rows = rows[rows["kind"].isin(kinds)]
    rows = rows.sort_values("written_at", kind="stable")
    return tuple(
        Note(written_at=written_at.to_pydatetime(), kind=kind, text=text)
        for written_at, kind, text in zip(
            rows["written_at"], rows["kind"], rows["text"], strict=True
        )
    )


def _gaps(
    patient_id: str,
    at: datetime | None,
    values: tuple[TableValue, ...],
    notes: tuple[Note, ...],
    protocol: Protocol,
) -> list[Issue]:
    if not patient_id:
        message = "the study has no Patient ID, so no history was paired with it"
        return [_issue(IssueCode.PATIENT_UNKNOWN, Severity.WARNING, message)]
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


def _n_undated(
    rows: pd.DataFrame | None, notes: pd.DataFrame | None, columns: tuple[Column, ...]
) -> int:
    """Count the records that have no time and need one."""
    dated = [column.name for column in columns if not column.undated]
    n_rows = (
        0 if rows is None else int((rows["recorded_at"].isna() & rows["name"].isin(dated)).sum())
    )
    n_notes = 0 if notes is None else int(notes["written_at"].isna().sum())
    return n_rows + n_notes


def _not_read(n_after: int, n_undated: int) -> list[Issue]:
    issues = []
    if n_after:
        message = f"{n_after} records are dated after the scan and were not read"
        issues.append(_issue(IssueCode.RECORDS_AFTER_SCAN, Severity.INFO, message))
    if n_undated:
        message = f"{n_undated} records have no time and were not read"
        issues.append(_issue(IssueCode.RECORDS_UNDATED, Severity.INFO, message))
    return issues


def _issue(code: IssueCode, severity: Severity, message: str) -> Issue:
    return Issue(code=code, severity=severity, message=message)

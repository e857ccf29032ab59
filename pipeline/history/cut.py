"""Records to a History that ends at the scan: what is later is never read."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.history.choose import Candidates, choose
from pipeline.history.clock import Clock
from pipeline.history.records import Records
from pipeline.history.told import with_notes_read
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
    rows, lines = (
        _cut(frame, column, moment, protocol.look_back_days)
        for frame, column in ((table, "recorded_at"), (notes, "written_at"))
    )
    usable = rows.kept & ~_needs_time(table, rows.undated, protocol.table)
    found = Candidates.by_column(table, usable, protocol.table)
    values, faults = _values(found, protocol, moment, clock)
    read = _notes(notes, lines.kept & ~lines.undated, protocol.notes.kinds, clock)
    n_after = rows.n_after + lines.n_after
    n_undated = int((rows.kept & ~usable).sum() + lines.undated.sum())
    issues = (*_gaps(at, values, read, protocol), *faults, *_not_read(n_after, n_undated))
    history = History(
        at=None if moment is None else clock.shown(moment, exact=True), values=values, notes=read,
        n_after_scan=n_after, n_too_old=rows.n_old + lines.n_old, issues=issues,
    )  # fmt: skip
    return with_notes_read(history, protocol)


class _Cut(NamedTuple):
    """Which rows count; those without a time do until their column is asked."""

    kept: NDArray[np.bool_]
    undated: NDArray[np.bool_]
    n_after: int
    n_old: int


def _cut(frame: pd.DataFrame, column: str, at: np.datetime64 | None, look_back_days: int) -> _Cut:
    known_at = frame["known_at"].to_numpy()
    undated = np.isnat(known_at)
    if at is None:
        return _Cut(undated, undated, 0, 0)
    after = ~undated & ~(known_at <= at)
    since = at - np.timedelta64(look_back_days, "D")
    old = ~undated & ~after & (frame[column].to_numpy() < since)
    return _Cut(~after & ~old, undated, int(after.sum()), int(old.sum()))


def _needs_time(
    table: pd.DataFrame, undated: NDArray[np.bool_], columns: tuple[Column, ...]
) -> NDArray[np.bool_]:
    """Say which rows have no time and are of a column that needs one."""
    if not undated.any():
        return undated
    dated = [column.name for column in columns if not column.undated]
    return undated & table["name"].isin(dated).to_numpy()


def _values(
    found: list[Candidates], protocol: Protocol, at: np.datetime64 | None, clock: Clock
) -> tuple[tuple[TableValue, ...], list[Issue]]:
    values, issues = [], []
    for column, candidates in zip(protocol.table, found, strict=True):
        days = column.window_days or protocol.look_back_days
        since = None if at is None else at - np.timedelta64(days, "D")
        value, said = choose(candidates, column, since, clock)
        values.append(value)
        issues += said
    return tuple(values), issues


def _notes(
    notes: pd.DataFrame, usable: NDArray[np.bool_], kinds: tuple[str, ...], clock: Clock
) -> tuple[Note, ...]:
    """Return the notes of the wanted kinds, oldest first."""
    if kinds:
        usable = usable & notes["kind"].isin(kinds).to_numpy()
    places = np.flatnonzero(usable)
    written_at = notes["written_at"].to_numpy()[places]
    order = np.argsort(written_at, kind="stable")
    kind, text = (notes[name].to_numpy(object)[places] for name in ("kind", "text"))
    return tuple(
        Note(written_at=clock.shown(written_at[place]), kind=kind[place], text=text[place])
        for place in order
    )


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

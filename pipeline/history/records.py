"""All that is recorded about a cohort's patients, before any cut in time.

Every source (csv, parquet, FHIR, OMOP) delivers the same two frames of text, and
`Records.from_frames` makes the records of them:

- a table, one value a row: ``patient_id, recorded_at, name, text`` and, where the source has
  them, ``available_at, unit, issuer, source, row``. ``name`` is a column's name in the protocol,
  ``text`` the value as written, ``unit`` its unit as written ("" for the protocol's own);
- notes, one a row: ``patient_id, written_at, kind, text`` and, where the source has them,
  ``available_at, issuer, source, row``.

All cells are text, "" where there is nothing. Times are ISO 8601, with a UTC offset where the
source states one; nobody but `from_frames` reads them. ``available_at`` is when the record could
be seen (a result's release); the later of both times counts. ``issuer`` is whose identifier
``patient_id`` is. ``source`` (a file's or a table's name) and ``row`` (its number there) stand in
the messages about faults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import RecordsError
from pipeline.history.clock import Clock
from pipeline.history.faults import as_skipped, cell_faults
from pipeline.history.notes.files import MAX_NOTE_CHARACTERS, TOO_LONG, read_notes
from pipeline.history.tables import read_table
from pipeline.history.values import is_missing, read_cells
from schemas.protocol import Protocol
from schemas.series import SkippedFile

TABLE_FIELDS = (
    "patient_id", "recorded_at", "available_at", "name", "text", "unit", "issuer", "source", "row"
)  # fmt: skip
NOTE_FIELDS = (
    "patient_id", "written_at", "available_at", "kind", "text", "issuer", "source", "row"
)  # fmt: skip
NO_PATIENT = "has no patient_id; the record was left out"


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """A cohort's table and notes, sorted by patient and else in the order of their source.

    Parameters
    ----------
    table
        patient_id, recorded_at and known_at (on the protocol's clock; NaT if undated), name
        (categorical), text, value (float64; NaN if it has a fault), fault, limit, issuer, source,
        row. See `pipeline.history.values.Cells`.
    notes
        patient_id, written_at, known_at, kind, text, issuer, source, row.
    table_rows, note_rows
        Which rows are a patient's.
    has_table, has_notes
        Whether the cohort has such records at all.
    faults
        What of the sources was left out or is in doubt, and why.
    contradicted
        Patient IDs that the source gives to different people; their studies get no result.
    """

    table: pd.DataFrame
    notes: pd.DataFrame
    table_rows: Mapping[str, slice]
    note_rows: Mapping[str, slice]
    has_table: bool
    has_notes: bool
    faults: tuple[SkippedFile, ...] = ()
    contradicted: frozenset[str] = frozenset()

    @classmethod
    def from_frames(
        cls, table: pd.DataFrame | None, notes: pd.DataFrame | None, protocol: Protocol
    ) -> "Records":
        """Return the records that two frames of text state; None where there are none at all.

        Cells that cannot be read, or are implausible, are kept without a value and listed.

        Raises
        ------
        RecordsError
            If times cannot be read, or a note is too long; all are named.
        """
        clock = Clock.of(protocol)
        has_table, has_notes = table is not None, notes is not None
        cells, texts = _known_cells(table, protocol), _known_notes(notes)
        del table, notes  # Of a big cohort one copy is enough.
        rows, row_faults = _dated(cells, "recorded_at", clock)
        lines, line_faults = _dated(texts, "written_at", clock)
        del cells, texts
        fatal = [*row_faults, *line_faults, *_too_long(lines)]
        if fatal:
            raise RecordsError(fatal)
        rows, left_out = _with_values(rows, protocol)
        left_out += _without_patient(rows) + _without_patient(lines)
        rows, lines = _by_patient(rows), _by_patient(lines)
        return cls(
            rows, lines, _slices(rows), _slices(lines), has_table=has_table,
            has_notes=has_notes, faults=as_skipped(left_out, "records"),
        )  # fmt: skip

    def table_of(self, patient_id: str) -> pd.DataFrame:
        """Return a patient's rows of the table."""
        return self.table.iloc[self.table_rows.get(patient_id, slice(0))]

    def notes_of(self, patient_id: str) -> pd.DataFrame:
        """Return a patient's notes."""
        return self.notes.iloc[self.note_rows.get(patient_id, slice(0))]


def read_files(cohort: Path, protocol: Protocol) -> Records:
    """Read ``tabular`` and ``notes`` of a cohort folder; either may be absent.

    Raises
    ------
    RecordsError
        If a file is there but cannot be read, lacks a column, or holds an unreadable time. All
        faults of both files are named.
    """
    frames: list[pd.DataFrame | None] = []
    doubts: list[SkippedFile] = []
    faults: list[str] = []
    for read in (read_table, read_notes):
        try:
            found = read(cohort, protocol)
        except RecordsError as error:
            faults += error.faults
            continue
        frames.append(None if found is None else found.frame)
        doubts += () if found is None else found.doubts
        del found
    if faults:
        raise RecordsError(faults)
    # Handed over, not kept: the text of a big cohort fills memory and is needed once.
    records = Records.from_frames(frames.pop(0), frames.pop(0), protocol)
    return replace(records, faults=(*doubts, *records.faults))


def _known_cells(table: pd.DataFrame | None, protocol: Protocol) -> pd.DataFrame:
    """Keep the cells of the protocol's columns that hold something."""
    frame = _complete(table, TABLE_FIELDS)
    names = [column.name for column in protocol.table]
    known = frame["name"].where(frame["name"].isin(names))
    frame["name"] = pd.Categorical(known, categories=names)
    empty = known.isna() | (frame["text"] == "")
    for column in protocol.table:
        mine = (frame["name"] == column.name) & ~empty
        empty |= mine & is_missing(frame["text"], column, protocol.export)
    return frame[~empty].reset_index(drop=True)


def _known_notes(notes: pd.DataFrame | None) -> pd.DataFrame:
    frame = _complete(notes, NOTE_FIELDS)
    return frame[frame["text"] != ""].reset_index(drop=True)


def _complete(frame: pd.DataFrame | None, fields: tuple[str, ...]) -> pd.DataFrame:
    """Return the fields alone as text, empty where the source has nothing."""
    if frame is None:
        frame = pd.DataFrame(columns=list(fields), dtype="str")
    frame = frame.reindex(columns=list(fields), fill_value="")
    for name in fields:
        if name not in ("source", "row"):
            text = frame[name].astype("str")
            frame[name] = text.fillna("") if text.hasnans else text
    frame["source"] = frame["source"].astype("category")
    return frame


def _dated(frame: pd.DataFrame, column: str, clock: Clock) -> tuple[pd.DataFrame, list[str]]:
    """Read the times; a record is known once both its times have passed."""
    made, made_faults = clock.of_records(frame[column])
    released, released_faults = clock.of_records(frame["available_at"])
    unread = []
    for name, faults in ((column, made_faults), ("available_at", released_faults)):
        is_faulty = faults != ""
        cells = frame.loc[is_faulty, ["source", "row"]].assign(name=name, fault=faults[is_faulty])
        unread += cell_faults(cells.drop_duplicates(["source", "row"]))
    # What was released at a known moment was made by then.
    frame[column] = made.fillna(released)
    frame["known_at"] = frame[column].where(~(released > made), released)
    return frame.drop(columns="available_at"), unread


def _too_long(notes: pd.DataFrame) -> list[str]:
    rows = notes.loc[notes["text"].str.len() > MAX_NOTE_CHARACTERS, ["source", "row"]]
    return cell_faults(rows.assign(name="text", fault=TOO_LONG))


def _with_values(frame: pd.DataFrame, protocol: Protocol) -> tuple[pd.DataFrame, list[str]]:
    """Read the cells column by column, in the column's own unit."""
    value = pd.Series(np.nan, index=frame.index)
    words = {name: pd.Series("", index=frame.index, dtype="str") for name in ("fault", "limit")}
    for column in protocol.table:
        mine = frame.index[frame["name"] == column.name]
        if not len(mine):
            continue
        cells = read_cells(
            frame.loc[mine, "text"], frame.loc[mine, "unit"], column, protocol.export
        )
        value[mine] = cells.value
        words["fault"][mine], words["limit"][mine] = cells.fault, cells.limit
    frame = frame.assign(value=value, **words).drop(columns="unit")
    return frame, cell_faults(frame[frame["fault"] != ""])


def _without_patient(frame: pd.DataFrame) -> list[str]:
    nobody = frame.loc[frame["patient_id"] == "", ["source", "row"]].drop_duplicates()
    return cell_faults(nobody.assign(name="patient_id", fault=NO_PATIENT))


def _by_patient(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame[frame["patient_id"] != ""]
    return known.sort_values("patient_id", kind="stable", ignore_index=True)


def _slices(frame: pd.DataFrame) -> dict[str, slice]:
    ids = frame["patient_id"].to_numpy(dtype=object)
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    return {str(ids[start]): slice(start, end) for start, end in pairwise(edges) if start < end}

"""All that is recorded about a cohort's patients, before any cut in time.

Every source (csv, parquet, FHIR, OMOP) delivers the same two frames of text, and
`Records.from_frames` makes the records of them:

- a table, one value a row: ``patient_id, recorded_at, name, text`` and, where the source has
  them, ``available_at, unit, source, row``. ``name`` is a column's name in the protocol, ``text``
  the value as written, ``unit`` its unit as written ("" for the protocol's own);
- notes, one a row: ``patient_id, written_at, kind, text`` and, where the source has them,
  ``available_at, source, row``.

All cells are text, "" where there is nothing. Times are ISO 8601, with a UTC offset where the
source states one; nobody but `from_frames` reads them. ``available_at`` is when the record could
be seen (a result's release); the later of both times counts. ``source`` (a file's or a table's
name) and ``row`` (its number there) stand in the messages about faults.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UsageError
from pipeline.history.frames import find_table, parse_times, read_text_table
from schemas.protocol import Protocol

WIDE_KEYS = ("patient_id", "recorded_at")
TABLE_FIELDS = (
    "patient_id", "recorded_at", "available_at", "name", "text", "unit", "source", "row"
)  # fmt: skip
NOTE_FIELDS = ("patient_id", "written_at", "available_at", "kind", "text", "source", "row")
MAX_NOTE_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """A cohort's table and notes, sorted by patient and else in the order of their source.

    Parameters
    ----------
    table
        patient_id, recorded_at, known_at (NaT if undated), name, text, unit, source, row.
    notes
        patient_id, written_at, known_at (NaT if undated), kind, text, source, row.
    table_rows, note_rows
        Which rows are a patient's.
    has_table, has_notes
        Whether the cohort has such records at all.
    """

    table: pd.DataFrame
    notes: pd.DataFrame
    table_rows: Mapping[str, slice]
    note_rows: Mapping[str, slice]
    has_table: bool
    has_notes: bool

    @classmethod
    def from_frames(
        cls, table: pd.DataFrame | None, notes: pd.DataFrame | None, protocol: Protocol
    ) -> "Records":
        """Return the records that two frames of text state; None where there are none at all.

        Raises
        ------
        UsageError
            If a time cannot be read.
        """
        names = {column.name for column in protocol.table}
        rows = _complete(table, TABLE_FIELDS)
        rows = _dated(rows[rows["name"].isin(names) & (rows["text"] != "")], "recorded_at")
        lines = _complete(notes, NOTE_FIELDS)
        lines = _dated(lines[lines["text"] != ""], "written_at")
        return cls(
            rows, lines, _by_patient(rows), _by_patient(lines), has_table=table is not None,
            has_notes=notes is not None,
        )  # fmt: skip

    def table_of(self, patient_id: str) -> pd.DataFrame:
        """Return a patient's rows of the table."""
        return self.table.iloc[self.table_rows.get(patient_id, slice(0))]

    def notes_of(self, patient_id: str) -> pd.DataFrame:
        """Return a patient's notes."""
        return self.notes.iloc[self.note_rows.get(patient_id, slice(0))]


def _complete(frame: pd.DataFrame | None, fields: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=fields, dtype=str) if frame is None else frame.reindex(
        columns=list(fields), fill_value=""
    )  # fmt: skip


def _dated(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sort by patient and read the times; a record is known once both its times have passed."""
    frame = frame.sort_values("patient_id", kind="stable", ignore_index=True)
    source = ", ".join(dict.fromkeys(frame["source"]))
    made = parse_times(frame[column], where=f"{source}, {column}")
    released = parse_times(frame["available_at"], where=f"{source}, available_at")
    frame[column] = made
    frame["known_at"] = made.where(made >= released, released).fillna(made)
    return frame.drop(columns="available_at")


def _by_patient(frame: pd.DataFrame) -> dict[str, slice]:
    ids = frame["patient_id"].to_numpy(dtype=object)
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    return {str(ids[start]): slice(start, end) for start, end in pairwise(edges) if start < end}


def load_records(cohort: Path, protocol: Protocol) -> Records:
    """Read ``tabular`` and ``notes`` of a cohort folder; either may be absent.

    Raises
    ------
    UsageError
        If a file is there but cannot be read, lacks a column, or holds an unreadable time.
    """
    return Records.from_frames(read_table(cohort, protocol), read_notes(cohort), protocol)


def read_table(cohort: Path, protocol: Protocol) -> pd.DataFrame | None:
    """Return the table of a cohort folder, one value a row; None if there is none."""
    path = find_table(cohort, "tabular")
    if path is None:
        return None
    frame = read_text_table(path, needed=WIDE_KEYS)
    frame["source"], frame["row"] = path.name, range(2, len(frame) + 2)
    is_long = {"name", "value"} <= set(frame.columns)
    return frame.rename(columns={"value": "text"}) if is_long else _melt(frame, path, protocol)


def _melt(frame: pd.DataFrame, path: Path, protocol: Protocol) -> pd.DataFrame:
    names = [column.name for column in protocol.table if column.name in frame.columns]
    if protocol.table and not names:
        wanted = ", ".join(column.name for column in protocol.table)
        msg = f"{path.name} has none of the protocol's columns: {wanted}"
        raise UsageError(msg)
    keys = [name for name in TABLE_FIELDS if name in frame.columns]
    long = frame.melt(keys, names, var_name="name", value_name="text")
    return long.sort_values("row", kind="stable", ignore_index=True)


def read_notes(cohort: Path) -> pd.DataFrame | None:
    """Return the notes of a cohort folder, one a row; None if there are none."""
    path, folder = find_table(cohort, "notes"), cohort / "notes"
    if path is not None and folder.is_dir():
        msg = f"{cohort} holds both {path.name} and the folder notes: keep one"
        raise UsageError(msg)
    if folder.is_dir():
        return _read_note_files(folder)
    if path is None:
        return None
    frame = read_text_table(path, needed=("patient_id", "written_at", "kind", "text"))
    frame["source"], frame["row"] = path.name, range(2, len(frame) + 2)
    if not (frame["text"].str.len() <= MAX_NOTE_CHARACTERS).all():
        msg = f"{path.name}: a note has more than {MAX_NOTE_CHARACTERS} characters"
        raise UsageError(msg)
    return frame


def _read_note_files(folder: Path) -> pd.DataFrame:
    rows = []
    for number, path in enumerate(sorted(folder.glob("*/*.txt")), start=1):
        written_at, _, kind = path.stem.partition("_")
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        # A colon cannot stand in every file system's names, so 14-30-00 is read as 14:30:00.
        day, _, clock = written_at.partition("T")
        time = f"{day}T{clock.replace('-', ':')}" if clock else day
        rows.append((path.parent.name, time, kind, text, "notes", number))
    columns = ["patient_id", "written_at", "kind", "text", "source", "row"]
    return pd.DataFrame(rows, columns=columns)

"""All that a cohort folder records about its patients, before any cut in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import UsageError
from pipeline.history.frames import find_table, parse_times, read_text_table
from pipeline.history.notes import decode_text
from schemas.protocol import Protocol

WIDE_KEYS = ("patient_id", "recorded_at")
MAX_NOTE_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """A cohort's table and notes, by patient.

    Parameters
    ----------
    table
        For each patient a frame with the columns recorded_at (NaT if undated), name, text, unit,
        in the file's order.
    notes
        For each patient a frame with the columns written_at, kind, text.
    has_table, has_notes
        Whether the cohort has such a file at all.
    """

    table: Mapping[str, pd.DataFrame]
    notes: Mapping[str, pd.DataFrame]
    has_table: bool
    has_notes: bool


def load_records(cohort: Path, protocol: Protocol) -> Records:
    """Read ``tabular`` and ``notes`` of a cohort folder; either may be absent.

    Raises
    ------
    UsageError
        If a file is there but cannot be read, lacks a column, or holds an unreadable time.
    """
    table = _read_table(cohort, protocol)
    notes = _read_notes(cohort)
    return Records(
        _by_patient(table), _by_patient(notes), has_table=table is not None,
        has_notes=notes is not None,
    )  # fmt: skip


def _by_patient(frame: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if frame is None:
        return {}
    groups = frame.groupby("patient_id", sort=True)
    return {str(patient): part.drop(columns="patient_id") for patient, part in groups}


def _read_table(cohort: Path, protocol: Protocol) -> pd.DataFrame | None:
    path = find_table(cohort, "tabular")
    if path is None:
        return None
    frame = read_text_table(path, needed=WIDE_KEYS)
    frame["recorded_at"] = parse_times(frame["recorded_at"], where=f"{path.name}, recorded_at")
    is_long = {"name", "value"} <= set(frame.columns)
    long = _from_long(frame) if is_long else _from_wide(frame, path, protocol)
    names = {column.name for column in protocol.table}
    return long[long["name"].isin(names) & (long["text"] != "")]


def _from_long(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns={"value": "text"})
    if "unit" not in frame.columns:
        frame["unit"] = ""
    return frame[["patient_id", "recorded_at", "name", "text", "unit"]].copy()


def _from_wide(frame: pd.DataFrame, path: Path, protocol: Protocol) -> pd.DataFrame:
    names = [column.name for column in protocol.table if column.name in frame.columns]
    if protocol.table and not names:
        wanted = ", ".join(column.name for column in protocol.table)
        msg = f"{path.name} has none of the protocol's columns: {wanted}"
        raise UsageError(msg)
    frame = frame.reset_index(names="row")
    long = frame.melt(["row", *WIDE_KEYS], names, var_name="name", value_name="text")
    long["unit"] = ""
    return long.sort_values("row", kind="stable", ignore_index=True).drop(columns="row")


def _read_notes(cohort: Path) -> pd.DataFrame | None:
    path, folder = find_table(cohort, "notes"), cohort / "notes"
    if path is not None and folder.is_dir():
        msg = f"{cohort} holds both {path.name} and the folder notes: keep one"
        raise UsageError(msg)
    if folder.is_dir():
        frame, where = _read_note_files(folder), "notes, file names"
    elif path is not None:
        frame = read_text_table(path, needed=("patient_id", "written_at", "kind", "text"))
        where = f"{path.name}, written_at"
    else:
        return None
    frame = frame[frame["text"] != ""].reset_index(drop=True)
    frame["written_at"] = parse_times(frame["written_at"], where=where)
    if not (frame["text"].str.len() <= MAX_NOTE_CHARACTERS).all():
        msg = f"{where}: a note has more than {MAX_NOTE_CHARACTERS} characters"
        raise UsageError(msg)
    return frame[["patient_id", "written_at", "kind", "text"]]


def _read_note_files(folder: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(folder.glob("*/*.txt")):
        written_at, _, kind = path.stem.partition("_")
        text = decode_text(path.read_bytes()).strip()
        # A colon cannot stand in every file system's names, so 14-30-00 is read as 14:30:00.
        day, _, clock = written_at.partition("T")
        time = f"{day}T{clock.replace('-', ':')}" if clock else day
        rows.append((path.parent.name, time, kind, text))
    return pd.DataFrame(rows, columns=["patient_id", "written_at", "kind", "text"], dtype=str)

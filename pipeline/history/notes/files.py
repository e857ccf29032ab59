"""Notes of a cohort folder: a table, or a folder with one text file a note."""

from pathlib import Path

import pandas as pd

from pipeline.errors import RecordsError
from pipeline.history.encoding import decoded
from pipeline.history.faults import as_skipped, fault
from pipeline.history.frames import TextTable, find_table, read_text_table
from schemas.protocol import Protocol

MAX_NOTE_CHARACTERS = 1_000_000
MAX_NOTE_BYTES = 4 * MAX_NOTE_CHARACTERS  # UTF-8 and UTF-16 have up to four bytes a character.
TOO_LONG = f"has more than {MAX_NOTE_CHARACTERS} characters"
OUTSIDE = "is a link that leads out of the cohort; put the file itself there"


def read_notes(cohort: Path, protocol: Protocol) -> TextTable | None:
    """Return the notes of a cohort folder, one a row; None if there are none.

    Raises
    ------
    RecordsError
        If they cannot be read, there are both a file and a folder, or a file of the folder is
        too long or a link that leads out of the cohort.
    """
    path, folder = find_table(cohort, "notes"), cohort / "notes"
    if path is not None and folder.is_dir():
        text = "is there beside the folder notes; keep one of them"
        raise RecordsError([fault(path.name, text)])
    if folder.is_dir():
        return _read_note_files(folder, cohort.resolve(), protocol.export.encoding)
    if path is None:
        return None
    return read_text_table(
        path, protocol.export, needed=("patient_id", "written_at", "kind", "text")
    )


def _read_note_files(folder: Path, within: Path, encoding: str) -> TextTable:
    rows, faults, doubts = [], [], []
    for number, path in enumerate(sorted(folder.glob("*/*.txt")), start=1):
        # The path names the patient, so the file is named by its place among all in order.
        place = f"{folder.name}, file {number}"
        content, reason = _read_note(path, within)
        text, doubt = "", ""
        if not reason:
            try:
                text, doubt = decoded(content, encoding)
            except UnicodeDecodeError as error:
                reason = f"cannot be read as {error.encoding}; save it as UTF-8"
        if reason:
            faults.append(fault(place, reason))
            continue
        if doubt:
            doubts.append(fault(place, doubt))
        written_at, _, kind = path.stem.partition("_")
        # A colon cannot stand in every file system's names, so 14-30-00 is read as 14:30:00.
        day, _, clock = written_at.partition("T")
        time = f"{day}T{clock.replace('-', ':')}" if clock else day
        rows.append((path.parent.name, time, kind, text.strip(), "notes", number))
    if faults:
        raise RecordsError(faults)
    columns = ["patient_id", "written_at", "kind", "text", "source", "row"]
    frame = pd.DataFrame(rows, columns=columns).astype(
        {"written_at": "str", "kind": "str", "text": "str"}
    )
    return TextTable(frame, as_skipped(doubts, folder.name))


def _read_note(path: Path, within: Path) -> tuple[bytes, str]:
    """Return a note's bytes, and why it is not read; "" if it is."""
    try:
        if not path.resolve().is_relative_to(within):
            return b"", OUTSIDE
        if not path.is_file():
            return b"", "is no file"
        with path.open("rb") as stream:
            content = stream.read(MAX_NOTE_BYTES + 1)
    except (OSError, RuntimeError):  # Of links in a circle Python 3.11 makes a RuntimeError.
        return b"", "cannot be read"
    return (b"", TOO_LONG) if len(content) > MAX_NOTE_BYTES else (content, "")

"""Faults of record files in words: file, column, rows and reason, never what a cell holds."""

from collections.abc import Iterable, Sequence

import pandas as pd

from schemas.issue import Issue, IssueCode, Severity
from schemas.series import SkippedFile

SHOWN_ROWS = 5
MAX_KEPT = 200


def fault(source: str, reason: str, *, column: str = "", rows: Sequence[int] = ()) -> str:
    """Return one fault in words.

    Parameters
    ----------
    source
        The file's name.
    reason
        What is wrong, as the end of a sentence.
    column
        As the header writes it; "" if the fault is of no one column.
    rows
        Where; the row below the header is row 2.
    """
    places = [source, *([f"column {column}"] if column else []), *([_rows(rows)] if rows else [])]
    return f"{', '.join(places)}: {reason}"


def cell_faults(cells: pd.DataFrame) -> list[str]:
    """Return faulty cells in words, those of one column and reason together.

    Parameters
    ----------
    cells
        source, row ("" if it has no number), name (of the column), fault (the reason), in the
        order to be told.
    """
    keys = ["source", "name", "fault"]
    return [
        fault(str(source), str(reason), column=str(name), rows=_numbers(part))
        for (source, name, reason), part in cells.groupby(keys, sort=False, observed=True)["row"]
    ]


def _numbers(rows: pd.Series) -> list[int]:
    return sorted(int(row) for row in rows if row != "")


def as_skipped(faults: Iterable[str], source: str) -> tuple[SkippedFile, ...]:
    """Return faults that stop nothing as what a run lists beside the files that it left out."""
    every = list(faults)
    more = len(every) - MAX_KEPT
    kept = [*every[:MAX_KEPT], *([f"{more} more faults"] if more > 0 else [])]
    code, severity = IssueCode.RECORD_UNREADABLE, Severity.WARNING
    return tuple(
        SkippedFile(file=source, issue=Issue(code=code, severity=severity, message=message))
        for message in kept
    )


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown = ", ".join(str(row) for row in rows[:SHOWN_ROWS])
    return f"rows {shown}" + (f" and {len(rows) - SHOWN_ROWS} more" if rows[SHOWN_ROWS:] else "")

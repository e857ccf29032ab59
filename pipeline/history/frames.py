"""Delimited and parquet files as text: nothing is guessed, every fault names file and row."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.errors import RecordsError, UsageError
from pipeline.history.encoding import encoding_of
from pipeline.history.faults import as_skipped, fault
from pipeline.history.parquet import read_parquet
from schemas.export import Export
from schemas.series import SkippedFile

MAX_BYTES = 2_000_000_000
MAX_CELL = 1_000_000
MAX_COLUMNS = 10_000
_CHUNK = 50_000
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, eq=False)
class TextTable:
    """A file's cells as stripped text, and what was doubtful in reading them.

    Parameters
    ----------
    frame
        The file's columns, their names stripped and in lower case, and ``source`` (the file's
        name) and ``row`` (the first below the header is 2).
    doubts
        For the user to know; the file could be read.
    """

    frame: pd.DataFrame
    doubts: tuple[SkippedFile, ...] = field(default=())


def find_table(folder: Path, stem: str) -> Path | None:
    """Return ``stem.csv`` or ``stem.parquet`` of a folder, None if there is neither.

    Raises
    ------
    UsageError
        If there are both: which one counts cannot be known.
    """
    found = [path for path in (folder / f"{stem}.csv", folder / f"{stem}.parquet") if path.exists()]
    if len(found) > 1:
        msg = f"{folder} holds both {found[0].name} and {found[1].name}: keep one"
        raise UsageError(msg)
    return found[0] if found else None


def read_text_table(path: Path, export: Export, *, needed: tuple[str, ...]) -> TextTable:
    """Read a csv or parquet file with all cells as stripped text, "" where empty.

    Encoding and delimiter of a csv are those that the protocol states, else found out.

    Raises
    ------
    RecordsError
        If it cannot be read, is larger than ``MAX_BYTES``, lacks a needed column, names one
        twice, or has rows of another length than the header.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RecordsError([fault(path.name, f"is larger than {MAX_BYTES} bytes; split it")])
    if path.suffix == ".parquet":
        frame, doubts = read_parquet(path)
        frame.columns = [_folded(name) for name in frame.columns]
        _require_header(path, list(frame.columns), needed)
        frame["row"] = range(2, len(frame) + 2)
    else:
        frame, doubts = _read_csv(path, export, needed)
    frame["source"] = path.name
    return TextTable(frame, as_skipped([fault(path.name, doubt) for doubt in doubts], path.name))


def _read_csv(
    path: Path, export: Export, needed: tuple[str, ...]
) -> tuple[pd.DataFrame, list[str]]:
    encoding, doubt = encoding_of(path, export.encoding)
    with path.open(encoding=encoding, newline="") as stream, _wide_cells():
        first = stream.readline(MAX_CELL)
        skipped = 0
        delimiter: str = export.delimiter
        if first.lower().startswith("sep="):  # Excel's own line.
            delimiter = first.rstrip("\r\n")[4:5] or delimiter
            first, skipped = stream.readline(MAX_CELL), 1
        delimiter = delimiter or _delimiter(first, needed)
        header = [_folded(name) for name in _cells(first, delimiter)]
        _require_header(path, header, needed)
        frame = _Body(path.name, header, 2 + skipped).read(
            csv.reader(stream, delimiter=delimiter, strict=True)
        )
    return frame, [doubt] if doubt else []


@contextmanager
def _wide_cells() -> Iterator[None]:
    """Let a cell be as long as a note; the module's limit is one for the whole process."""
    before = csv.field_size_limit(4 * MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _folded(name: object) -> str:
    return str(name).strip().casefold()


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _delimiter(line: str, needed: tuple[str, ...]) -> str:
    """Return the sign that parts the header into most of the needed names, the comma first."""

    def found(sign: str) -> int:
        return len(set(needed) & {_folded(name) for name in _cells(line, sign)})

    return max(_DELIMITERS, key=found)


def _require_header(path: Path, header: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in header]
    named = Counter(name for name in header if name)
    twice = sorted(name for name, count in named.items() if count > 1)
    own = [name for name in ("source", "row") if name in header]
    faults = [
        *([f"has no column {', '.join(missing)}; add it to the header"] if missing else []),
        *([f"has two columns {', '.join(twice)}"] if twice else []),
        *([f"may have no column {', '.join(own)}"] if own else []),
        *(["has too many columns"] if len(header) > MAX_COLUMNS else []),
    ]
    if faults:
        raise RecordsError([fault(path.name, text) for text in faults])


class _Body:
    """The rows below a header, and those that do not fit it."""

    def __init__(self, source: str, header: list[str], first_row: int) -> None:
        self.source, self.header, self.row = source, header, first_row
        self.short: list[int] = []
        self.long: list[int] = []
        self.faults: list[str] = []

    def read(self, rows: Iterator[list[str]]) -> pd.DataFrame:
        """Return all rows as one frame, or raise all that is wrong with them."""
        parts = [self._frame([], [])]
        cells: list[list[str]] = []
        numbers: list[int] = []
        for row in self._rows(rows):
            if any(row):
                cells.append(row)
                numbers.append(self.row)
            self.row += 1
            if len(cells) == _CHUNK:
                parts.append(self._frame(cells, numbers))
                cells, numbers = [], []
        parts.append(self._frame(cells, numbers))
        for reason, where in (("fewer", self.short), ("more", self.long)):
            if where:
                text = f"has {reason} cells than the header; is a delimiter or a quote missing?"
                self.faults.append(fault(self.source, text, rows=where))
        if self.faults:
            raise RecordsError(self.faults)
        return pd.concat(parts, ignore_index=True)

    def _rows(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        width = len(self.header)
        try:
            for row in rows:
                if len(row) < width and any(row):
                    self.short.append(self.row)
                if len(row) > width:  # Even if empty: a decimal comma shifts a row to the right.
                    self.long.append(self.row)
                yield row if len(row) == width else [*row, *[""] * (width - len(row))][:width]
        except csv.Error:
            text = "a quote is not closed, or a cell is too long"
            self.faults.append(fault(self.source, text, rows=[self.row]))
        except UnicodeError:
            self.faults.append(fault(self.source, "cannot be decoded", rows=[self.row]))

    def _frame(self, cells: list[list[str]], numbers: list[int]) -> pd.DataFrame:
        named = [place for place, name in enumerate(self.header) if name]
        every = pd.DataFrame(cells, columns=range(len(self.header)), dtype="str")
        frame = pd.DataFrame({self.header[place]: every[place].str.strip() for place in named})
        frame["row"] = pd.Series(numbers, dtype="int64")
        return frame

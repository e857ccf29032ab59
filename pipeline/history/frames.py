"""Delimited and parquet files as text: nothing is guessed, every fault names file and column."""

from pathlib import Path

import pandas as pd

from pipeline.errors import UsageError

MAX_BYTES = 2_000_000_000
_SHOWN_ROWS = 5
_TIME = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
_OFFSET = r"[T ]\d{2}:?\d{2}.*(?:[Zz]|[+-]\d{2}:?(?:\d{2})?)$"
_UNSTATED = {
    len("2024-05-31"): pd.Timedelta(hours=23, minutes=59, seconds=59),
    len("2024-05-31T14:30"): pd.Timedelta(seconds=59),
}


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


def read_text_table(path: Path, *, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a csv (UTF-8, comma) or parquet file with all cells as stripped text, "" where empty.

    Raises
    ------
    UsageError
        If it cannot be read, is larger than ``MAX_BYTES``, or lacks a needed column.
    """
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path.name} is larger than {MAX_BYTES} bytes: split it"
        raise UsageError(msg)
    try:
        frame = _parse(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        msg = f"{path.name} is not a readable {path.suffix[1:]} file (UTF-8, comma-separated)"
        raise UsageError(msg) from error
    frame.columns = frame.columns.astype(str).str.strip()
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        msg = f"{path.name} has no column {', '.join(missing)}: add it to the header"
        raise UsageError(msg)
    if not frame.columns.is_unique:
        msg = f"{path.name} names a column twice"
        raise UsageError(msg)
    stripped: pd.DataFrame = frame.apply(lambda column: column.str.strip())
    return stripped


def _parse(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return frame.astype("string").fillna("").astype(str)
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def parse_times(texts: pd.Series, *, where: str) -> pd.Series:
    """Read ISO 8601 local times; a time counts as the end of what it states.

    A date alone is the end of that day and a time without seconds the end of that minute: a
    record that says only the day of the scan may have been made after it, so it must not count
    as earlier.

    Parameters
    ----------
    texts
        Text, "" where there is none.
    where
        File and column, for the message.

    Returns
    -------
    datetime64, NaT where the text is empty.

    Raises
    ------
    UsageError
        If a time carries a UTC offset, which cannot be compared with the scanner's local time,
        or is not a whole date with or without a time. Row numbers count from 2, the line below
        the header.
    """
    has_offset = texts.str.contains(_OFFSET, regex=True)
    if has_offset.any():
        msg = f"{where}: {_rows(has_offset)} a time with a UTC offset; write local times"
        raise UsageError(msg)
    is_whole = texts.str.fullmatch(_TIME)
    times = pd.to_datetime(texts.where(is_whole), format="ISO8601", errors="coerce")
    unread = times.isna() & (texts != "")
    if unread.any():
        msg = f"{where}: {_rows(unread)} a time that is not ISO 8601 (2024-05-31T14:30:00)"
        raise UsageError(msg)
    slack = texts.str.len().map(_UNSTATED).fillna(pd.Timedelta(0))
    return times + slack


def _rows(mask: pd.Series) -> str:
    rows = [str(int(number) + 2) for number in mask.to_numpy().nonzero()[0]]
    shown = ", ".join(rows[:_SHOWN_ROWS])
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return f"row {shown} has" if len(rows) == 1 else f"rows {shown}{more} have"

"""The tables of an OMOP CDM v5.4, wherever they lie: only mapped rows, in chunks, as text."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

from pipeline.errors import UsageError

CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a table.

    Parameters
    ----------
    table
        Its name.
    needed
        Columns without which it cannot be read.
    optional
        Columns that are "" where the table has none.
    key
        The column that must be one of ``ids``; "" reads all rows.
    """

    table: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    key: str = ""
    ids: frozenset[int] = frozenset()


class OmopTables(Protocol):
    """Where tables are read from."""

    def place(self, table: str) -> str:
        """Return how a message names a table; never a credential."""
        ...

    def chunks(self, wanted: Wanted) -> Iterator[pd.DataFrame]:
        """Give the wanted rows and columns as text, "" where there is nothing.

        Raises
        ------
        UsageError
            If the table is not there, lacks a column, or cannot be read.
        """
        ...


def actual_names(wanted: Wanted, found: Collection[str], *, place: str) -> Mapping[str, str]:
    """Return the wanted columns by the names that a table really has, whatever their case.

    Raises
    ------
    UsageError
        If a needed one is missing, or its name stands there twice.
    """
    lower = [name.strip().lower() for name in found]
    missing = [name for name in wanted.needed if name not in lower]
    if missing:
        msg = f"{place} has no column {', '.join(missing)}: OMOP CDM v5.4 is needed"
        raise UsageError(msg)
    names = (*wanted.needed, *wanted.optional)
    if any(lower.count(name) > 1 for name in names):
        msg = f"{place} names a column twice"
        raise UsageError(msg)
    actual = dict(zip(lower, found, strict=True))
    return {actual[name]: name for name in names if name in actual}


def as_text(frame: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """Return the wanted columns as text; whole numbers of id columns without a fraction."""
    columns = {}
    for name in (*wanted.needed, *wanted.optional):
        if name not in frame.columns:
            columns[name] = pd.Series("", index=frame.index, dtype="str")
            continue
        column = pd.Series([_text(cell) for cell in frame[name]], frame.index, dtype="str")
        # pandas writes a column of whole numbers with gaps as 8751.0.
        columns[name] = column.str.removesuffix(".0") if name.endswith("_id") else column
    return pd.DataFrame(columns, index=frame.index)


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NaT or cell is pd.NA or cell != cell:  # noqa: PLR0124
        return ""
    return cell.isoformat() if isinstance(cell, date) else str(cell)

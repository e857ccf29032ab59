"""A cohort folder's own table, wide or long, as one value a row."""

import re
from pathlib import Path

import pandas as pd

from pipeline.errors import RecordsError
from pipeline.history.faults import fault
from pipeline.history.frames import TextTable, find_table, read_text_table
from schemas.protocol import Protocol

KEYS = ("patient_id", "recorded_at")
OPTIONAL = ("available_at", "issuer", "unit", "source", "row")
_UNIT_BEHIND = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\s*[\[(](?P<unit>[^\])]*)[\])]")


def read_table(cohort: Path, protocol: Protocol) -> TextTable | None:
    """Return the table of a cohort folder, one value a row; None if there is none.

    A table with the columns ``name`` and ``value`` is long, any other wide. In a wide one a
    column's unit stands behind its name (``glucose [mg/dL]``), in a column of its own
    (``glucose_unit``), behind the number, or is the protocol's.

    Raises
    ------
    RecordsError
        If the file cannot be read or has none of the protocol's columns.
    """
    path = find_table(cohort, "tabular")
    if path is None:
        return None
    table = read_text_table(path, protocol.export, needed=KEYS)
    frame = table.frame
    if {"name", "value"} <= set(frame.columns):
        frame["name"] = frame["name"].str.casefold()
        if (
            protocol.table
            and len(frame)
            and not frame["name"].isin([column.name for column in protocol.table]).any()
        ):
            raise _nothing_known(path, protocol)
        return TextTable(frame.rename(columns={"value": "text"}), table.doubts)
    return TextTable(_melted(frame, path, protocol), table.doubts)


def _nothing_known(path: Path, protocol: Protocol) -> RecordsError:
    wanted = ", ".join(column.name for column in protocol.table)
    return RecordsError([fault(path.name, f"has none of the protocol's columns: {wanted}")])


def _melted(frame: pd.DataFrame, path: Path, protocol: Protocol) -> pd.DataFrame:
    found = _columns(frame, path, protocol)
    if protocol.table and not found:
        raise _nothing_known(path, protocol)
    keys = [name for name in (*KEYS, *OPTIONAL) if name in frame.columns and name != "unit"]
    parts = [frame.loc[:0, keys].iloc[:0].assign(name="", text="", unit="")]
    for name, (written, unit) in found.items():
        filled = frame[written] != ""
        part = frame.loc[filled, keys].assign(name=name, text=frame.loc[filled, written])
        own = f"{name}_unit"
        parts.append(part.assign(unit=frame.loc[filled, own] if own in frame.columns else unit))
    return pd.concat(parts, ignore_index=True)


def _columns(frame: pd.DataFrame, path: Path, protocol: Protocol) -> dict[str, tuple[str, str]]:
    """Return for each of the protocol's columns that is there its header and its unit."""
    names = {column.name for column in protocol.table}
    found: dict[str, tuple[str, str]] = {}
    twice = []
    for written in frame.columns:
        match = _UNIT_BEHIND.fullmatch(written)
        name, unit = (match["name"], match["unit"].strip()) if match else (written, "")
        if name not in names:
            continue
        if name in found:
            twice.append(fault(path.name, "stands there twice", column=name))
        found[name] = (written, unit)
    if twice:
        raise RecordsError(twice)
    return found

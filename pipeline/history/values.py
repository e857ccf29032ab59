"""The cells of one table column to typed values, checked by a schema made from the protocol."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.history.numbers import (
    AMBIGUOUS,
    Reading,
    means_two_numbers,
    read_number,
    shows_decimal_comma,
)
from pipeline.history.units import canonical_unit, converter
from schemas.column import Column
from schemas.export import Export

FLAGS = {
    "1": True, "1.0": True, "true": True, "yes": True, "y": True, "t": True, "positive": True,
    "present": True, "ja": True, "j": True, "oui": True,
    "0": False, "0.0": False, "false": False, "no": False, "n": False, "f": False,
    "negative": False, "absent": False, "nein": False, "non": False,
}  # fmt: skip
MISSING = frozenset(
    {
        "", "na", "n/a", "n.a.", "n. a.", "#n/a", "#na", "#null!", "#value!", "#ref!", "#div/0!",
        "#name?", "#num!", "nan", "<na>", "<null>", "(null)", "null", "none", "nil", "-", "--",
        "---", "\N{EN DASH}", "\N{EM DASH}", ".", "?", "unknown", "unk",
        "missing", "not available", "not done",
        "not measured", "not recorded", "k.a.", "k. a.", "pending",
    }
)  # fmt: skip
_READABLE, _CONVERTIBLE, _PLAUSIBLE = "text", "unit", "value"


class Cells(NamedTuple):
    """Typed values of one column's cells, in their order."""

    value: pd.Series
    """float64: a number in the column's unit, 0 or 1 of a flag, the position of a category; NaN
    where a cell has a fault."""
    fault: pd.Series
    """Why a cell has no value; "" where it has one."""
    limit: pd.Series
    """`<` or `>` where the value lies beyond a detection limit that stands in its place."""


def is_missing(texts: pd.Series, column: Column, export: Export) -> pd.Series:
    """Say which cells hold nothing, by any spelling of nothing that is no value of the column."""
    own = set(_spellings(column))
    empty = {word.strip().casefold() for word in export.missing} | MISSING - own
    return texts.str.casefold().isin(empty)


def read_cells(texts: pd.Series, units: pd.Series, column: Column, export: Export) -> Cells:
    """Read one column's cells; equal cells are read once.

    Parameters
    ----------
    texts
        Stripped, not missing.
    units
        As written; "" where none is.
    """
    pairs = pd.DataFrame({"text": texts, "unit": units})
    place = pairs.groupby(["text", "unit"], sort=False).ngroup().to_numpy()
    cells = pairs.drop_duplicates(ignore_index=True)
    cells = _typed(cells, column, export)
    cells.loc[cells["fault"] != "", "value"] = np.nan
    every = cells.iloc[place].set_index(texts.index)
    return Cells(every["value"], every["fault"], every["limit"])


def typed(value: float, column: Column) -> float | str | bool:
    """Return a value as the History holds it."""
    if column.kind == "category":
        return column.categories[int(value)]
    return bool(value) if column.kind == "flag" else float(value)


def cell_schema(column: Column, faults: Mapping[str, str]) -> pa.DataFrameSchema:
    """Return what must hold for the cells of a column.

    Parameters
    ----------
    faults
        Each text that cannot be read, and why.
    """
    readable = [
        pa.Check(lambda texts, why=why: texts.map(faults) != why, error=why)
        for why in dict.fromkeys(faults.values())
    ]

    def is_known(unit: str) -> bool:
        return converter(unit, column.unit, column.analyte) is not None

    known = pa.Check(
        lambda units: units.map(is_known),
        error=f"is in a unit that cannot be converted to {column.unit or 'a number without one'}",
    )  # fmt: skip
    plausible = []
    if column.kind == "number":
        low, high = column.low or 0.0, column.high or 0.0
        text = f"is outside {low:g}..{high:g} {column.unit}".rstrip()
        plausible = [pa.Check.in_range(low, high, error=text)]
    return pa.DataFrameSchema(
        {
            _READABLE: pa.Column(str, readable),
            _CONVERTIBLE: pa.Column(str, [known] if column.kind == "number" else []),
            _PLAUSIBLE: pa.Column(float, plausible, nullable=True),
        }
    )


def _typed(cells: pd.DataFrame, column: Column, export: Export) -> pd.DataFrame:
    """Add value, fault and limit to cells that all differ."""
    readings = _readings(cells["text"], column, export)
    read = [readings[text] for text in cells["text"]]
    cells["limit"] = [reading.limit for reading in read]
    cells["unit"] = [
        _one_unit(unit, reading.unit, column)
        for unit, reading in zip(cells["unit"], read, strict=True)
    ]
    cells["value"] = [
        _converted(reading.number, unit, column)
        for reading, unit in zip(read, cells["unit"], strict=True)
    ]
    cells["fault"] = ""
    faults = {text: reading.fault for text, reading in readings.items() if reading.fault}
    try:
        cell_schema(column, faults).validate(cells, lazy=True)
    except pa.errors.SchemaErrors as error:
        # The first of a cell's faults is told: what cannot be read has no unit and no size.
        for case in error.failure_cases.iloc[::-1].itertuples():
            cells.loc[case.index, "fault"] = case.check
    return cells


def _one_unit(unit: str, behind: str, column: Column) -> str:
    """Return the unit of a cell: the one beside it, the one behind the number, or the column's."""
    if unit and behind and canonical_unit(unit) != canonical_unit(behind):
        return f"{unit} and {behind}"
    return unit or behind or column.unit


def _converted(number: float | None, unit: str, column: Column) -> float:
    if number is None:
        return np.nan
    convert = converter(unit, column.unit, column.analyte) if column.kind == "number" else None
    return number if convert is None else convert(number)


def _readings(texts: pd.Series, column: Column, export: Export) -> dict[str, Reading]:
    different = texts.unique()
    if column.kind == "number":
        return _numbers(different, export)
    names = _spellings(column)
    what = "is neither yes nor no" if column.kind == "flag" else (
        f"is none of {', '.join(column.categories)}"
    )  # fmt: skip
    places = {text: names.get(text.casefold()) for text in different}
    return {
        text: Reading(None, what) if place is None else Reading(float(place))
        for text, place in places.items()
    }


def _numbers(texts: np.ndarray, export: Export) -> dict[str, Reading]:
    readings = {text: read_number(text, export.decimal) for text in texts}
    if not export.decimal and any(shows_decimal_comma(text) for text in texts):
        # Where some cells have a decimal comma, 1.234 may well be 1234.
        readings |= {text: AMBIGUOUS for text in texts if means_two_numbers(text)}
    return readings


def _spellings(column: Column) -> dict[str, int]:
    """Return the position of each spelling of a category or flag, folded."""
    if column.kind == "number":
        return {}
    names = ("no", "yes") if column.kind == "flag" else column.categories
    found = {word: int(flag) for word, flag in FLAGS.items()} if column.kind == "flag" else {}
    for place, name in enumerate(names):
        for word in (name, *column.synonyms.get(name, ())):
            found[word.strip().casefold()] = place
    return found

"""Rows of OMOP tables to values, stretches and notes; vectorised, one mapped column at a time."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from pipeline.history.moments import end_of_stated, later
from pipeline.history.spans import YES, Span
from schemas.sources import OmopColumn

OPERATORS = {"4171756": "<", "4171754": "<=", "4172704": ">", "4171755": ">="}
MIDNIGHT = datetime.min.time()


def moment(day: str, clock: str) -> str:
    """Return a time, or the day where only the day is known.

    Many archives fill the time with midnight where they know the day alone, so midnight says the
    day: it then counts from the day's end, never from its beginning.

    Raises
    ------
    ValueError
        If neither is a date or time; the message names no value.
    """
    text = end_of_stated(clock) if clock else end_of_stated(day) if day else ""
    if len(text) > len("2024-05-31") and datetime.fromisoformat(text).time() == MIDNIGHT:
        return text[: len("2024-05-31")]
    return text


def moments(rows: pd.DataFrame, stem: str) -> tuple[pd.Series, pd.Series]:
    """Return the time of each row, and why it has none that can be read; "" if it has."""
    texts, faults = [], []
    pairs = zip(rows[f"{stem}_date"], rows[f"{stem}_datetime"], strict=True)
    for day, clock in pairs:
        text, fault = "", ""
        try:
            text = moment(day, clock)
        except ValueError as error:
            fault = f"{stem}_{'datetime' if clock else 'date'}: {error}"
        texts.append(text)
        faults.append(fault)
    return pd.Series(texts, rows.index, dtype="str"), pd.Series(faults, rows.index, dtype="str")


def known_from(start: pd.Series, told: pd.Series) -> pd.Series:
    """Return the later of a start and the time at which it was told; "" where nothing was told."""
    pairs = zip(start, told, strict=True)
    found = [later(begun, known) if known else "" for begun, known in pairs]
    return pd.Series(found, start.index, dtype="str")


def values(rows: pd.DataFrame, column: OmopColumn) -> pd.DataFrame:
    """Return text and unit of measurements or observations; text is "" where there is no value."""
    words = {"0": "", **{str(concept): word for concept, word in column.values.items()}}
    word = _mapped(rows["value_as_concept_id"], words)
    number = rows["value_as_number"]
    operator = _mapped(rows["operator_concept_id"], OPERATORS, other="")
    text = (operator + number).where(number != "", word)
    text = text.where(text != "", rows["value_as_string"])
    if column.table == "observation":
        said_nothing = (text == "") & (rows["value_source_value"] == "")
        text = text.where(~said_nothing, YES)
    return pd.DataFrame({"text": text, "unit": _units(rows, column)})


def _units(rows: pd.DataFrame, column: OmopColumn) -> pd.Series:
    """Return each row's unit; a concept that the mapping does not know is never taken for none."""
    known = {str(concept): unit for concept, unit in column.units.items()}
    concept, stated = rows["unit_concept_id"], rows["unit_source_value"]
    nameless = ("concept " + concept).where(~concept.isin(["", "0"]), "")
    unit = stated.where(stated != "", nameless)
    return _mapped(concept, known).where(concept.isin(list(known)), unit)


def _mapped(cells: pd.Series, words: Mapping[str, str], other: str | None = None) -> pd.Series:
    """Return the words for cells; for those without, ``other``, or themselves if it is None."""
    found = [words.get(cell, cell if other is None else other) for cell in cells]
    return pd.Series(found, cells.index, dtype="str")


def spans(rows: pd.DataFrame, column: OmopColumn, source: str) -> list[Span]:
    """Return the stretches of conditions or drugs.

    What has ended and has no time is not read for a flag that ends: when it held is not known.

    Parameters
    ----------
    rows
        patient_id, start, end, row.
    """
    return [
        Span(owner, column.column, start, later(end, start) if column.ends and end else "",
             source, row)
        for owner, start, end, row in zip(
            rows["patient_id"], rows["start"], rows["end"], rows["row"], strict=True
        )
        if start or not (column.ends and end)
    ]  # fmt: skip

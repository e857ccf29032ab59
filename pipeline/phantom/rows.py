"""The table rows of one simulated patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.traps import Trap
from pipeline.phantom.world import Flag, Number

OUTDATED_SHARE = 0.10
AT_THE_SCAN_SHARE = 0.05
DAY_ONLY_SHARE = 0.05
_UNDATED_SEX_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table as wide as its columns."""

    recorded_at: datetime | None
    """When; None for an undated row."""
    values: Mapping[str, str]
    """Written values by column; absent where nothing was recorded."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units by column, where they are stated and not the column's own."""
    is_day_only: bool = False
    """Whether only the day was written down."""
    traps: tuple[Trap, ...] = ()
    """What it is planted for."""


def row_time(row: Row) -> str:
    """Write a row's time as a table does: ISO 8601, a day alone where no more is known."""
    if row.recorded_at is None:
        return ""
    return (row.recorded_at.date() if row.is_day_only else row.recorded_at).isoformat()


def rows_before(rng: np.random.Generator, design: Design, patient: Patient) -> list[Row]:
    """Write down the table's columns as they are at the scan and as they were earlier.

    Returns
    -------
    list of Row
        Empty if the patient has no table. The last dated row tells the truth.
    """
    if not patient.has_table:
        return []
    known = [column for column in design.world.columns if column.name in patient.recorded]
    latest = 0.0 if rng.random() < AT_THE_SCAN_SHARE else -rng.uniform(0.02, 45.0)
    rows = [
        _row(patient, days, _earlier(rng, known, patient, days), known)
        for days in sorted(latest - rng.uniform(20.0, 900.0, int(rng.integers(0, 3))))
    ]
    present = {column.name: patient.facts[column.name] for column in known}
    traps = (Trap.AT_THE_SCAN,) if latest == 0.0 else ()
    values = {column.name: column.value(present[column.name]) for column in known}
    rows.append(_row(patient, latest, values, known, traps))
    if rng.random() < OUTDATED_SHARE:
        rows.append(_too_old(rng, design, patient))
    if rng.random() < _UNDATED_SEX_SHARE:
        born = str(patient.birth_date.year)
        rows.append(Row(None, {"sex": patient.sex, "birth_year": born}))
    return [row for row in rows if row.values]


def _row(
    patient: Patient,
    days: float,
    values: Mapping[str, float],
    columns: list[Flag | Number],
    traps: tuple[Trap, ...] = (),
) -> Row:
    """Write numbers down, in the unit that the patient's clinic uses."""
    written, units, found = {}, {}, set(traps)
    for column in columns:
        if column.name not in values:
            continue
        mix, other = patient.mixed_units.get(column.name), column.other_unit
        if mix is None or other is None:
            written[column.name] = column.written(values[column.name])
            continue
        written[column.name] = f"{values[column.name] * other.per_unit:.{other.decimals}f}"
        found.add(Trap.UNIT_STATED if mix == "stated" else Trap.UNIT_UNSTATED)
        if mix == "stated":
            units[column.name] = other.name
    return Row(at(patient, days), written, units, traps=tuple(sorted(found)))


def at(patient: Patient, days: float) -> datetime:
    """Give a moment, to the second, so many days from the scan."""
    return (patient.scanned_at + timedelta(days=days)).replace(microsecond=0)


def _earlier(
    rng: np.random.Generator, known: list[Flag | Number], patient: Patient, days: float
) -> dict[str, float]:
    """Give the values of an earlier record, which holds some of the columns."""
    chosen = [column for column in known if rng.random() < 0.6]
    return {
        column.name: column.earlier(rng, patient.facts[column.name], years=-days / 365.25)
        for column in chosen
    }


def _too_old(rng: np.random.Generator, design: Design, patient: Patient) -> Row:
    values = {
        column.name: column.written(column.value(column.draw(rng)))
        for column in design.world.columns
        if column.name != "age_years"
    }
    return Row(at(patient, -rng.uniform(3400.0, 5200.0)), values, traps=(Trap.TOO_OLD,))


def row_after(design: Design, patient: Patient, days: float, trap: Trap) -> Row:
    """Give the outcome away: a yes or a high number where it was bad."""
    values = {}
    for column in design.world.columns:
        fact = patient.facts[column.name]
        if column.states_outcome:
            fact = column.extreme(is_high=patient.outcomes[column.states_outcome])
        values[column.name] = column.written(column.value(fact))
    is_day = trap is Trap.DAY_ONLY
    return Row(at(patient, days), values, is_day_only=is_day, traps=(trap,))

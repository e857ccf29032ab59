"""Whether the header and the tables can speak of one and the same person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from schemas.protocol import Protocol
from schemas.series import Study

AGE_SLACK_YEARS = 1.0
_YEAR_DAYS = 365.25
_SEXES = {
    "m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "w": "F", "woman": "F",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Told:
    """What one source says of a person; sexes and years are empty where it says nothing."""

    source: str
    sexes: frozenset[str]
    years: tuple[tuple[int, int], ...]
    """First and last year of birth that each statement allows."""


def contradictions(studies: Sequence[Study], rows: pd.DataFrame, protocol: Protocol) -> list[str]:
    """Say in a sentence each what cannot be true of one person.

    Parameters
    ----------
    studies
        All of the cohort's studies under one identifier.
    rows
        The table's rows under it, whenever recorded: who a patient is does not depend on the scan.
    """
    told = [_from_headers(studies), *_from_table(rows, protocol)]
    found = []
    if len(frozenset().union(*(item.sexes for item in told))) > 1:
        found.append(f"{_where(told, 'sexes')} give more than one sex")
    years = [span for item in told for span in item.years]
    if years and not max(low for low, _ in years) <= min(high for _, high in years):
        found.append(f"{_where(told, 'years')} give birth years that exclude each other")
    return found


def _where(told: Sequence[_Told], what: str) -> str:
    sources = [item.source for item in told if getattr(item, what)]
    return " and ".join(dict.fromkeys(sources))


def _from_headers(studies: Sequence[Study]) -> _Told:
    return _Told(
        "the DICOM headers",
        frozenset(study.sex for study in studies if study.sex in ("M", "F")),
        tuple((year, year) for study in studies if (year := study.birth_year) is not None),
    )


def _from_table(rows: pd.DataFrame, protocol: Protocol) -> Iterator[_Told]:
    rule = protocol.identity
    columns = {column.name: column for column in protocol.table}
    if rule.sex:
        names = columns[rule.sex].categories
        sexes = {_SEXES.get(names[int(place)].casefold()) for place in _read(rows, rule.sex)}
        yield _Told(f"column {rule.sex}", frozenset(sex for sex in sexes if sex), ())
    if rule.birth_year:
        years = [int(year) for year in _read(rows, rule.birth_year)]
        yield _Told(f"column {rule.birth_year}", frozenset(), tuple((y, y) for y in years))
    if rule.age:
        dated = rows[(rows["name"] == rule.age) & rows["recorded_at"].notna()]
        ages = dated[dated["value"].notna()]
        spans = zip(ages["recorded_at"], ages["value"], strict=True)
        yield _Told(
            f"column {rule.age}", frozenset(),
            tuple(_birth_years(when, age) for when, age in spans),
        )  # fmt: skip


def _read(rows: pd.DataFrame, name: str) -> list[float]:
    values: list[float] = rows.loc[rows["name"] == name, "value"].dropna().tolist()
    return values


def _birth_years(recorded_at: pd.Timestamp, age: float) -> tuple[int, int]:
    """Whole years may have been cut or rounded, so the true age may be a year off either way."""
    earliest = recorded_at - pd.Timedelta(days=(age + 1.0 + AGE_SLACK_YEARS) * _YEAR_DAYS)
    latest = recorded_at - pd.Timedelta(days=(age - AGE_SLACK_YEARS) * _YEAR_DAYS)
    return earliest.year, latest.year

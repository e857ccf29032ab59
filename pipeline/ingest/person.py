"""Whose study it is and when it was made: one answer from all of its files."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from pipeline.ingest.instance import Instance
from schemas.issue import Issue, IssueCode, Severity

Sex = Literal["M", "F", "O", ""]
_SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}


@dataclass(frozen=True, slots=True)
class Person:
    """What tells a patient apart beside the ID; empty where files contradict each other."""

    issuer: str
    sex: Sex
    birth_year: int | None


@dataclass(frozen=True, slots=True)
class Clock:
    """How well a study's time is known."""

    is_day_only: bool
    utc_offset_minutes: int | None


def patient_sha256(instance: Instance) -> str:
    """Return a hash of what the files of one series must agree on: Patient ID and birth date."""
    return _sha256(instance.patient_id, instance.birth_date)


@lru_cache
def _sha256(patient_id: str, birth_date: str) -> str:
    return hashlib.sha256(json.dumps([patient_id, birth_date]).encode()).hexdigest()


def person_of(members: Sequence[Instance]) -> Person:
    """Return the patient that the files of one study name."""
    return Person(
        issuer=_only(member.issuer for member in members),
        sex=_SEXES.get(_only(member.sex for member in members), ""),
        birth_year=birth_year(_only(member.birth_date for member in members)),
    )


def mixed(members: Sequence[Instance]) -> tuple[Issue, ...]:
    """Say what tells the files' patients apart although their ID is one."""
    told = {
        "sexes": {member.sex for member in members} - {""},
        "Issuers of Patient ID": {member.issuer for member in members} - {""},
    }
    return tuple(
        Issue(
            code=IssueCode.IDENTITY_CONFLICT,
            severity=Severity.ERROR,
            message=f"The study carries {len(values)} different {what}.",
        )
        for what, values in told.items()
        if len(values) > 1
    )


def clock_of(members: Sequence[Instance], acquired_at: datetime | None) -> Clock:
    """Return how well the study's time is known, from the files that gave it."""
    first = [member for member in members if member.acquired_at == acquired_at is not None]
    offsets = {member.utc_offset_minutes for member in first}
    return Clock(
        is_day_only=bool(first) and all(member.is_day_only for member in first),
        utc_offset_minutes=offsets.pop() if len(offsets) == 1 else None,
    )


def _only(values: Iterable[str]) -> str:
    known = {value for value in values if value}
    return known.pop() if len(known) == 1 else ""


def birth_year(birth_date: str) -> int | None:
    """Return the year of Patient's Birth Date (0010,0030); None if it states none."""
    year = birth_date.replace(".", "")[:4]
    return int(year) if len(year) == 4 and year.isdecimal() else None

"""A folder of FHIR R4 resources to the frames of a history."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from pipeline.history.delivery import NOTES, TABLE, Delivery
from pipeline.history.fhir.directory import Directory
from pipeline.history.fhir.files import Found, read_resources
from pipeline.history.fhir.gather import Gathered, Place
from pipeline.history.fhir.resources import Patient
from pipeline.history.moments import later
from pipeline.history.persons import Person, told_apart
from pipeline.history.spans import Span, flag_rows
from schemas.sources import FhirMapping

STRANGER = "name a patient who is not in the folder, or whose Patient ID is not clear"

Said = TypeVar("Said")
Row = tuple[str | int, ...]


def read_fhir(folder: Path, mapping: FhirMapping) -> Delivery:
    """Read all resources below a folder that one server gave; order and file names do not matter.

    Of several versions of a resource the newest counts alone, so a value that was later marked
    as entered in error is not read. It counts from when it became the newest: a text that was
    changed after the scan keeps the date of the first.

    Raises
    ------
    UsageError
        If the folder holds no resources at all, or too many.
    """
    gathered = Gathered(mapping)
    for found in read_resources(folder, gathered.faults):
        gathered.take(found)
    gathered.settle()
    owners = _owners(gathered, folder.name)
    rows = [*_own_rows(gathered, owners), *_value_rows(gathered, owners)]
    rows += flag_rows(_spans(gathered, owners))
    notes = [
        (owner, said.written_at, gathered.revised.get(place.order, ""), said.kind, said.text,
         place.file, place.number)
        for owner, place, said in _owned(gathered.notes, gathered, owners)
    ]  # fmt: skip
    for file, count in sorted(owners.n_unknown.items()):
        gathered.faults.add(file, f"{count} records {STRANGER}; they were not read")
    return Delivery(
        pd.DataFrame(rows, columns=list(TABLE)),
        pd.DataFrame(notes, columns=list(NOTES)),
        gathered.faults.all(),
        owners.unclear,
    )


@dataclass(slots=True)
class _Owners:
    """Whose a statement is, and how many are nobody's."""

    by_key: Mapping[str, str]
    unclear: frozenset[str]
    names: Directory
    n_unknown: Counter[str] = field(default_factory=Counter)

    def of(self, place: Place) -> str:
        """Return the Patient ID; "" if it is not known, or means two people."""
        owner = self.by_key.get(self.names.key_of(place.subject), "")
        if not owner and place.patient_id not in self.unclear:
            owner = place.patient_id
        if not owner:
            self.n_unknown[place.file] += 1
        return owner


def _owners(gathered: Gathered, name: str) -> _Owners:
    persons = [
        _person(key, found, patient, gathered)
        for key, (found, patient) in gathered.patients.items()
    ]
    told = told_apart(persons, gathered.faults, where=name)
    by_key = {key: person.patient_id for key, person in told.agreed.items()}
    return _Owners(by_key, told.contradicted, gathered.patient_names)


def _person(key: str, found: Found, patient: Patient, gathered: Gathered) -> Person:
    system = gathered.mapping.patient_system
    ids = {
        identifier.value.strip()
        for identifier in patient.identifier
        if identifier.system == system and identifier.use != "old"
    } - {""}
    if len(ids) > 1:
        message = f"identifier: has {len(ids)} different values of the system of Patient ID"
        gathered.faults.add(found.file, f"resource {found.number}: Patient: {message}")
    gender = "" if patient.gender == "unknown" else patient.gender
    only = ids.pop() if len(ids) == 1 else ""
    return Person(key, only, gender, patient.birthDate[:4])


def _owned(
    said: list[tuple[Place, Said]], gathered: Gathered, owners: _Owners
) -> Iterator[tuple[str, Place, Said]]:
    """Give what is said of a known patient and was not replaced by a newer version."""
    for place, what in said:
        if place.order not in gathered.replaced:
            owner = owners.of(place)
            if owner:
                yield owner, place, what


def _value_rows(gathered: Gathered, owners: _Owners) -> Iterator[Row]:
    for owner, place, said in _owned(gathered.values, gathered, owners):
        known = later(said.available_at, gathered.revised.get(place.order, ""))
        yield (
            owner, said.recorded_at, known, said.name, said.text, said.unit,
            place.file, place.number,
        )  # fmt: skip


def _spans(gathered: Gathered, owners: _Owners) -> Iterator[Span]:
    for owner, place, said in _owned(gathered.stretches, gathered, owners):
        revised = gathered.revised.get(place.order, "")
        start = later(said.start, revised) if said.start else ""
        end = later(said.end, revised) if said.end else ""
        yield Span(owner, said.name, start, end, place.file, place.number)


def _own_rows(gathered: Gathered, owners: _Owners) -> Iterator[Row]:
    """Give what the Patient resources themselves say; it has no time."""
    for column in gathered.mapping.columns:
        for key, (found, patient) in gathered.patients.items() if column.field else ():
            text = patient.gender if column.field == "gender" else patient.birthDate[:4]
            if text and key in owners.by_key:
                word = column.values.get(text, text)
                yield (owners.by_key[key], "", "", column.column, word, "", found.file,
                       found.number)  # fmt: skip

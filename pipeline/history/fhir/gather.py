"""All statements of a folder, before it is known whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.history.delivery import FaultList
from pipeline.history.fhir.directory import Directory, own_key
from pipeline.history.fhir.documents import kind_of, text_of
from pipeline.history.fhir.files import Found
from pipeline.history.fhir.resources import (
    Concept,
    Condition,
    DocumentReference,
    Medication,
    Medicine,
    Observation,
    Patient,
    Reference,
)
from pipeline.history.fhir.statements import (
    Mapped,
    StatementError,
    Stretch,
    Value,
    diagnosed,
    medicated,
    observed,
)
from pipeline.history.moments import instant
from schemas.sources import FhirMapping

NO_MEDICINE = "medicationReference: the medicine is not in the folder"
KINDS = ("Observation", "Condition", "Medication")

Statement = Observation | Condition | Medicine | DocumentReference


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands, and which patient it names: by reference, or by Patient ID."""

    subject: str
    patient_id: str
    file: str
    number: int
    order: int


class Version(NamedTuple):
    """The newest version of a resource so far, and its order among all that were read."""

    updated: str
    order: int

    def is_after(self, other: "Version") -> bool:
        """Say whether it is surely newer; False where either does not say when it was made."""
        if not self.updated or not other.updated:
            return False
        return instant(self.updated) > instant(other.updated)


class Document(NamedTuple):
    """A note."""

    written_at: str
    kind: str
    text: str


@dataclass(slots=True)
class Gathered:
    """What was read so far; patients and medicines may follow those who point to them."""

    mapping: FhirMapping
    faults: FaultList = field(default_factory=FaultList)
    patients: dict[str, tuple[Found, Patient]] = field(default_factory=dict)
    patient_names: Directory = field(default_factory=Directory)
    values: list[tuple[Place, Value]] = field(default_factory=list)
    stretches: list[tuple[Place, Stretch]] = field(default_factory=list)
    notes: list[tuple[Place, Document]] = field(default_factory=list)
    replaced: set[int] = field(default_factory=set)
    revised: dict[int, str] = field(default_factory=dict)
    """When a statement with an older version became what it is: it was not known before."""
    _medications: dict[str, Concept] = field(default_factory=dict)
    _medication_names: Directory = field(default_factory=Directory)
    _newest: dict[str, Version] = field(default_factory=dict)
    _waiting: list[tuple[Place, Medicine]] = field(default_factory=list)
    _n_read: int = 0
    _mapped: Mapping[str, Mapped] = field(init=False)

    def __post_init__(self) -> None:
        self._mapped = {kind: Mapped.of(self.mapping.columns, kind) for kind in KINDS}

    def take(self, found: Found) -> None:
        """Take one resource in, unless a newer version of it is known."""
        self._n_read += 1
        if not self._is_newest(found):
            return
        match found.resource:
            case Patient() as patient:
                self.patients[own_key(found)] = (found, patient)
                self.patient_names.add(found)
            case Medication() as medication:
                self._medications[own_key(found)] = medication.code
                self._medication_names.add(found)
            case Observation() | Condition() | Medicine() | DocumentReference() as statement:
                self._state(self._place(found, statement.subject), statement)

    def settle(self) -> None:
        """Read the medicines whose drug is a resource of its own, now that all are known."""
        for place, medicine in self._waiting:
            pointer = medicine.medicationReference
            key = self._medication_names.key_of(pointer.reference if pointer else "")
            self._medicate(place, medicine, self._medications.get(key))

    def _is_newest(self, found: Found) -> bool:
        key = own_key(found)
        if not key:
            return True
        version = Version(found.resource.meta.lastUpdated, self._n_read)
        known = self._newest.get(key)
        if known is not None and known.is_after(version):
            self.revised[known.order] = known.updated
            return False
        if known is not None:
            self.replaced.add(known.order)
            if version.is_after(known):
                self.revised[version.order] = version.updated
            elif known.order in self.revised:
                self.revised[version.order] = self.revised[known.order]
        self._newest[key] = version
        return True

    def _place(self, found: Found, subject: Reference) -> Place:
        identifier, named = subject.identifier, ""
        if not subject.reference and identifier is not None:
            is_ours = identifier.system == self.mapping.patient_system
            named = identifier.value.strip() if is_ours else ""
        return Place(subject.reference, named, found.file, found.number, self._n_read)

    def _state(self, place: Place, statement: Statement) -> None:
        match statement:
            case Observation():
                self._observe(place, statement)
            case Condition():
                self._diagnose(place, statement)
            case Medicine():
                self._find_medicine(place, statement)
            case DocumentReference():
                self._file(place, statement)

    def _observe(self, place: Place, observation: Observation) -> None:
        try:
            for value in observed(observation, self._mapped["Observation"]):
                self.values.append((place, value))
        except StatementError as error:
            self._fault(place, observation, error)

    def _diagnose(self, place: Place, condition: Condition) -> None:
        try:
            for stretch in diagnosed(condition, self._mapped["Condition"]):
                self.stretches.append((place, stretch))
        except StatementError as error:
            self._fault(place, condition, error)

    def _file(self, place: Place, document: DocumentReference) -> None:
        kind = kind_of(document, self.mapping.notes)
        if not kind:
            return
        try:
            written_at, text = text_of(document)
        except StatementError as error:
            self._fault(place, document, error)
        else:
            self.notes.append((place, Document(written_at, kind, text)))

    def _find_medicine(self, place: Place, medicine: Medicine) -> None:
        concept, pointer = medicine.medicationCodeableConcept, medicine.medicationReference
        if concept is not None or pointer is None:
            self._medicate(place, medicine, concept)
        elif pointer.reference.startswith("#"):
            inside = {part.id: part.code for part in medicine.contained}
            self._medicate(place, medicine, inside.get(pointer.reference[1:]))
        else:
            self._waiting.append((place, medicine))

    def _medicate(self, place: Place, medicine: Medicine, concept: Concept | None) -> None:
        try:
            if concept is None:
                raise StatementError(NO_MEDICINE)
            for stretch in medicated(medicine, concept, self._mapped["Medication"]):
                self.stretches.append((place, stretch))
        except StatementError as error:
            self._fault(place, medicine, error)

    def _fault(self, place: Place, statement: Statement, error: StatementError) -> None:
        where = f"resource {place.number}: {type(statement).__name__}"
        self.faults.add(place.file, f"{where}: {error}")

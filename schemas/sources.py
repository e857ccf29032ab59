"""How a hospital's FHIR resources or OMOP tables become the protocol's columns and notes."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel
from schemas.column import Column

MAX_CODES = 10_000
_STEM = r"^([a-z][a-z0-9_]{0,62})?$"


class FhirColumn(FrozenModel):
    """Which FHIR resources say one column of the table; several may say the same column."""

    column: str = Field(pattern=NAME_PATTERN)
    """The protocol's column."""
    resource: Literal["Observation", "Condition", "Medication", "Patient"]
    """`Medication` is MedicationRequest and MedicationStatement. A Condition or a medicine says
    yes to a flag."""
    system: str = ""
    """Code system of `codes`, as the resources write it: http://loinc.org, say."""
    codes: tuple[str, ...] = Field(default=(), max_length=MAX_CODES)
    """Codes of the resource, or of an Observation's component."""
    field: Literal["", "gender", "birth_year"] = ""
    """Of a Patient: what is read. It has no time, so the column must be `undated`."""
    values: dict[str, str] = Field(default_factory=dict)
    """Codes of the answer to the column's own words; a code that is not here is kept."""
    units: dict[str, str] = Field(default_factory=dict)
    """UCUM codes to the column's own units; a code that is not here is kept."""
    date: Literal["known", "happened"] = "known"
    """`known`: the later of when it happened and when it was issued, recorded or asserted.
    `happened`: the clinical time alone, for archives whose time of recording is that of an
    import."""
    ends: bool = False
    """Whether the flag turns to no when the Condition abates or the medicine is stopped."""

    @model_validator(mode="after")
    def _complete(self) -> "FhirColumn":
        is_patient = self.resource == "Patient"
        _require(is_patient == bool(self.field), self.column, "field belongs to resource Patient")
        has_codes = bool(self.system and self.codes)
        _require(is_patient != has_codes, self.column, "system and codes belong to all but Patient")
        can_end = self.resource in ("Condition", "Medication")
        _require(can_end or not self.ends, self.column, "only Condition and Medication end")
        return self


class FhirNotes(FrozenModel):
    """Which DocumentReferences are notes of one kind."""

    kind: str = Field(min_length=1)
    """The protocol's word for the kind."""
    system: str = Field(min_length=1)
    """Code system of `codes`."""
    codes: tuple[str, ...] = Field(min_length=1, max_length=MAX_CODES)
    """Codes of the document's type or category."""


class FhirMapping(FrozenModel):
    """How a folder of FHIR R4 resources is read."""

    patient_system: str = Field(min_length=1)
    """System of the identifier that the images carry as Patient ID (0010,0020). Identifiers of
    other systems, which may have the same value for another patient, are not read."""
    issuer: str = ""
    """Issuer of Patient ID (0010,0021) that the images write for this system; empty if none."""
    columns: tuple[FhirColumn, ...] = ()
    """Table variables."""
    notes: tuple[FhirNotes, ...] = ()
    """Notes."""


class OmopColumn(FrozenModel):
    """Which rows of an OMOP table say one column; several may say the same column."""

    column: str = Field(pattern=NAME_PATTERN)
    """The protocol's column."""
    table: Literal["measurement", "observation", "condition_occurrence", "drug_exposure", "person"]
    """A condition or a drug says yes to a flag, and so does an observation without a value."""
    concepts: tuple[int, ...] = Field(default=(), max_length=MAX_CODES)
    """Standard concept ids."""
    descendants: bool = False
    """Whether concept_ancestor's descendants of `concepts` count too: all drugs of an
    ingredient, say."""
    field: Literal["", "gender", "birth_year"] = ""
    """Of a person: what is read. It has no time, so the column must be `undated`."""
    values: dict[int, str] = Field(default_factory=dict)
    """value_as_concept_id or gender_concept_id to the column's own words."""
    units: dict[int, str] = Field(default_factory=dict)
    """unit_concept_id to the column's own unit; for others unit_source_value is read."""
    known_at: str = Field(default="", pattern=_STEM)
    """Of a condition: the date at which it was known, if that is later than its start, since a
    disease may be entered with a start that lies long before the entry. `visit`: the end of the
    visit at which it was diagnosed. Another word: the columns `<word>_date` and, where there is
    one, `<word>_datetime` of condition_occurrence. `start`: its start alone, for archives whose
    start is the day of the diagnosis. Empty: that is not known, and the condition has no time."""
    ends: bool = False
    """Whether the flag turns to no at the end date."""

    @model_validator(mode="after")
    def _complete(self) -> "OmopColumn":
        is_person = self.table == "person"
        _require(is_person == bool(self.field), self.column, "field belongs to table person")
        _require(is_person != bool(self.concepts), self.column, "concepts belong to all but person")
        can_end = self.table in ("condition_occurrence", "drug_exposure")
        _require(can_end or not self.ends, self.column, "only conditions and drugs end")
        is_condition = self.table == "condition_occurrence"
        _require(is_condition or not self.known_at, self.column, "known_at belongs to conditions")
        return self


class OmopNotes(FrozenModel):
    """Which rows of the table note are notes of one kind."""

    kind: str = Field(min_length=1)
    """The protocol's word for the kind."""
    concepts: tuple[int, ...] = Field(min_length=1, max_length=MAX_CODES)
    """Concept ids of the note's class."""


class OmopMapping(FrozenModel):
    """How the tables of an OMOP CDM are read; person_source_value is the images' Patient ID."""

    issuer: str = ""
    """Issuer of Patient ID (0010,0021) that the images write for it; empty if none."""
    columns: tuple[OmopColumn, ...] = ()
    """Table variables."""
    notes: tuple[OmopNotes, ...] = ()
    """Notes."""
    database_schema: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,62})?$")
    """The database's schema that holds the tables; its default if empty."""


class Sources(FrozenModel):
    """Where histories come from, other than the cohort folder's own tables."""

    fhir: FhirMapping | None = None
    """For the cohort's folder `fhir`."""
    omop: OmopMapping | None = None
    """For the cohort's folder `omop`, or a database."""

    def faults(self, table: tuple[Column, ...]) -> list[str]:
        """Say which parts do not fit the protocol's table."""
        known = {column.name: column for column in table}
        mapped: list[FhirColumn | OmopColumn] = []
        mapped += self.fhir.columns if self.fhir else ()
        mapped += self.omop.columns if self.omop else ()
        return [fault for item in mapped for fault in _misfits(item, known.get(item.column))]


def _misfits(item: FhirColumn | OmopColumn, column: Column | None) -> Iterable[str]:
    if column is None:
        yield f"sources: the table has no column {item.column}"
        return
    if item.field and not column.undated:
        yield f"sources: {item.column} has no time in a patient's own data: mark it undated"
    source = item.resource if isinstance(item, FhirColumn) else item.table
    states_only = ("Condition", "Medication", "condition_occurrence", "drug_exposure")
    if source in states_only and column.kind != "flag":
        yield f"sources: {item.column} is no flag, and {source} says only yes or no"


def _require(holds: bool, column: str, what: str) -> None:
    if not holds:
        msg = f"{column}: {what}"
        raise ValueError(msg)

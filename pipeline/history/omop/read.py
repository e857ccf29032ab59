"""OMOP tables to the frames of a history."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from pipeline.errors import UsageError
from pipeline.history.delivery import NOTES, TABLE, Delivery, FaultList
from pipeline.history.moments import later
from pipeline.history.notes.files import MAX_NOTE_CHARACTERS
from pipeline.history.omop.rows import known_from, moments, spans, values
from pipeline.history.omop.tables import OmopTables, Wanted
from pipeline.history.persons import Person, Persons, told_apart
from pipeline.history.spans import Span, flag_rows
from schemas.sources import OmopColumn, OmopMapping

MAX_ROWS = 20_000_000
MAX_DIGITS = 19
MAX_ROW_ID = 2**53
"""The largest whole number that survives as a float; a row without such a number is row 0."""
STEMS = {
    "measurement": "measurement", "observation": "observation",
    "condition_occurrence": "condition_start", "drug_exposure": "drug_exposure_start",
    "note": "note",
}  # fmt: skip
ENDS = {"condition_occurrence": "condition_end", "drug_exposure": "drug_exposure_end"}
CONCEPTS = {
    "measurement": "measurement_concept_id", "observation": "observation_concept_id",
    "condition_occurrence": "condition_concept_id", "drug_exposure": "drug_concept_id",
    "note": "note_class_concept_id",
}  # fmt: skip
VALUES = (
    "value_as_number", "value_as_concept_id", "value_as_string", "value_source_value",
    "operator_concept_id", "unit_concept_id", "unit_source_value",
)  # fmt: skip


def read_omop(tables: OmopTables, mapping: OmopMapping) -> Delivery:
    """Read the mapped concepts of all persons.

    Raises
    ------
    UsageError
        If a table that the mapping names is missing, lacks a column or cannot be read, or more
        than ``MAX_ROWS`` rows are mapped.
    """
    reader = _Reader(tables)
    reader.read_persons(mapping)
    for column in mapping.columns:
        if column.table != "person":
            reader.read_column(column)
    for rule in mapping.notes:
        reader.read_notes(rule.kind, frozenset(rule.concepts))
    return reader.deliver()


@dataclass(slots=True)
class _Reader:
    tables: OmopTables
    faults: FaultList = field(default_factory=FaultList)
    persons: Persons = field(default_factory=lambda: Persons({}, frozenset()))
    owners: Mapping[str, str] = field(default_factory=dict)
    frames: list[pd.DataFrame] = field(default_factory=list)
    notes: list[pd.DataFrame] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    n_rows: int = 0
    n_strangers: int = 0

    def read_persons(self, mapping: OmopMapping) -> None:
        """Read who is who, and what the table person itself says."""
        needed = ("person_id", "person_source_value", "gender_concept_id", "year_of_birth")
        place = self.tables.place("person")
        found = (
            Person(key, patient_id, "" if gender == "0" else gender, year.removesuffix(".0"))
            for chunk in self.tables.chunks(Wanted("person", needed))
            for key, patient_id, gender, year in chunk[list(needed)].itertuples(index=False)
        )
        self.persons = told_apart(found, self.faults, where=place)
        self.owners = {key: person.patient_id for key, person in self.persons.agreed.items()}
        for column in mapping.columns:
            if column.table == "person":
                self.frames.append(self._own_rows(column, place))

    def _own_rows(self, column: OmopColumn, place: str) -> pd.DataFrame:
        words = {str(concept): word for concept, word in column.values.items()}
        rows = []
        for number, person in enumerate(self.persons.agreed.values(), start=1):
            text = person.gender if column.field == "gender" else person.birth_year
            if text:
                text = words.get(text, text)
                rows.append((person.patient_id, "", "", column.column, text, "", place, number))
        return pd.DataFrame(rows, columns=list(TABLE))

    def read_column(self, column: OmopColumn) -> None:
        """Read the rows of one mapped column."""
        end = ENDS.get(column.table, "")
        if not end:
            for rows in self._rows(column.table, self._concepts(column), VALUES):
                self._keep_values(rows, column)
            return
        needed, more = _known_columns(column)
        optional = (f"{end}_date", f"{end}_datetime", *more)
        for rows in self._rows(column.table, self._concepts(column), optional, needed):
            if column.table == "condition_occurrence":
                self._keep_spans(self._since_known(rows, column.known_at), column, end)
            else:
                self._keep_spans(rows, column, end)

    def _concepts(self, column: OmopColumn) -> frozenset[int]:
        if not column.descendants:
            return frozenset(column.concepts)
        wanted = Wanted(
            "concept_ancestor", ("ancestor_concept_id", "descendant_concept_id"),
            key="ancestor_concept_id", ids=frozenset(column.concepts),
        )  # fmt: skip
        found = {
            int(concept)
            for chunk in self.tables.chunks(wanted)
            for concept in chunk["descendant_concept_id"]
            if concept.isdecimal()
        }
        return frozenset({*column.concepts, *found})

    def _rows(
        self,
        table: str,
        concepts: frozenset[int],
        optional: tuple[str, ...] = (),
        needed: tuple[str, ...] = (),
    ) -> Iterator[pd.DataFrame]:
        """Give the rows of known persons whose time can be read."""
        stem, key, row_id = STEMS[table], CONCEPTS[table], f"{table}_id"
        needed = ("person_id", key, f"{stem}_date", *needed)
        more = (f"{stem}_datetime", row_id, *optional)
        place = self.tables.place(table)
        for chunk in self.tables.chunks(Wanted(table, needed, more, key, concepts)):
            self.n_rows += len(chunk)
            if self.n_rows > MAX_ROWS:
                msg = f"more than {MAX_ROWS} rows of the OMOP tables are mapped: split the cohort"
                raise UsageError(msg)
            owner = chunk["person_id"].map(self.owners)
            self.n_strangers += int(owner.isna().sum())
            number = pd.to_numeric(chunk[row_id], errors="coerce")
            number = number.where(number.between(0, MAX_ROW_ID), 0).astype("int64")
            rows = chunk.assign(patient_id=owner, row=number)[owner.notna()]
            start, fault = moments(rows, stem)
            self._name(rows, fault, place)
            yield rows.assign(start=start)[fault == ""]

    def _name(self, rows: pd.DataFrame, fault: pd.Series, place: str) -> None:
        for row, message in zip(rows["row"][fault != ""], fault[fault != ""], strict=True):
            self.faults.add(place, f"row {row}: {message}")

    def _keep_values(self, rows: pd.DataFrame, column: OmopColumn) -> None:
        read = values(rows, column)
        place = self.tables.place(column.table)
        empty = read["text"] == ""
        if empty.any():
            message = f"{column.column}: {int(empty.sum())} rows have no value that can be read"
            self.faults.add(place, message)
        frame = rows[["patient_id", "row"]].assign(
            recorded_at=rows["start"], available_at="", name=column.column, text=read["text"],
            unit=read["unit"], source=place,
        )  # fmt: skip
        self.frames.append(frame[~empty][list(TABLE)])

    def _since_known(self, rows: pd.DataFrame, known_at: str) -> pd.DataFrame:
        """Let conditions start when they were known; rows whose time cannot be read are left out.

        As with a FHIR Condition, a start by itself does not say since when anyone knew of it.
        """
        match known_at:
            case "start":
                return rows
            case "":
                return rows.assign(start="")
            case "visit":
                ends = self._visit_ends(rows)
                visits = [ends.get(key, "") for key in rows["visit_occurrence_id"]]
                told = pd.Series(visits, rows.index, dtype="str")
            case _:
                told, fault = moments(rows, known_at)
                self._name(rows, fault, self.tables.place("condition_occurrence"))
                rows, told = rows[fault == ""], told[fault == ""]
        return rows.assign(start=known_from(rows["start"], told))

    def _visit_ends(self, rows: pd.DataFrame) -> Mapping[str, str]:
        """Return when the visits of rows ended; one that does not say is not there."""
        keys = rows["visit_occurrence_id"]
        ids = frozenset(int(key) for key in keys if key.isdecimal() and len(key) < MAX_DIGITS)
        wanted = Wanted(
            "visit_occurrence", ("visit_occurrence_id", "visit_end_date"), ("visit_end_datetime",),
            key="visit_occurrence_id", ids=ids,
        )  # fmt: skip
        ends: dict[str, str] = {}
        for chunk in self.tables.chunks(wanted) if ids else ():
            visits = chunk.assign(row=chunk["visit_occurrence_id"])
            told, fault = moments(visits, "visit_end")
            self._name(visits, fault, self.tables.place("visit_occurrence"))
            for key, end in zip(visits["row"], told, strict=True):
                ends[key] = later(ends.get(key, ""), end)
        return ends

    def _keep_spans(self, rows: pd.DataFrame, column: OmopColumn, end: str) -> None:
        stop, fault = moments(rows, end)
        place = self.tables.place(column.table)
        self._name(rows, fault, place)
        self.spans += spans(rows.assign(end=stop)[fault == ""], column, place)

    def read_notes(self, kind: str, concepts: frozenset[int]) -> None:
        """Read the notes of one kind."""
        place = self.tables.place("note")
        for rows in self._rows("note", concepts, needed=("note_text",)):
            is_long = rows["note_text"].str.len() > MAX_NOTE_CHARACTERS
            fault = is_long.map({True: f"note_text: more than {MAX_NOTE_CHARACTERS} characters"})
            self._name(rows, fault.fillna(""), place)
            frame = rows[["patient_id", "row"]].assign(
                written_at=rows["start"], available_at="", kind=kind, text=rows["note_text"],
                source=place,
            )  # fmt: skip
            self.notes.append(frame[~is_long][list(NOTES)])

    def deliver(self) -> Delivery:
        """Bring all together."""
        if self.n_strangers:
            message = f"{self.n_strangers} records are of persons who have no clear Patient ID; "
            self.faults.add(self.tables.place("person"), f"{message}they were not read")
        flags = pd.DataFrame(flag_rows(self.spans), columns=list(TABLE))
        empty = pd.DataFrame(columns=list(NOTES), dtype="str")
        return Delivery(
            pd.concat([*self.frames, flags], ignore_index=True),
            pd.concat([empty, *self.notes], ignore_index=True),
            self.faults.all(),
            self.persons.contradicted,
        )


def _known_columns(column: OmopColumn) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which needed and which optional columns say when a condition was known."""
    match column.known_at:
        case "" | "start":
            return (), ()
        case "visit":
            return ("visit_occurrence_id",), ()
        case stem:
            return (f"{stem}_date",), (f"{stem}_datetime",)

"""The simulated cohort's table and notes as a hospital would give them: FHIR R4 and OMOP CDM.

The csv files stay the truth that both are compared with.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import pandas as pd
import sqlalchemy as sa
import yaml

from pipeline.history import Records
from pipeline.phantom.brain_world import BRAIN_MR
from pipeline.phantom.patient import Design, Patient, draw_patient
from pipeline.phantom.records import draw_records
from pipeline.phantom.rows import row_time
from schemas.history import History
from schemas.protocol import Protocol

ROOT = Path(__file__).parents[1]
MRN = "https://hospital.example/mrn"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
LOCAL = "https://hospital.example/findings"
HL7 = "http://terminology.hl7.org/CodeSystem"
SEXES = {"F": "female", "M": "male"}
NUMBERS = {
    "age_years": ("30525-0", "a"), "crp_mg_l": ("1988-5", "mg/L"), "glucose_mmol_l": ("14749-6", "")
}  # fmt: skip
SYSTOLIC, PANEL = "8480-6", "85354-9"
FLAGS = {"prior_cancer": "363346000", "alcohol": "15167005"}
NOTES = {"referral": "57133-1", "clinic": "11506-3", "discharge": "18842-5"}

FHIR_SOURCE = {
    "patient_system": MRN,
    "columns": [
        {"column": "sex", "resource": "Patient", "field": "gender",
         "values": {sex: letter for letter, sex in SEXES.items()}},
        *({"column": name, "resource": "Observation", "system": LOINC, "codes": [code]}
          for name, (code, _) in NUMBERS.items()),
        {"column": "systolic_mmhg", "resource": "Observation", "system": LOINC,
         "codes": [SYSTOLIC]},
        *({"column": name, "resource": "Condition", "system": SNOMED, "codes": [code]}
          for name, code in FLAGS.items()),
        *({"column": name, "resource": "Observation", "system": LOCAL, "codes": [name]}
          for name in FLAGS),
    ],
    "notes": [{"kind": kind, "system": LOINC, "codes": [code]} for kind, code in NOTES.items()],
}  # fmt: skip

CONCEPTS = {
    "age_years": 4265453, "crp_mg_l": 3020460, "glucose_mmol_l": 3020491, "systolic_mmhg": 3004249
}  # fmt: skip
UNITS = {"age_years": 9448, "crp_mg_l": 8751, "systolic_mmhg": 8876}
UNIT_NAMES = {9448: "years", 8751: "mg/L", 8876: "mmHg", 8840: "mg/dL"}
CONDITIONS = {"prior_cancer": 443392, "alcohol": 433753}
DENIALS = {"prior_cancer": 2000000001, "alcohol": 2000000002}
GENDERS = {"F": 8532, "M": 8507}
NO_CONCEPT = 4188540
CLASSES = {"referral": 706613, "clinic": 706391, "discharge": 706531}

OMOP_SOURCE = {
    "columns": [
        {"column": "sex", "table": "person", "field": "gender",
         "values": {concept: letter for letter, concept in GENDERS.items()}},
        *({"column": name, "table": "measurement", "concepts": [concept], "units": UNIT_NAMES}
          for name, concept in CONCEPTS.items()),
        *({"column": name, "table": "condition_occurrence", "concepts": [concept],
           "known_at": "start"}
          for name, concept in CONDITIONS.items()),
        *({"column": name, "table": "observation", "concepts": [concept],
           "values": {NO_CONCEPT: "no"}} for name, concept in DENIALS.items()),
    ],
    "notes": [{"kind": kind, "concepts": [concept]} for kind, concept in CLASSES.items()],
}  # fmt: skip


def brain_protocol(**changes: object) -> Protocol:
    """The protocol of the simulated brain cohort, which says how all sources are read."""
    content = yaml.safe_load((ROOT / "data_samples" / "protocols" / "brain_mr.yaml").read_text())
    sources = {"fhir": FHIR_SOURCE, "omop": OMOP_SOURCE}
    return Protocol.model_validate(content | {"sources": sources} | changes)


def write_records(folder: Path, n_patients: int, *, seed: int) -> list[Patient]:
    """Write tabular.csv and notes.csv of simulated patients, without images."""
    design = Design(world=BRAIN_MR, seed=seed)
    patients = [draw_patient(design, index) for index in range(n_patients)]
    rows, notes = [], []
    for index, patient in enumerate(patients):
        records = draw_records(design.stream(index, "records"), design, patient)
        for row in records.rows:
            cells = {
                name: f"{text} {row.units.get(name, '')}".strip()
                for name, text in row.values.items()
            }
            key = {"patient_id": patient.patient_id, "recorded_at": row_time(row)}
            rows.append(key | cells)
        notes += [
            {"patient_id": patient.patient_id, "written_at": note.written_at.isoformat(),
             "kind": note.kind, "text": note.text}
            for note in records.notes
        ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "tabular.csv", index=False)
    pd.DataFrame(notes).to_csv(folder / "notes.csv", index=False)
    return patients


def placeless(history: History) -> History:
    """The same history; its issues do not say in which file and row a value stands."""
    issues = [
        issue.model_copy(update={"message": re.sub(r" \([^()]*, row \d+\)", "", issue.message)})
        for issue in history.issues
    ]
    return history.model_copy(update={"issues": tuple(issues)})


def reasons(records: Records) -> set[str]:
    """Why values were set missing, wherever they stand; the cohort's wrong units are among them."""
    return {fault.issue.message.rpartition(": ")[2] for fault in records.faults}


def _cells(cohort: Path) -> list[dict[str, str]]:
    """One value of the table each: patient_id, recorded_at, name, text; in the file's order."""
    table = pd.read_csv(cohort / "tabular.csv", dtype=str, keep_default_na=False)
    other = ("patient_id", "recorded_at", "birth_year")
    names = [name for name in table.columns if name not in other]
    return [
        {"patient_id": row["patient_id"], "recorded_at": row["recorded_at"], "name": name,
         "text": row[name]}
        for row in table.to_dict("records") for name in names if row[name]
    ]  # fmt: skip


def _notes(cohort: Path) -> list[dict[str, str]]:
    return pd.read_csv(cohort / "notes.csv", dtype=str, keep_default_na=False).to_dict("records")


# FHIR


def coded(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]}


def fhir_patient(patient_id: str, **more: object) -> dict[str, Any]:
    """A Patient whose id is another than the hospital's number."""
    number = {"system": MRN, "value": patient_id}
    other = {"system": "https://other.example/mrn", "value": "007"}
    return {
        "resourceType": "Patient", "id": f"p-{patient_id}", "identifier": [other, number], **more
    }  # fmt: skip


def fhir_resources(cohort: Path, zone: ZoneInfo) -> dict[str, list[dict[str, Any]]]:
    """All of a cohort's records, by patient; every clock time has its UTC offset."""
    ids = {row["patient_id"] for row in [*_cells(cohort), *_notes(cohort)]}
    sexes = {row["patient_id"]: row["text"] for row in _cells(cohort) if row["name"] == "sex"}
    found = {}
    for patient_id in sorted(ids):
        gender = {"gender": SEXES[sexes[patient_id]]} if patient_id in sexes else {}
        found[patient_id] = [fhir_patient(patient_id, **gender)]
    for number, row in enumerate(_cells(cohort)):
        if row["name"] != "sex":
            found[row["patient_id"]].append(_statement(row, f"v{number}", zone))
    for number, row in enumerate(_notes(cohort)):
        found[row["patient_id"]].append(_document(row, f"n{number}", zone))
    return found


def _with_offset(text: str, zone: ZoneInfo) -> str:
    if len(text) == len("2024-05-31"):
        return text
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=1).isoformat()


def _statement(row: Mapping[str, str], key: str, zone: ZoneInfo) -> dict[str, Any]:
    name, when = row["name"], _with_offset(row["recorded_at"], zone)
    base = {"id": key, "subject": {"reference": f"Patient/p-{row['patient_id']}"}}
    seen = {"resourceType": "Observation", "status": "final", "effectiveDateTime": when}
    if name in FLAGS and row["text"] == "yes":
        return base | {
            "resourceType": "Condition", "recordedDate": when, "code": coded(SNOMED, FLAGS[name]),
            "verificationStatus": coded(f"{HL7}/condition-ver-status", "confirmed"),
            "clinicalStatus": coded(f"{HL7}/condition-clinical", "active"),
        }  # fmt: skip
    if name in FLAGS:
        return base | seen | {"code": coded(LOCAL, name), "valueBoolean": False}
    digits, _, stated = row["text"].partition(" ")
    number = json.loads(digits)
    if name == "systolic_mmhg":
        quantity = {"value": number, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        part = {"code": coded(LOINC, SYSTOLIC), "valueQuantity": quantity}
        return base | seen | {"code": coded(LOINC, PANEL), "component": [part]}
    code, unit = NUMBERS[name]
    unit = stated or unit
    quantity = {"value": number, **({"system": UCUM, "code": unit} if unit else {})}
    return base | seen | {"code": coded(LOINC, code), "valueQuantity": quantity}


def _document(row: Mapping[str, str], key: str, zone: ZoneInfo) -> dict[str, Any]:
    data = base64.b64encode(row["text"].encode()).decode()
    attachment = {"contentType": "text/plain; charset=utf-8", "data": data}
    return {
        "resourceType": "DocumentReference", "id": key, "status": "current",
        "type": coded(LOINC, NOTES[row["kind"]]), "date": _with_offset(row["written_at"], zone),
        "subject": {"reference": f"Patient/p-{row['patient_id']}"},
        "content": [{"attachment": attachment}],
    }  # fmt: skip


def write_bundles(folder: Path, resources: Mapping[str, list[dict[str, Any]]]) -> None:
    """One bundle a patient, whose resources point to one another by their fullUrl."""
    folder.mkdir(parents=True)
    for number, group in enumerate(resources.values()):
        urls = {
            f"{item['resourceType']}/{item['id']}": f"urn:uuid:{uuid5(NAMESPACE_URL, item['id'])}"
            for item in group
        }
        text = json.dumps(group)
        for reference, url in urls.items():
            text = text.replace(f'"{reference}"', f'"{url}"')
        entries = [
            {"fullUrl": url, "resource": item}
            for url, item in zip(urls.values(), json.loads(text), strict=True)
        ]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        (folder / f"bundle-{number}.json").write_text(json.dumps(bundle))


def write_ndjson(folder: Path, resources: Mapping[str, list[dict[str, Any]]]) -> None:
    """One file a kind of resource, as a bulk export has it; patients come last."""
    folder.mkdir(parents=True)
    for group in resources.values():
        for item in group:
            name = f"{item['resourceType']}.000.ndjson".replace("Patient.", "ZZPatient.")
            with (folder / name).open("a") as stream:
                stream.write(json.dumps(item) + "\n")


# OMOP

_DAY, _CLOCK = sa.Date(), sa.DateTime()


def _table(name: str, key: str, *columns: tuple[str, Any]) -> sa.Table:
    keys = [sa.Column(key, sa.Integer, primary_key=True)]
    keys += [] if key == "person_id" else [sa.Column("person_id", sa.Integer, nullable=False)]
    rest = [sa.Column(column, kind) for column, kind in columns]
    return sa.Table(name, METADATA, *keys, *rest)


def _event(stem: str, *columns: tuple[str, Any]) -> list[tuple[str, Any]]:
    return [(f"{stem}_date", _DAY), (f"{stem}_datetime", _CLOCK), *columns]


METADATA = sa.MetaData()
_VALUES = [
    ("value_as_number", sa.Numeric()), ("value_as_concept_id", sa.Integer),
    ("unit_concept_id", sa.Integer), ("unit_source_value", sa.String(50)),
    ("value_source_value", sa.String(50)),
]  # fmt: skip
OMOP_TABLES = {
    table.name: table
    for table in (
        _table("person", "person_id", ("gender_concept_id", sa.Integer),
               ("year_of_birth", sa.Integer), ("person_source_value", sa.String(50))),
        _table("measurement", "measurement_id", ("measurement_concept_id", sa.Integer),
               *_event("measurement", ("operator_concept_id", sa.Integer), *_VALUES)),
        _table("observation", "observation_id", ("observation_concept_id", sa.Integer),
               *_event("observation", ("value_as_string", sa.String(60)), *_VALUES)),
        _table("condition_occurrence", "condition_occurrence_id",
               ("condition_concept_id", sa.Integer), *_event("condition_start"),
               *_event("condition_end"), *_event("entered"),
               ("visit_occurrence_id", sa.Integer)),
        _table("visit_occurrence", "visit_occurrence_id", *_event("visit_end")),
        _table("drug_exposure", "drug_exposure_id", ("drug_concept_id", sa.Integer),
               *_event("drug_exposure_start"), *_event("drug_exposure_end")),
        _table("note", "note_id", ("note_class_concept_id", sa.Integer), *_event("note"),
               ("note_text", sa.Text)),
    )
}  # fmt: skip
OmopRows = dict[str, list[dict[str, Any]]]


def omop_rows(cohort: Path) -> OmopRows:
    """All of a cohort's records as rows of OMOP tables."""
    cells, notes = _cells(cohort), _notes(cohort)
    ids = sorted({row["patient_id"] for row in [*cells, *notes]})
    person = {patient_id: number for number, patient_id in enumerate(ids, start=101)}
    sexes = {row["patient_id"]: row["text"] for row in cells if row["name"] == "sex"}
    rows: OmopRows = {name: [] for name in OMOP_TABLES}
    rows["person"] = [
        {"person_id": number, "person_source_value": patient_id, "year_of_birth": 1960,
         "gender_concept_id": GENDERS[sexes[patient_id]] if patient_id in sexes else 0}
        for patient_id, number in person.items()
    ]  # fmt: skip
    for cell in cells:
        if cell["name"] != "sex":
            table, row = _omop_row(cell)
            key = {f"{table}_id": len(rows[table]) + 1, "person_id": person[cell["patient_id"]]}
            rows[table].append(key | row)
    rows["note"] = [
        {"note_id": number, "person_id": person[note["patient_id"]], "note_text": note["text"],
         "note_class_concept_id": CLASSES[note["kind"]], **_when("note", note["written_at"])}
        for number, note in enumerate(notes, start=1)
    ]  # fmt: skip
    return rows


def _when(stem: str, text: str) -> dict[str, date | datetime]:
    moment = datetime.fromisoformat(text)
    if len(text) == len("2024-05-31"):
        return {f"{stem}_date": moment.date()}
    return {f"{stem}_date": moment.date(), f"{stem}_datetime": moment}


def _omop_row(cell: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    name, when = cell["name"], cell["recorded_at"]
    if name in CONCEPTS:
        digits, _, stated = cell["text"].partition(" ")
        unit = next((key for key, word in UNIT_NAMES.items() if word == stated), UNITS.get(name))
        row = {"value_as_number": float(digits), "unit_concept_id": unit}
        row |= {"measurement_concept_id": CONCEPTS[name]}
        return "measurement", row | _when("measurement", when)
    if cell["text"] == "yes":
        row = {"condition_concept_id": CONDITIONS[name]}
        return "condition_occurrence", row | _when("condition_start", when)
    row = {"observation_concept_id": DENIALS[name], "value_as_concept_id": NO_CONCEPT}
    return "observation", row | _when("observation", when)


def omop_frames(rows: OmopRows) -> Iterable[tuple[str, pd.DataFrame]]:
    """Give each table with all of its columns."""
    for name, table in OMOP_TABLES.items():
        yield name, pd.DataFrame(rows[name], columns=[column.name for column in table.columns])


def write_omop_csv(folder: Path, rows: OmopRows) -> None:
    """Tab-separated csv, as the OHDSI tools write it."""
    folder.mkdir(parents=True)
    for name, frame in omop_frames(rows):
        frame.to_csv(folder / f"{name.upper()}.csv", sep="\t", index=False)


def write_omop_parquet(folder: Path, rows: OmopRows) -> None:
    """Typed parquet."""
    folder.mkdir(parents=True)
    for name, frame in omop_frames(rows):
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def fill_database(url: str, rows: OmopRows) -> None:
    """Create the tables in an empty database and fill them."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
        for name, table in OMOP_TABLES.items():
            blank = {column.name: None for column in table.columns}
            if rows[name]:
                connection.execute(table.insert(), [blank | row for row in rows[name]])
    engine.dispose()

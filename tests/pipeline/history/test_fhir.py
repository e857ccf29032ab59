import base64
import json
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.history import history_at, load_records, pair
from pipeline.history.delivery import Delivery
from pipeline.history.fhir import files, read_fhir
from schemas.issue import IssueCode, Severity
from schemas.series import Study
from schemas.sources import FhirMapping, Sources
from tests.record_sources import (
    FHIR_SOURCE,
    HL7,
    LOCAL,
    LOINC,
    MRN,
    SNOMED,
    brain_protocol,
    coded,
    fhir_patient,
    fhir_resources,
    placeless,
    reasons,
    write_bundles,
    write_ndjson,
    write_records,
)

ZONE = ZoneInfo("Europe/Berlin")
STEROID = {"column": "steroids", "resource": "Medication", "system": SNOMED, "codes": ["372584003"]}
MAPPING = FhirMapping.model_validate(
    FHIR_SOURCE | {"columns": [*FHIR_SOURCE["columns"], STEROID | {"ends": True}]}
)
PATIENT = fhir_patient("007", gender="female", birthDate="1960-05")
CRP = {
    "resourceType": "Observation", "id": "crp", "status": "final", "code": coded(LOINC, "1988-5"),
    "subject": {"reference": "Patient/p-007"}, "effectiveDateTime": "2024-05-01T08:00:00+02:00",
    "valueQuantity": {"value": 19.2, "unit": "mg/L", "code": "mg/L"},
}  # fmt: skip
CANCER = {
    "resourceType": "Condition", "id": "cancer", "code": coded(SNOMED, "363346000"),
    "subject": {"reference": "Patient/p-007"}, "recordedDate": "2024-05-01",
}  # fmt: skip
ORDER = {
    "resourceType": "MedicationRequest", "id": "order", "status": "active", "intent": "order",
    "medicationCodeableConcept": coded(SNOMED, "372584003"),
    "subject": {"reference": "Patient/p-007"}, "authoredOn": "2024-05-01",
}  # fmt: skip
TAKEN = {
    "resourceType": "MedicationStatement", "id": "taken", "status": "active",
    "medicationCodeableConcept": coded(SNOMED, "372584003"),
    "subject": {"reference": "Patient/p-007"}, "dateAsserted": "2024-05-01",
}  # fmt: skip
DOCUMENT = {
    "resourceType": "DocumentReference", "id": "note", "status": "current",
    "type": coded(LOINC, "57133-1"), "subject": {"reference": "Patient/p-007"},
    "date": "2024-05-01T08:00:00Z",
    "content": [{"attachment": {"contentType": "text/plain",
                                "data": base64.b64encode(b"No fits.").decode()}}],
}  # fmt: skip

STUDY = Study(
    study_uid="1.2.3", patient_id="007", acquired_at=datetime(2024, 5, 31), series=(),
    content_sha256="",
)  # fmt: skip

Resource = dict[str, Any]


def read(folder: Path, *resources: object, mapping: FhirMapping = MAPPING) -> Delivery:
    target = folder / "fhir"
    target.mkdir(exist_ok=True)
    lines = [json.dumps(resource) for resource in resources]
    (target / "all.ndjson").write_text("\n".join(lines))
    return read_fhir(target, mapping)


def said(delivery: Delivery, name: str) -> list[tuple[str, str]]:
    rows = delivery.table[delivery.table["name"] == name]
    return list(zip(rows["recorded_at"], rows["text"], strict=True))


def faults(delivery: Delivery) -> list[str]:
    return [f"{fault.file}: {fault.issue.message}" for fault in delivery.faults]


@pytest.mark.parametrize("write", [write_bundles, write_ndjson])
def test_histories_from_fhir_equal_those_from_csv_record_for_record(
    write: Callable[[Path, dict[str, list[Resource]]], None], tmp_path: Path
) -> None:
    protocol = brain_protocol(timezone="Europe/Berlin")
    patients = write_records(tmp_path / "csv", 60, seed=5)
    write(tmp_path / "hospital" / "fhir", fhir_resources(tmp_path / "csv", ZONE))
    own = load_records(tmp_path / "csv", protocol)
    theirs = load_records(tmp_path / "hospital", protocol)
    assert reasons(theirs) == reasons(own)
    assert len(theirs.table) == len(own.table) > 300
    assert len(theirs.notes) == len(own.notes) > 100
    n_values = 0
    for patient in patients:
        expected = history_at(own, patient.patient_id, patient.scanned_at, protocol)
        found = history_at(theirs, patient.patient_id, patient.scanned_at, protocol)
        assert placeless(found) == placeless(expected)
        n_values += sum(value.value is not None for value in expected.values)
    assert n_values > 200


def test_what_the_generator_writes_is_fhir_r4(tmp_path: Path) -> None:
    """An independent library's models validate every resource of the tests."""
    write_records(tmp_path, 3, seed=5)
    groups = fhir_resources(tmp_path, ZONE).values()
    written = [item for group in groups for item in group]
    for item in (*written, PATIENT, CRP, CANCER, ORDER, TAKEN, DOCUMENT):
        get_fhir_model_class(item["resourceType"]).model_validate_json(json.dumps(item))


@pytest.mark.parametrize(
    ("resource", "change", "name"),
    [
        (CRP, {"status": "entered-in-error"}, "crp_mg_l"),
        (CRP, {"status": "cancelled"}, "crp_mg_l"),
        (CRP, {"status": "registered"}, "crp_mg_l"),
        (CRP, {"code": coded("http://another.example", "1988-5")}, "crp_mg_l"),
        *(
            (
                CANCER,
                {"verificationStatus": coded(f"{HL7}/condition-ver-status", word)},
                "prior_cancer",
            )
            for word in ("refuted", "entered-in-error", "provisional", "differential")
        ),
        (ORDER, {"status": "cancelled"}, "steroids"),
        (ORDER, {"status": "draft"}, "steroids"),
        (ORDER, {"status": "on-hold"}, "steroids"),
        (ORDER, {"intent": "proposal"}, "steroids"),
        (ORDER, {"doNotPerform": True}, "steroids"),
        (TAKEN, {"status": "not-taken"}, "steroids"),
        (TAKEN, {"status": "intended"}, "steroids"),
    ],
)
def test_what_was_withdrawn_doubted_or_never_happened_does_not_count(
    resource: Resource, change: Resource, name: str, tmp_path: Path
) -> None:
    assert len(said(read(tmp_path, PATIENT, resource), name)) == 1
    changed = read(tmp_path, PATIENT, resource | change)
    assert said(changed, name) == []
    assert changed.faults == ()


@pytest.mark.parametrize("field", ["status", "docStatus"])
def test_a_document_in_error_is_not_read(field: str, tmp_path: Path) -> None:
    change = {field: "entered-in-error"}
    assert list(read(tmp_path, PATIENT, DOCUMENT).notes["text"]) == ["No fits."]
    assert read(tmp_path, PATIENT, DOCUMENT | change).notes.empty


@pytest.mark.parametrize("is_newer_first", [True, False])
def test_of_several_versions_of_a_resource_the_newest_counts(
    is_newer_first: bool, tmp_path: Path
) -> None:
    old = CRP | {"meta": {"lastUpdated": "2024-05-01T09:00:00Z"}}
    new = CRP | {"meta": {"lastUpdated": "2024-05-02T09:00:00Z"}, "status": "entered-in-error"}
    versions = (new, old) if is_newer_first else (old, new)
    assert said(read(tmp_path, PATIENT, *versions), "crp_mg_l") == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 1), (1, 0, 1)])
@pytest.mark.parametrize("first", [CRP, CANCER, DOCUMENT], ids=lambda one: str(one["id"]))
def test_a_version_from_after_the_scan_is_not_known_at_the_scan(
    first: Resource, order: tuple[int, ...], tmp_path: Path
) -> None:
    scan = STUDY.model_copy(update={"utc_offset_minutes": 0})
    protocol = brain_protocol(timezone="UTC")
    kept = {}
    for name, changed in (("before", "2024-05-30T23:59:59Z"), ("after", "2024-05-31T00:00:01Z")):
        versions = [
            first | {"meta": {"lastUpdated": when}} for when in ("2024-05-01T09:00:00Z", changed)
        ]
        read(tmp_path, PATIENT, *(versions[place] for place in order))
        mapped = protocol.model_copy(update={"sources": Sources(fhir=MAPPING)})
        records = load_records(tmp_path, mapped)
        history = pair(records, [scan], mapped).history(scan)
        known = [value.value for value in history.values if value.value is not None]
        kept[name] = (len(known) + len(history.notes), history.n_after_scan)
    assert kept == {"before": (2, 0), "after": (1, 1)}  # The Patient's sex counts in both.


def test_a_patient_is_known_by_the_identifier_of_the_named_system_alone(tmp_path: Path) -> None:
    old = {"system": MRN, "value": "666", "use": "old"}
    patient = fhir_patient("042") | {"id": "p-007"}
    patient["identifier"].append(old)
    assert set(read(tmp_path, patient, CRP).table["patient_id"]) == {"042"}
    foreign = patient | {"identifier": [{"system": "https://other.example/mrn", "value": "042"}]}
    nobody = read(tmp_path, foreign, CRP)
    assert nobody.table.empty
    assert any("have no Patient ID" in fault for fault in faults(nobody))
    assert any(
        "1 records name a patient who is not in the folder" in item for item in faults(nobody)
    )


def test_a_patient_with_two_numbers_is_nobody(tmp_path: Path) -> None:
    patient = fhir_patient("042") | {"id": "p-007"}
    patient["identifier"].append({"system": MRN, "value": "043"})
    delivery = read(tmp_path, patient, CRP)
    assert delivery.table.empty
    assert "fhir/all.ndjson: resource 1: Patient: identifier: has 2 different values" in "".join(
        faults(delivery)
    )


def test_two_people_under_one_number_get_no_result(tmp_path: Path) -> None:
    twin = fhir_patient("007", gender="male") | {"id": "p-twin"}
    by_number = CRP | {"id": "c2", "subject": {"identifier": {"system": MRN, "value": "007"}}}
    read(tmp_path, PATIENT, twin, CRP, by_number)
    protocol = brain_protocol(timezone="Europe/Berlin")
    records = load_records(tmp_path, protocol)
    assert records.table.empty
    history = pair(records, [STUDY], protocol).history(STUDY)
    errors = [issue.code for issue in history.issues if issue.severity is Severity.ERROR]
    assert errors == [IssueCode.IDENTITY_CONTRADICTED]
    same = read(tmp_path, PATIENT, PATIENT | {"id": "p-again"}, CRP)
    assert len(said(same, "crp_mg_l")) == 1


@pytest.mark.parametrize(
    ("reference", "is_found"),
    [
        ("Patient/p-007", True),
        ("Patient/p-007/_history/3", True),
        ("https://hospital.example/fhir/Patient/p-007", True),
        ("https://hospital.example/fhir/Patient/p-007/_history/3", True),
        ("Patient/p-00", False),
        ("Group/p-007", False),
        ("https://hospital.example/fhir/Group/p-007", False),
        ("urn:uuid:3f1c0000-0000-4000-8000-000000000007", False),
        ("", False),
    ],
)
def test_a_reference_means_one_patient_or_none(
    reference: str, is_found: bool, tmp_path: Path
) -> None:
    delivery = read(tmp_path, CRP | {"subject": {"reference": reference}}, PATIENT)
    assert len(said(delivery, "crp_mg_l")) == is_found
    assert len(delivery.faults) == (not is_found)


def test_patient_1_of_another_server_is_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    people = [
        {"fullUrl": f"https://{server}.example/fhir/Patient/1",
         "resource": fhir_patient(number) | {"id": "1"}}
        for server, number in (("north", "100"), ("south", "200"))
    ]  # fmt: skip
    values = [
        {"resource": CRP | {"id": f"crp{number}", "subject": {"reference": reference}}}
        for number, reference in enumerate(
            ("https://south.example/fhir/Patient/1", "https://west.example/fhir/Patient/1",
             "Patient/1")
        )
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [*people, *values]}
    (tmp_path / "fhir" / "all.json").write_text(json.dumps(bundle))
    delivery = read_fhir(tmp_path / "fhir", MAPPING)
    assert list(delivery.table["patient_id"]) == ["200"]
    assert any("2 records name a patient" in fault for fault in faults(delivery))


def test_a_value_keeps_when_it_was_taken_and_when_it_was_known(tmp_path: Path) -> None:
    issued = CRP | {"issued": "2024-05-01T11:00:00+02:00"}
    (row,) = read(tmp_path, PATIENT, issued).table.query("name == 'crp_mg_l'").to_dict("records")
    assert (row["recorded_at"], row["available_at"]) == (
        "2024-05-01T08:00:00+02:00", "2024-05-01T11:00:00+02:00",
    )  # fmt: skip
    protocol = brain_protocol(timezone="Europe/Berlin")
    records = load_records(tmp_path, protocol)
    for minute, is_known in ((59, False), (60, True)):
        at = datetime(2024, 5, 1, 10 + minute // 60, minute % 60)
        found = history_at(records, "007", at, protocol)
        assert any(value.value == 19.2 for value in found.values) is is_known


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"effectivePeriod": {"start": "2024-04-01", "end": "2024-04-03"}}, "2024-04-03"),
        ({"effectivePeriod": {"start": "2024-04-01"}}, ""),
        ({"effectiveDateTime": "2024"}, "2024-12-31"),
        ({"effectiveDateTime": "2024-02"}, "2024-02-29"),
        ({"effectiveInstant": "2024-02-01T10:00:00Z"}, "2024-02-01T10:00:00Z"),
        ({"issued": "2024-02-01T10:00:00Z"}, "2024-02-01T10:00:00Z"),
        ({}, ""),
    ],
)
def test_a_partial_time_is_the_end_of_what_it_states(
    change: Resource, expected: str, tmp_path: Path
) -> None:
    bare = {key: value for key, value in CRP.items() if key != "effectiveDateTime"}
    assert said(read(tmp_path, PATIENT, bare | change), "crp_mg_l") == [(expected, "19.2")]


def test_a_disease_counts_from_when_it_was_recorded_not_from_its_onset(tmp_path: Path) -> None:
    onset = CANCER | {"onsetDateTime": "2019"}
    assert said(read(tmp_path, PATIENT, onset), "prior_cancer") == [("2024-05-01", "yes")]
    unrecorded = {key: value for key, value in onset.items() if key != "recordedDate"}
    assert said(read(tmp_path, PATIENT, unrecorded), "prior_cancer") == [("", "yes")]
    columns = [
        column.model_copy(update={"date": "happened"})
        if column.column == "prior_cancer"
        else column
        for column in MAPPING.columns
    ]
    clinical = MAPPING.model_copy(update={"columns": tuple(columns)})
    delivery = read(tmp_path, PATIENT, onset, mapping=clinical)
    assert said(delivery, "prior_cancer") == [("2019-12-31", "yes")]


def test_a_disease_that_abates_ends_only_where_the_mapping_says_so(tmp_path: Path) -> None:
    abated = CANCER | {"abatementDateTime": "2024-06-01"}
    assert said(read(tmp_path, PATIENT, abated), "prior_cancer") == [("2024-05-01", "yes")]
    rule = {"column": "prior_cancer", "resource": "Condition", "system": SNOMED, "ends": True}
    mapping = MAPPING.model_copy(
        update={"columns": (type(MAPPING.columns[0])(**rule, codes=("363346000",)),)}
    )
    delivery = read(tmp_path, PATIENT, abated, mapping=mapping)
    assert said(delivery, "prior_cancer") == [("2024-05-01", "yes"), ("2024-06-01", "no")]
    late = read(tmp_path, PATIENT, CANCER | {"abatementDateTime": "2020"}, mapping=mapping)
    assert said(late, "prior_cancer") == [("2024-05-01", "yes"), ("2024-05-01", "no")]
    over = CANCER | {"clinicalStatus": coded(f"{HL7}/condition-clinical", "resolved")}
    unclear = read(tmp_path, PATIENT, over, mapping=mapping)
    assert said(unclear, "prior_cancer") == []
    assert faults(unclear) == [
        "fhir/all.ndjson: resource 2: Condition: ended at a time that is not stated, so when it "
        "held is not known"
    ]


def dosed(end: str) -> Resource:
    return {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"end": end}}}}]}


def test_prescriptions_that_overlap_are_one_treatment(tmp_path: Path) -> None:
    first = ORDER | dosed("2024-05-31")
    second = ORDER | {"id": "b", "authoredOn": "2024-05-20"} | dosed("2024-06-20")
    third = ORDER | {"id": "c", "authoredOn": "2024-08-01"} | dosed("2024-08-10")
    rows = sorted(said(read(tmp_path, PATIENT, first, second, third), "steroids"))
    assert rows == [
        ("2024-05-01", "yes"), ("2024-05-20", "yes"), ("2024-06-20", "no"),
        ("2024-08-01", "yes"), ("2024-08-10", "no"),
    ]  # fmt: skip


def test_a_stopped_medicine_did_not_end_when_it_was_planned_to(tmp_path: Path) -> None:
    delivery = read(tmp_path, PATIENT, ORDER | dosed("2024-09-01") | {"status": "stopped"})
    assert said(delivery, "steroids") == []
    assert len(delivery.faults) == 1
    period = {"effectivePeriod": {"start": "2024-03-01", "end": "2024-04-01"}, "status": "stopped"}
    told = read(tmp_path, PATIENT, TAKEN | period)
    assert said(told, "steroids") == [("2024-05-01", "yes"), ("2024-05-01", "no")]


def test_the_drug_of_a_prescription_may_be_a_resource_of_its_own(tmp_path: Path) -> None:
    drug = {"resourceType": "Medication", "id": "dexa", "code": coded(SNOMED, "372584003")}
    bare = {key: value for key, value in ORDER.items() if key != "medicationCodeableConcept"}
    outside = bare | {"medicationReference": {"reference": "Medication/dexa"}}
    inside = bare | {"id": "b", "contained": [drug], "medicationReference": {"reference": "#dexa"}}
    assert len(said(read(tmp_path, PATIENT, outside, inside, drug), "steroids")) == 2
    lost = read(tmp_path, PATIENT, outside)
    assert faults(lost) == [
        "fhir/all.ndjson: resource 2: MedicationRequest: medicationReference: the medicine is not "
        "in the folder"
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"valueQuantity": {"value": 5, "comparator": "<", "code": "mg/L"}}, "<5"),
        ({"valueQuantity": {"value": 0.10, "code": "mg/L"}}, "0.1"),
        ({"valueInteger": 7}, "7"),
        ({"valueString": "7,5"}, "7,5"),
        ({"valueBoolean": True}, "yes"),
        ({"valueCodeableConcept": coded(LOCAL, "high")}, "high"),
    ],
)
def test_an_answer_is_kept_as_it_is_written(
    answer: Resource, expected: str, tmp_path: Path
) -> None:
    bare = {key: value for key, value in CRP.items() if key != "valueQuantity"}
    (row,) = said(read(tmp_path, PATIENT, bare | answer), "crp_mg_l")
    assert row[1] == expected


def attached(content: bytes, kind: str, **more: str) -> Resource:
    data = base64.b64encode(content).decode()
    return DOCUMENT | {"content": [{"attachment": {"contentType": kind, "data": data, **more}}]}


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"Gait steady.\n", "text/plain", "Gait steady."),
        ("Größe 1,80 m".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Größe 1,80 m"),
        ("Größe".encode(), "text/plain; charset=no-such-thing", "Größe"),
        (
            b"<html><head><title>T</title><style>p{}</style></head><body><h1>Plan</h1><p>A &lt; B"
            b"<br>stop  drug</p><script>alert(1)</script></body></html>",
            "text/html; charset=utf-8",
            "Plan\nA < B\nstop drug",
        ),
    ],
)
def test_a_document_is_read_as_plain_text(
    content: bytes, kind: str, expected: str, tmp_path: Path
) -> None:
    delivery = read(tmp_path, PATIENT, attached(content, kind))
    assert list(delivery.notes["text"]) == [expected]
    assert list(delivery.notes["kind"]) == ["referral"]


def test_a_document_counts_from_its_latest_date(tmp_path: Path) -> None:
    later = attached(b"x", "text/plain", creation="2024-05-03T08:00:00+02:00")
    assert list(read(tmp_path, PATIENT, later).notes["written_at"]) == ["2024-05-03T08:00:00+02:00"]


@pytest.mark.parametrize(
    ("attachment", "reason"),
    [
        ({"url": "https://hospital.example/Binary/zebra"}, "url is not fetched"),
        ({"contentType": "application/pdf", "data": "JVBERi0="}, "no data that is text/plain"),
        ({"contentType": "text/plain", "data": "%%%zebra"}, "data: is not base64"),
        ({}, "no data that is text/plain"),
    ],
)
def test_a_document_without_readable_text_is_named(
    attachment: Resource, reason: str, tmp_path: Path
) -> None:
    document = DOCUMENT | {"content": [{"attachment": attachment}]}
    delivery = read(tmp_path, PATIENT, document, CRP)
    (fault,) = faults(delivery)
    assert fault.startswith("fhir/all.ndjson: resource 2: DocumentReference: content[0].attachment")
    assert reason in fault
    assert "zebra" not in fault
    assert len(said(delivery, "crp_mg_l")) == 1


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        (CRP | {"status": "zebra"}, "Observation: status"),
        ({key: value for key, value in CRP.items() if key != "status"}, "Observation: status"),
        (CRP | {"valueQuantity": {"value": "19.2 zebra"}}, "Observation: valueQuantity.value"),
        (CRP | {"component": [{"code": 5}]}, "Observation: component[0].code"),
        (CRP | {"effectiveDateTime": "zebra"}, "Observation: effectiveDateTime"),
        (CRP | {"effectiveDateTime": "2024-02-30"}, "Observation: effectiveDateTime"),
        (CRP | {"effectiveDateTime": "0024-02-03"}, "Observation: effectiveDateTime"),
        (CRP | {"code": {"coding": "zebra"}}, "Observation: code.coding"),
        (CANCER | {"subject": None}, "Condition: subject"),
        (ORDER | {"intent": "zebra"}, "MedicationRequest: intent"),
        (DOCUMENT | {"content": []}, "DocumentReference: content"),
        (PATIENT | {"id": "x", "gender": "zebra"}, "Patient: gender"),
        ({"status": "zebra"}, "resourceType"),
        ({"resourceType": ["zebra"]}, "resourceType"),
        (["zebra"], "resourceType"),
        ({"resourceType": "Bundle", "entry": "zebra"}, "Bundle: entry"),
        ({"resourceType": "Bundle", "entry": ["zebra"]}, "Bundle: entry[0]"),
    ],
)
def test_a_malformed_resource_is_named_and_stops_no_other(
    broken: object, path: str, tmp_path: Path
) -> None:
    delivery = read(tmp_path, PATIENT, broken, CRP | {"id": "good"})
    (fault,) = faults(delivery)
    assert fault.startswith("fhir/all.ndjson: resource ")
    assert path in fault
    assert "zebra" not in fault
    assert len(said(delivery, "crp_mg_l")) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"resourceType": NaN}',
        b'{"resourceType": "Observation", "valueQuantity": {"value": 1e99999999999999999999}}',
        b'{"resourceType": "Observation", "status": Infinity}', b"null", b'"text"',
    ],
)  # fmt: skip
def test_a_file_that_is_no_json_is_named(content: bytes, tmp_path: Path) -> None:
    read(tmp_path, PATIENT, CRP)
    (tmp_path / "fhir" / "bad.json").write_bytes(content)
    delivery = read_fhir(tmp_path / "fhir", MAPPING)
    assert [fault.split(":")[0] for fault in faults(delivery)] == ["fhir/bad.json"]
    assert len(said(delivery, "crp_mg_l")) == 1


def test_what_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 1000)
    long = CRP | {"note": [{"text": "x" * 1000}]}
    delivery = read(tmp_path, PATIENT, long, CRP | {"id": "good"})
    assert faults(delivery) == ["fhir/all.ndjson: resource 2: is longer than 1000 bytes"]
    assert len(said(delivery, "crp_mg_l")) == 1
    (tmp_path / "fhir" / "big.json").write_text(json.dumps(long))
    assert "fhir/big.json: is larger than 1000 bytes: write it as NDJSON" in faults(
        read_fhir(tmp_path / "fhir", MAPPING)
    )
    monkeypatch.setattr(files, "MAX_RESOURCES", 1)
    with pytest.raises(UsageError, match="more than 1 resources"):
        read_fhir(tmp_path / "fhir", MAPPING)


def test_a_folder_without_resources_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    with pytest.raises(UsageError, match=r"holds no file \.json"):
        read_fhir(tmp_path / "fhir", MAPPING)


FAULTS = {IssueCode.RECORD_UNREADABLE, IssueCode.IDENTITY_CONTRADICTED}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, item in value.items() for place in places(item, (*path, key))]
    if isinstance(value, list):
        found += [place for key, item in enumerate(value) for place in places(item, (*path, key))]
    return found


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_change_to_any_element_gives_a_value_or_a_named_fault(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([PATIENT, CRP, CANCER, ORDER, TAKEN, DOCUMENT]))
    broken = json.loads(json.dumps(whole | {"id": "broken"}))
    *path, last = data.draw(st.sampled_from(places(broken)))
    target = broken
    for step in path:
        target = target[step]
    target[last] = data.draw(JSON)
    with tempfile.TemporaryDirectory() as folder:
        delivery = read(Path(folder), PATIENT, broken, CRP | {"id": "good"})
        for fault in delivery.faults:
            assert fault.file.startswith("fhir")
            assert fault.issue.code in (
                IssueCode.RECORD_UNREADABLE,
                IssueCode.IDENTITY_CONTRADICTED,
            )
        if not delivery.contradicted and broken["resourceType"] != "Patient":
            assert ("2024-05-01T08:00:00+02:00", "19.2") in said(delivery, "crp_mg_l")


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_named_fault_or_nothing(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "fhir"
        folder.mkdir()
        (folder / "any.ndjson").write_bytes(content)
        delivery = read_fhir(folder, MAPPING)
        assert delivery.table.empty
        assert bool(delivery.faults) == bool(content.strip())


def test_a_cohort_with_two_sources_of_records_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path, 2, seed=5)
    read(tmp_path, PATIENT)
    with pytest.raises(UsageError, match=r"tabular\.csv and notes\.csv, fhir/: keep one"):
        load_records(tmp_path, brain_protocol())


def test_a_source_that_the_protocol_does_not_map_is_refused(tmp_path: Path) -> None:
    read(tmp_path, PATIENT)
    with pytest.raises(UsageError, match=r"add its section sources\.fhir"):
        load_records(tmp_path, brain_protocol(sources={}))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (STEROID, "the table has no column steroids"),
        (STEROID | {"column": "crp_mg_l"}, "crp_mg_l is no flag"),
        ({"column": "age_years", "resource": "Patient", "field": "birth_year"}, "mark it undated"),
        ({"column": "alcohol", "resource": "Condition"}, "system and codes belong"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(column: Resource, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        brain_protocol(sources={"fhir": {"patient_system": MRN, "columns": [column]}})


def test_a_history_from_fhir_holds_nothing_later_than_the_scan(tmp_path: Path) -> None:
    """A later CRP of 88 states the outcome; only the earlier one is in the history."""
    leak = CRP | {"id": "leak", "effectiveDateTime": "2024-06-01T14:30:01+02:00"}
    leak["valueQuantity"] = CRP["valueQuantity"] | {"value": 88}
    read(tmp_path, PATIENT, CRP, leak)
    protocol = brain_protocol(timezone="Europe/Berlin")
    scan = datetime(2024, 6, 1, 14, 30)
    history = history_at(load_records(tmp_path, protocol), "007", scan, protocol)
    assert [value.value for value in history.values if value.name == "crp_mg_l"] == [19.2]
    assert history.n_after_scan == 1

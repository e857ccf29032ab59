import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.history import history_at, load_records, pair
from pipeline.history.delivery import Delivery
from pipeline.history.omop import FolderTables, open_database, read_omop
from pipeline.history.omop import read as reading
from pipeline.history.records import Records
from pipeline.phantom.patient import Patient
from schemas.history import History
from schemas.issue import IssueCode, Severity
from schemas.series import Study
from schemas.sources import OmopMapping
from tests.record_sources import (
    CONCEPTS,
    CONDITIONS,
    DENIALS,
    METADATA,
    OMOP_SOURCE,
    OMOP_TABLES,
    UNITS,
    OmopRows,
    brain_protocol,
    fill_database,
    omop_rows,
    placeless,
    reasons,
    write_omop_csv,
    write_omop_parquet,
    write_records,
)

CRP = {
    "measurement_id": 1, "person_id": 1, "measurement_concept_id": CONCEPTS["crp_mg_l"],
    "measurement_date": date(2024, 5, 1), "measurement_datetime": datetime(2024, 5, 1, 8, 0, 5),
    "value_as_number": 19.2, "unit_concept_id": UNITS["crp_mg_l"],
}  # fmt: skip
PERSON = {
    "person_id": 1, "person_source_value": "007", "gender_concept_id": 8532, "year_of_birth": 1960
}  # fmt: skip
DRUG = {"column": "steroids", "table": "drug_exposure", "concepts": [1518254], "ends": True}
MAPPING = OmopMapping.model_validate(OMOP_SOURCE)

STUDY = Study(
    study_uid="1.2.3", patient_id="007", acquired_at=datetime(2024, 5, 31), series=(),
    content_sha256="",
)  # fmt: skip

Row = dict[str, Any]


def tables(**rows: list[Row]) -> OmopRows:
    return {name: rows.get(name, []) for name in OMOP_TABLES}


def read(folder: Path, mapping: OmopMapping = MAPPING, **rows: list[Row]) -> Delivery:
    target = Path(tempfile.mkdtemp(dir=folder)) / "omop"
    write_omop_csv(target, tables(**{"person": [PERSON]} | rows))
    return read_omop(FolderTables(target), mapping)


def said(delivery: Delivery, name: str = "crp_mg_l") -> list[tuple[str, str]]:
    rows = delivery.table[delivery.table["name"] == name]
    return list(zip(rows["recorded_at"], rows["text"], strict=True))


def faults(delivery: Delivery) -> list[str]:
    return [f"{fault.file}: {fault.issue.message}" for fault in delivery.faults]


@dataclass(frozen=True)
class Known:
    """A cohort of csv files, its records, and the histories that they give."""

    rows: OmopRows
    records: Records
    histories: list[tuple[Patient, History]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    folder, protocol = tmp_path_factory.mktemp("csv"), brain_protocol()
    patients = write_records(folder, 60, seed=5)
    records = load_records(folder, protocol)
    histories = [
        (patient, history_at(records, patient.patient_id, patient.scanned_at, protocol))
        for patient in patients
    ]
    return Known(omop_rows(folder), records, histories)


def check_same(known: Known, theirs: Records) -> None:
    assert reasons(theirs) == reasons(known.records)
    assert len(theirs.table) == len(known.records.table) > 300
    assert len(theirs.notes) == len(known.records.notes) > 100
    for patient, expected in known.histories:
        found = history_at(theirs, patient.patient_id, patient.scanned_at, brain_protocol())
        assert placeless(found) == placeless(expected)
    assert sum(history.n_after_scan for _, history in known.histories) > 50


@pytest.mark.parametrize("write", [write_omop_csv, write_omop_parquet])
def test_histories_from_omop_files_equal_those_from_csv_record_for_record(
    write: Callable[[Path, OmopRows], None], known: Known, tmp_path: Path
) -> None:
    write(tmp_path / "hospital" / "omop", known.rows)
    check_same(known, load_records(tmp_path / "hospital", brain_protocol()))


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_histories_from_a_database_equal_those_from_csv_record_for_record(
    server: str, known: Known, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'cdm.sqlite'}"
    if server == "postgresql":
        url = request.getfixturevalue("postgresql")
    fill_database(url, known.rows)
    (tmp_path / "hospital").mkdir()
    check_same(known, load_records(tmp_path / "hospital", brain_protocol(), database=url))


def test_tables_may_lie_in_a_schema_of_their_own(postgresql: str) -> None:
    engine = sa.create_engine(postgresql)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS cdm54"))
        moved = connection.execution_options(schema_translate_map={None: "cdm54"})
        METADATA.create_all(moved)
        moved.execute(OMOP_TABLES["person"].insert(), [PERSON])
        moved.execute(OMOP_TABLES["measurement"].insert(), [CRP])
    engine.dispose()
    mapping = MAPPING.model_copy(update={"database_schema": "cdm54"})
    with open_database(postgresql, "cdm54") as database:
        assert said(read_omop(database, mapping)) == [("2024-05-01T08:00:05", "19.2")]
    missing = pytest.raises(UsageError, match="the database has no table person")
    with missing, open_database(postgresql, "nowhere") as database:
        read_omop(database, mapping)


def test_a_database_is_opened_for_reading_alone(postgresql: str) -> None:
    fill_database(postgresql, tables(person=[PERSON], measurement=[CRP]))
    modes = []
    with open_database(postgresql, "") as database:

        @sa.event.listens_for(database.engine, "before_cursor_execute")
        def ask(connection: sa.Connection, *_: object) -> None:
            if "FROM measurement" in str(_[1]):
                raw = connection.connection.driver_connection
                modes.append(raw.execute("SHOW transaction_read_only").fetchone())

        assert said(read_omop(database, MAPPING)) == [("2024-05-01T08:00:05", "19.2")]
    assert set(modes) == {("on",)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, "2024-05-01T08:00:05", id="time"),
        pytest.param({"measurement_datetime": None}, "2024-05-01", id="day alone"),
        pytest.param(
            {"measurement_datetime": datetime(2024, 5, 1)}, "2024-05-01", id="midnight is the day"
        ),
    ],
)
def test_a_day_without_a_time_counts_as_that_day(
    change: Row, expected: str, tmp_path: Path
) -> None:
    assert said(read(tmp_path, measurement=[CRP | change])) == [(expected, "19.2")]


def test_a_midnight_record_of_the_scans_day_is_not_read(tmp_path: Path) -> None:
    row = CRP | {"measurement_datetime": datetime(2024, 5, 1)}
    write_omop_csv(tmp_path / "omop", tables(person=[PERSON], measurement=[row]))
    records = load_records(tmp_path, brain_protocol())
    history = history_at(records, "007", datetime(2024, 5, 1, 14, 30), brain_protocol())
    assert history.n_after_scan == 1
    assert all(value.name == "sex" or value.value is None for value in history.values)


def test_only_the_mapped_concepts_are_read(tmp_path: Path) -> None:
    other = CRP | {"measurement_id": 2, "measurement_concept_id": 999}
    assert len(read(tmp_path, measurement=[CRP, other]).table.query("name != 'sex'")) == 1


@pytest.mark.parametrize(
    ("change", "text", "unit"),
    [
        ({}, "19.2", "mg/L"),
        ({"operator_concept_id": 4171756}, "<19.2", "mg/L"),
        ({"operator_concept_id": 4172703}, "19.2", "mg/L"),
        ({"unit_concept_id": 8636}, "19.2", "concept 8636"),
        ({"unit_concept_id": 8636, "unit_source_value": "mg/dL"}, "19.2", "mg/dL"),
        ({"unit_concept_id": 0}, "19.2", ""),
        ({"value_as_number": None, "value_as_concept_id": 45863684}, "45863684", "mg/L"),
    ],
)
def test_a_measurement_keeps_its_number_its_limit_and_its_unit(
    change: Row, text: str, unit: str, tmp_path: Path
) -> None:
    (row,) = (
        read(tmp_path, measurement=[CRP | change]).table.query("name != 'sex'").to_dict("records")
    )
    assert (row["text"], row["unit"]) == (text, unit)


def test_a_measurement_without_a_value_is_counted(tmp_path: Path) -> None:
    empty = CRP | {"value_as_number": None, "value_as_concept_id": 0}
    delivery = read(tmp_path, measurement=[empty])
    assert said(delivery) == []
    assert faults(delivery) == [
        "omop/MEASUREMENT.csv: crp_mg_l: 1 rows have no value that can be read"
    ]


def test_an_observation_without_a_value_says_that_it_is_so(tmp_path: Path) -> None:
    row = {"observation_id": 1, "person_id": 1, "observation_concept_id": DENIALS["alcohol"],
           "observation_date": date(2024, 5, 1)}  # fmt: skip
    assert said(read(tmp_path, observation=[row]), "alcohol") == [("2024-05-01", "yes")]
    unmapped = row | {"value_as_concept_id": 0, "value_source_value": "abstinent"}
    assert said(read(tmp_path, observation=[unmapped]), "alcohol") == []
    words = row | {"value_as_string": "no"}
    assert said(read(tmp_path, observation=[words]), "alcohol") == [("2024-05-01", "no")]


def exposure(number: int, start: date, end: date | None, concept: int = 1518254) -> Row:
    return {
        "drug_exposure_id": number, "person_id": 1, "drug_concept_id": concept,
        "drug_exposure_start_date": start, "drug_exposure_end_date": end,
    }  # fmt: skip


def test_exposures_that_overlap_are_one_treatment(tmp_path: Path) -> None:
    mapping = OmopMapping.model_validate({"columns": [DRUG]})
    rows = [
        exposure(1, date(2024, 5, 1), date(2024, 5, 31)),
        exposure(2, date(2024, 5, 20), date(2024, 6, 20)),
        exposure(3, date(2024, 8, 1), date(2024, 7, 1)),
    ]
    assert sorted(said(read(tmp_path, mapping, drug_exposure=rows), "steroids")) == [
        ("2024-05-01", "yes"), ("2024-05-20", "yes"), ("2024-06-20", "no"),
        ("2024-08-01", "no"), ("2024-08-01", "yes"),
    ]  # fmt: skip


DIAGNOSED = {
    "condition_occurrence_id": 1, "person_id": 1, "condition_concept_id": CONDITIONS["alcohol"],
    "condition_start_date": date(2020, 3, 1), "visit_occurrence_id": 5,
}  # fmt: skip
VISIT = {"visit_occurrence_id": 5, "person_id": 1, "visit_end_date": date(2024, 6, 3)}


def flag(known_at: str, *, ends: bool = False) -> OmopMapping:
    concept = CONDITIONS["alcohol"]
    column = {"column": "alcohol", "table": "condition_occurrence", "concepts": [concept]}
    return OmopMapping.model_validate({"columns": [column | {"known_at": known_at, "ends": ends}]})


@pytest.mark.parametrize(
    ("known_at", "change", "expected"),
    [
        pytest.param("", {}, "", id="a start alone says nothing"),
        pytest.param("start", {}, "2020-03-01", id="unless the mapping says so"),
        pytest.param("visit", {}, "2024-06-03", id="visit"),
        pytest.param("visit", {"condition_start_date": date(2024, 7, 1)}, "2024-07-01", id="later"),
        pytest.param("visit", {"visit_occurrence_id": None}, "", id="no visit"),
        pytest.param("visit", {"visit_occurrence_id": 6}, "", id="a visit that is not there"),
        pytest.param("entered", {"entered_date": date(2024, 2, 9)}, "2024-02-09", id="entry"),
        pytest.param(
            "entered",
            {"entered_date": date(2024, 2, 9), "entered_datetime": datetime(2024, 2, 9, 8)},
            "2024-02-09T08:00:00",
            id="time of entry",
        ),
        pytest.param("entered", {}, "", id="no entry"),
    ],
)
@pytest.mark.parametrize("write", [write_omop_csv, write_omop_parquet])
def test_a_condition_counts_once_it_was_known_and_not_from_its_start(
    known_at: str,
    change: Row,
    expected: str,
    write: Callable[[Path, OmopRows], None],
    tmp_path: Path,
) -> None:
    rows = {"condition_occurrence": [DIAGNOSED | change], "visit_occurrence": [VISIT]}
    write(tmp_path / "omop", tables(person=[PERSON], **rows))
    delivery = read_omop(FolderTables(tmp_path / "omop"), flag(known_at))
    assert said(delivery, "alcohol") == [(expected, "yes")]
    assert faults(delivery) == []


def test_a_condition_of_a_visit_that_ended_after_the_scan_is_not_read(tmp_path: Path) -> None:
    rows = {"condition_occurrence": [DIAGNOSED], "visit_occurrence": [VISIT]}
    write_omop_csv(tmp_path / "omop", tables(person=[PERSON], **rows))
    protocol = brain_protocol(sources={"omop": flag("visit").model_dump()})
    records = load_records(tmp_path, protocol)
    for scan, n_later in ((datetime(2024, 6, 3, 12), 1), (datetime(2024, 6, 4), 0)):
        history = history_at(records, "007", scan, protocol)
        (found,) = (one.value for one in history.values if one.name == "alcohol")
        assert (found, history.n_after_scan) == (None if n_later else True, n_later)


def test_what_has_ended_and_was_known_at_no_stated_time_says_nothing(tmp_path: Path) -> None:
    ended = {"condition_occurrence": [DIAGNOSED | {"condition_end_date": date(2021, 1, 1)}]}
    assert said(read(tmp_path, flag("", ends=True), **ended), "alcohol") == []
    known = read(tmp_path, flag("visit", ends=True), **ended, visit_occurrence=[VISIT])
    assert said(known, "alcohol") == [("2024-06-03", "yes"), ("2024-06-03", "no")]


def test_a_visit_end_or_entry_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "omop"
    visit = VISIT | {"visit_end_date": date(2024, 6, 3)}
    entered = DIAGNOSED | {"entered_date": date(2024, 6, 3)}
    rows = {"condition_occurrence": [entered], "visit_occurrence": [visit]}
    write_omop_csv(folder, tables(person=[PERSON], **rows))
    for name in ("VISIT_OCCURRENCE.csv", "CONDITION_OCCURRENCE.csv"):
        path = folder / name
        path.write_text(path.read_text().replace("2024-06-03", "zebra"))
    of_visit = read_omop(FolderTables(folder), flag("visit"))
    assert said(of_visit, "alcohol") == [("", "yes")]
    (fault,) = faults(of_visit)
    assert fault.startswith("omop/VISIT_OCCURRENCE.csv: row 5: visit_end_date: not a date")
    of_entry = read_omop(FolderTables(folder), flag("entered"))
    assert said(of_entry, "alcohol") == []
    (fault,) = faults(of_entry)
    assert fault.startswith("omop/CONDITION_OCCURRENCE.csv: row 1: entered_date: not a date")


def test_a_column_that_known_at_names_must_be_there(tmp_path: Path) -> None:
    write_omop_csv(tmp_path / "omop", tables(person=[PERSON], condition_occurrence=[DIAGNOSED]))
    with pytest.raises(UsageError, match="has no column signed_date"):
        read_omop(FolderTables(tmp_path / "omop"), flag("signed"))
    (tmp_path / "omop" / "VISIT_OCCURRENCE.csv").unlink()
    with pytest.raises(UsageError, match=r"has no visit_occurrence\.csv"):
        read_omop(FolderTables(tmp_path / "omop"), flag("visit"))


def test_an_ingredient_stands_for_all_its_drugs(tmp_path: Path) -> None:
    rule = DRUG | {"descendants": True}
    folder = tmp_path / "omop"
    rows = [exposure(1, date(2024, 5, 1), None, concept=40000001)]
    write_omop_csv(folder, tables(person=[PERSON], drug_exposure=rows))
    mapping = OmopMapping.model_validate({"columns": [rule]})
    with pytest.raises(UsageError, match=r"has no concept_ancestor\.csv"):
        read_omop(FolderTables(folder), mapping)
    ancestors = {"ancestor_concept_id": [1518254, 1], "descendant_concept_id": [40000001, 2]}
    pd.DataFrame(ancestors).to_csv(folder / "concept_ancestor.csv", index=False)
    assert len(said(read_omop(FolderTables(folder), mapping), "steroids")) == 1


def test_two_people_under_one_number_get_no_result(tmp_path: Path) -> None:
    twin = PERSON | {"person_id": 2, "year_of_birth": 1985}
    write_omop_csv(tmp_path / "omop", tables(person=[PERSON, twin], measurement=[CRP]))
    records = load_records(tmp_path, brain_protocol())
    assert records.table.empty
    history = pair(records, [STUDY], brain_protocol()).history(STUDY)
    errors = [issue.code for issue in history.issues if issue.severity is Severity.ERROR]
    assert errors == [IssueCode.IDENTITY_CONTRADICTED]


def test_records_of_nobody_are_counted(tmp_path: Path) -> None:
    nameless = PERSON | {"person_id": 2, "person_source_value": None}
    strange = [CRP, CRP | {"measurement_id": 2, "person_id": 2}]
    delivery = read(tmp_path, person=[PERSON, nameless], measurement=strange)
    assert len(said(delivery)) == 1
    assert faults(delivery) == [
        "omop/PERSON.csv: 1 persons have no Patient ID; their records were not read",
        "omop/PERSON.csv: 1 records are of persons who have no clear Patient ID; "
        "they were not read",
    ]


def test_a_row_whose_date_cannot_be_read_is_named_and_stops_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "omop"
    write_omop_csv(folder, tables(person=[PERSON], measurement=[CRP]))
    path = folder / "MEASUREMENT.csv"
    header, good = path.read_text().splitlines()
    bad = good.replace("2024-05-01 08:00:05", "zebra").replace("1\t1", "77\t1", 1)
    path.write_text("\n".join((header, bad, good)))
    delivery = read_omop(FolderTables(folder), MAPPING)
    (fault,) = faults(delivery)
    assert fault.startswith("omop/MEASUREMENT.csv: row 77: measurement_datetime: not a date")
    assert "zebra" not in fault
    assert len(said(delivery)) == 1


def test_a_missing_table_or_column_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "omop"
    write_omop_csv(folder, tables(person=[PERSON]))
    (folder / "NOTE.csv").unlink()
    with pytest.raises(UsageError, match=r"has no note\.csv or \.parquet"):
        read_omop(FolderTables(folder), MAPPING)
    (folder / "note.csv").write_text("note_id,note_text\n")
    with pytest.raises(UsageError, match=r"omop/note\.csv has no column person_id, note_c"):
        read_omop(FolderTables(folder), MAPPING)
    (folder / "Note.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="holds both"):
        read_omop(FolderTables(folder), MAPPING)
    (folder / "note.csv").unlink()
    with pytest.raises(UsageError, match="not a readable parquet file"):
        read_omop(FolderTables(folder), MAPPING)


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 1)
    with pytest.raises(UsageError, match="more than 1 rows"):
        read(tmp_path, measurement=[CRP, CRP | {"measurement_id": 2}])


def test_a_password_is_in_no_message(postgresql: str, tmp_path: Path) -> None:
    password = sa.make_url(postgresql).password
    socket = sa.make_url(postgresql).query["host"]
    wrong = [
        postgresql.replace(str(password), "zebra-secret"),
        postgresql.replace(str(socket), "/nowhere/zebra"),
        f"postgresql+psycopg://reader:zebra-secret@[::1/{password}",
        "postgresql+psycopg://reader:zebra-secret@localhost:port/x",
        "nosuchdialect://reader:zebra-secret@localhost/x",
        f"sqlite:///{tmp_path / 'zebra-secret'}",
        "zebra-secret",
    ]
    for url in wrong:
        with pytest.raises(UsageError) as error, open_database(url, "") as database:
            read_omop(database, MAPPING)
        assert "zebra" not in str(error.value)
        assert str(password) not in str(error.value)
        assert error.value.__cause__ is None
    assert list(tmp_path.iterdir()) == []


ONE_COLUMN = OmopMapping.model_validate({"columns": OMOP_SOURCE["columns"][2:3]})
CELLS = (
    st.text(st.characters(exclude_characters="\r\n\t\"\x00", codec="utf-8"), max_size=12)
    | st.dates().map(str) | st.datetimes().map(str) | st.integers().map(str)
)  # fmt: skip
NAMES = (
    "measurement_id", "person_id", "measurement_date", "measurement_datetime", "value_as_number",
    "value_as_concept_id", "unit_concept_id", "operator_concept_id",
)  # fmt: skip
GOOD = ("1", "1", "2024-05-01", "2024-05-01 08:00:05", "19.2", "", "8751", "")


def write_small(folder: Path, *rows: tuple[str, ...]) -> None:
    """Person 007 and measurements, all of one concept."""
    folder.mkdir()
    names = ("person_id", "person_source_value", "gender_concept_id", "year_of_birth")
    (folder / "person.csv").write_text(f"{','.join(names)}\n1,007,0,1960\n")
    concept = str(CONCEPTS["crp_mg_l"])
    lines = [(*NAMES, "measurement_concept_id"), *((*row, concept) for row in rows)]
    text = "\n".join("\t".join(line) for line in lines)
    (folder / "measurement.csv").write_text(text, encoding="utf-8")


@settings(max_examples=150, deadline=None)
@example(cells=("INFINITY", *[""] * (len(NAMES) - 1)))
@given(cells=st.tuples(*[CELLS] * len(NAMES)))
def test_any_cells_give_a_value_or_a_named_fault(cells: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_small(Path(name) / "omop", cells, GOOD)
        delivery = read_omop(FolderTables(Path(name) / "omop"), ONE_COLUMN)
        assert said(delivery)[-1] == ("2024-05-01T08:00:05", "19.2")
        assert len(said(delivery)) + len(delivery.faults) == 2
        assert all(fault.file.startswith("omop/") for fault in delivery.faults)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(["csv", "parquet"]))
def test_any_bytes_are_a_named_fault(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "omop"
        write_small(folder)
        (folder / "measurement.csv").unlink()
        (folder / f"measurement.{suffix}").write_bytes(content)
        with pytest.raises(UsageError, match=rf"omop/measurement\.{suffix}"):
            read_omop(FolderTables(folder), ONE_COLUMN)

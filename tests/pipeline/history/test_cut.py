import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import RecordsError, UsageError
from pipeline.history import history_at, load_records
from pipeline.history.notes import files as reading
from schemas.history import History
from schemas.issue import IssueCode
from schemas.protocol import Protocol
from tests.pipeline.history.question import QUESTION

SCAN = datetime(2024, 5, 31, 14, 30, 0)
PROTOCOL = Protocol.model_validate(
    QUESTION
    | {
        "table": [
            {"name": "age", "kind": "number", "unit": "years", "low": 0, "high": 120},
            {"name": "sex", "kind": "category", "categories": ["F", "M"], "undated": True},
            {"name": "smoker", "kind": "flag"},
        ],
    }
)
HEADER = "patient_id,recorded_at,age,sex,smoker\n"


def read(folder: Path, table: str = "", notes: str = "", at: datetime | None = SCAN) -> History:
    if table:
        (folder / "tabular.csv").write_text(HEADER + table)
    if notes:
        (folder / "notes.csv").write_text("patient_id,written_at,kind,text\n" + notes)
    return history_at(load_records(folder, PROTOCOL), "007", at, PROTOCOL)


def value(history: History, name: str) -> object:
    return next(item.value for item in history.values if item.name == name)


def codes(history: History) -> set[IssueCode]:
    return {issue.code for issue in history.issues}


def test_the_cut_is_exact_to_the_second(tmp_path: Path) -> None:
    rows = "007,2024-05-31T14:29:59,50,,\n007,2024-05-31T14:30:00,51,,\n"
    history = read(tmp_path, rows + "007,2024-05-31T14:30:01,52,,\n")
    assert value(history, "age") == 51.0
    assert history.n_after_scan == 1
    assert IssueCode.RECORDS_AFTER_SCAN in codes(history)


def test_a_date_alone_counts_as_the_end_of_that_day(tmp_path: Path) -> None:
    history = read(tmp_path, "007,2024-05-31,52,,\n007,2024-05-30,51,,\n")
    assert value(history, "age") == 51.0
    assert history.n_after_scan == 1


def test_a_time_without_seconds_counts_as_the_end_of_that_minute(tmp_path: Path) -> None:
    history = read(tmp_path, "007,2024-05-31T14:30,52,,\n007,2024-05-31T14:29,51,,\n")
    assert value(history, "age") == 51.0
    assert history.n_after_scan == 1


def test_notes_after_the_scan_are_never_read(tmp_path: Path) -> None:
    notes = "007,2024-05-01T08:00:00,clinic,before\n007,2024-06-01T08:00:00,clinic,outcome\n"
    history = read(tmp_path, notes=notes)
    assert [note.text for note in history.notes] == ["before"]
    assert history.n_after_scan == 1


def test_the_look_back_ends_on_its_day(tmp_path: Path) -> None:
    edge = SCAN - timedelta(days=365)
    old = edge - timedelta(seconds=1)
    notes = f"007,{edge.isoformat()},c,edge\n007,{old.isoformat()},c,old\n"
    history = read(tmp_path, notes=notes)
    assert [note.text for note in history.notes] == ["edge"]
    assert history.n_too_old == 1


def test_an_undated_value_counts_only_where_the_protocol_says_so(tmp_path: Path) -> None:
    history = read(tmp_path, "007,,50,F,\n", "007,,clinic,undated\n")
    assert value(history, "sex") == "F"
    assert value(history, "age") is None
    assert history.notes == ()
    messages = [item.message for item in history.issues if item.code == IssueCode.RECORDS_UNDATED]
    assert messages == ["2 records have no time and were not read"]


def test_without_an_acquisition_time_no_dated_record_is_read(tmp_path: Path) -> None:
    notes = "007,2020-01-01T08:00:00,c,old\n"
    history = read(tmp_path, "007,2020-01-01T08:00:00,50,M,\n007,,,F,\n", notes, at=None)
    assert value(history, "age") is None
    assert value(history, "sex") == "F"
    assert history.notes == ()
    assert IssueCode.TIME_UNKNOWN in codes(history)


def test_the_patient_is_matched_by_the_whole_identifier(tmp_path: Path) -> None:
    history = read(tmp_path, "7,2024-05-01T00:00:00,50,,\n0070,2024-05-01T00:00:00,51,,\n")
    assert history.is_empty
    assert IssueCode.HISTORY_MISSING in codes(history)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        pytest.param("900", "outside 0..120 years", id="implausible"),
        pytest.param("fifty", "not a number", id="text"),
        pytest.param("nan ", "", id="missing"),
        pytest.param("inf", "not a number", id="infinite"),
        pytest.param("1e999", "outside", id="huge"),
    ],
)
def test_an_unusable_number_is_missing_not_clipped(tmp_path: Path, cell: str, reason: str) -> None:
    history = read(tmp_path, f"007,2024-05-01T00:00:00,{cell},F,\n")
    assert value(history, "age") is None
    faults = [item.message for item in history.issues if item.code == IssueCode.VALUE_IMPLAUSIBLE]
    assert len(faults) == bool(reason)
    assert all(reason in fault for fault in faults)


def test_an_implausible_latest_value_is_not_replaced_by_an_older_one(tmp_path: Path) -> None:
    history = read(tmp_path, "007,2024-05-01T00:00:00,50,,\n007,2024-05-02T00:00:00,500,,\n")
    assert value(history, "age") is None


def test_of_several_values_the_latest_counts_and_empty_cells_do_not(tmp_path: Path) -> None:
    rows = "007,2024-05-02T00:00:00,52,,yes\n007,2024-05-01T00:00:00,51,,no\n"
    history = read(tmp_path, rows + "007,2024-05-03T00:00:00,,,\n")
    assert value(history, "age") == 52.0
    assert value(history, "smoker") is True


def test_a_long_table_says_the_same_as_a_wide_one(tmp_path: Path) -> None:
    (tmp_path / "tabular.csv").write_text(
        "patient_id,recorded_at,name,value,unit\n"
        "007,2024-05-01T00:00:00,age,50,years\n007,2024-05-01T00:00:00,smoker,no,\n"
    )
    history = history_at(load_records(tmp_path, PROTOCOL), "007", SCAN, PROTOCOL)
    assert value(history, "age") == 50.0
    assert value(history, "smoker") is False


def test_a_value_in_a_unit_of_another_kind_is_missing(tmp_path: Path) -> None:
    (tmp_path / "tabular.csv").write_text(
        "patient_id,recorded_at,name,value,unit\n007,2024-05-01T00:00:00,age,50,cm\n"
    )
    history = history_at(load_records(tmp_path, PROTOCOL), "007", SCAN, PROTOCOL)
    assert value(history, "age") is None
    assert IssueCode.VALUE_IMPLAUSIBLE in codes(history)


def test_a_folder_of_notes_is_read_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "notes" / "007"
    folder.mkdir(parents=True)
    (folder / "2024-05-01T08-15-00_clinic.txt").write_text("Seen in clinic.\n")
    (note,) = history_at(load_records(tmp_path, PROTOCOL), "007", SCAN, PROTOCOL).notes
    assert (note.kind, note.text) == ("clinic", "Seen in clinic.")
    assert note.written_at == datetime(2024, 5, 1, 8, 15)


def test_note_files_are_bounded_and_links_do_not_lead_out_of_the_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_NOTE_BYTES", 40)
    cohort, outside = tmp_path / "cohort", tmp_path / "outside"
    folder = cohort / "notes" / "SECRET"
    for made in (folder, outside):
        made.mkdir(parents=True)
    (outside / "2024-05-03_clinic.txt").write_text("Of nobody here.")
    (folder / "2024-05-01_clinic.txt").write_text("x" * 40)
    (folder / "2024-05-02_clinic.txt").symlink_to(folder / "2024-05-01_clinic.txt")
    assert len(load_records(cohort, PROTOCOL).notes) == 2
    (folder / "2024-05-03_clinic.txt").symlink_to(outside / "2024-05-03_clinic.txt")
    (folder / "2024-05-04_clinic.txt").write_text("x" * 41)
    (folder / "2024-05-05_clinic.txt").mkdir()
    os.mkfifo(folder / "2024-05-06_clinic.txt")
    (folder / "2024-05-07_clinic.txt").symlink_to(folder / "2024-05-07_clinic.txt")
    (cohort / "notes" / "ZSECRET").symlink_to(outside)
    with pytest.raises(RecordsError) as caught:
        load_records(cohort, PROTOCOL)
    assert [text.split(";")[0] for text in caught.value.faults] == [
        "notes, file 3: is a link that leads out of the cohort",
        "notes, file 4: has more than 1000000 characters",
        "notes, file 5: is no file",
        "notes, file 6: is no file",
        "notes, file 7: cannot be read",
        "notes, file 8: is a link that leads out of the cohort",
    ]
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("tabular.csv", "id,recorded_at,age\n", "no column patient_id", id="no id"),
        pytest.param("tabular.csv", "patient_id,recorded_at,x\n", "none of the", id="no feature"),
        pytest.param("tabular.csv", HEADER + "7,1.5.2024,50,,\n", "row 2: may be", id="date"),
        pytest.param("tabular.csv", HEADER + "7,2024-05-01T10:00:00Z,50,,\n", "UTC", id="Z"),
        pytest.param("tabular.csv", HEADER + "7,2024-05-01T10:00:00+02,50,,\n", "UTC", id="+02"),
        pytest.param("tabular.csv", HEADER + "7,2024-05-01 10:00 +0200,50,,\n", "UTC", id="+0200"),
        pytest.param(
            "tabular.csv", HEADER + "7,2024-05-31T14,50,,\n", "row 2: is not", id="hour only"
        ),
        pytest.param(
            "tabular.csv", HEADER + "7,2024-02-30,50,,\n", "row 2: is not", id="no such day"
        ),
        pytest.param("notes.csv", "patient_id,written_at,text\n", "no column kind", id="no kind"),
        pytest.param("notes.csv", "\x00\x01\x02", "notes.csv", id="binary"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        load_records(tmp_path, PROTOCOL)


def test_no_record_file_at_all_is_an_empty_history(tmp_path: Path) -> None:
    history = read(tmp_path)
    assert history.is_empty
    assert [item.value for item in history.values] == [None, None, None]

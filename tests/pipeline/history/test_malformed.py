import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import RecordsError
from pipeline.history import history_at, load_records, read_labels
from tests.pipeline.history.malformed import DAY, NOTES, PROTOCOL, WIDE, Malformed, malformed

CASES = list(malformed())
ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def test_there_are_three_hundred_malformed_inputs_all_different() -> None:
    assert len({(case.file, case.content) for case in CASES}) >= 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(f"{case.file} {case.name}"))
def test_a_malformed_input_gives_a_named_fault(tmp_path: Path, case: Malformed) -> None:
    (tmp_path / case.file).write_bytes(case.content)
    if case.stops:
        with pytest.raises(RecordsError, match=case.message) as caught:
            read_labels(tmp_path, PROTOCOL) if "labels" in case.file else load_records(
                tmp_path, PROTOCOL
            )
        assert case.file in str(caught.value)
        return
    records = load_records(tmp_path, PROTOCOL)
    assert any(re.search(case.message, item.issue.message) for item in records.faults)
    assert all(case.file in item.issue.message for item in records.faults)


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    rows = "".join(f"7,{time},50,F,no,\n" for time in ("x", "5/6/2024", DAY, "y"))
    (tmp_path / "tabular.csv").write_text(f"{WIDE}\n{rows}")
    (tmp_path / "notes.csv").write_text(f"{NOTES}\n7,z,c,text\n")
    with pytest.raises(RecordsError) as caught:
        load_records(tmp_path, PROTOCOL)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "tabular.csv, column recorded_at, rows 2, 5",
        "tabular.csv, column recorded_at, row 3",
        "notes.csv, column written_at, row 2",
    ]


def test_the_message_is_bounded_and_says_how_many_more() -> None:
    message = str(RecordsError([f"fault {number}" for number in range(25)]))
    assert message.endswith("fault 9; and 15 more faults")


def test_a_fault_never_quotes_the_cell(tmp_path: Path) -> None:
    (tmp_path / "tabular.csv").write_text(f"{WIDE}\n7,{DAY},Jane Doe,Jane Doe,Jane Doe,Jane Doe\n")
    records = load_records(tmp_path, PROTOCOL)
    assert len(records.faults) == 4
    assert "Doe" not in str(records.faults)
    (tmp_path / "tabular.csv").write_text(f"{WIDE}\n7,Jane Doe,,,,\n7,Jane Doe,50,,,\n")
    with pytest.raises(RecordsError) as caught:
        load_records(tmp_path, PROTOCOL)
    assert "Doe" not in str(caught.value)


@ANY_FOLDER
@given(st.sampled_from(["tabular.csv", "notes.csv", "tabular.parquet"]), st.binary(max_size=300))
def test_no_bytes_stop_the_reading_otherwise_than_by_a_named_fault(
    tmp_path: Path, file: str, content: bytes
) -> None:
    read_or_named(tmp_path, file, content)


@ANY_FOLDER
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.text(max_size=12),
                st.sampled_from(["7", DAY, "", "1,5", "<3", "F", "no", "2024-05-01T10:00:00"]),
            ),
            min_size=5, max_size=7,
        ),
        max_size=6,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-16-le"]),
)  # fmt: skip
def test_no_cells_stop_the_reading_otherwise_than_by_a_named_fault(
    tmp_path: Path, rows: list[list[str]], sign: str, encoding: str
) -> None:
    lines = [WIDE.replace(",", sign), *(sign.join(row) for row in rows)]
    content = "\n".join(lines).encode(encoding, "replace")
    read_or_named(tmp_path, "tabular.csv", content)


@ANY_FOLDER
@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_valid_file_with_a_few_bytes_changed_is_read_or_named(
    tmp_path: Path, place: int, change: bytes
) -> None:
    rows = "".join(f'7,{DAY}T10:0{number}:00,"5{number}",F,no,5.{number}\n' for number in range(5))
    content = f"{WIDE}\n{rows}".encode()
    read_or_named(tmp_path, "tabular.csv", content[:place] + change + content[place + 1 :])


def read_or_named(folder: Path, file: str, content: bytes) -> None:
    for other in folder.iterdir():
        other.unlink()
    (folder / file).write_bytes(content)
    told: RecordsError | None = None
    try:
        records = load_records(folder, PROTOCOL)
    except RecordsError as error:
        told = error
    if told is not None:
        assert all(fault.startswith(file) for fault in told.faults)
        return
    for patient_id in records.table_rows.keys() | records.note_rows.keys():
        history_at(records, patient_id, None, PROTOCOL)

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from pipeline.history import Records, history_at, load_records
from schemas.history import History
from schemas.issue import IssueCode
from schemas.protocol import Protocol
from tests.pipeline.history.malformed import PROTOCOL

SCAN = datetime(2024, 5, 31, 14, 30)
ROWS = [
    ["patient_id", "recorded_at", "sex", "glucose", "smoker"],
    ["007", "2024-05-01T10:00:00", "m\u00e4nnlich", "5,5", "nein"],
    ["007", "2024-05-02T10:00:00", "", "N/A", "n.a."],
]  # fmt: skip


def protocol(**update: object) -> Protocol:
    """Return the protocol with German words for sex, and the update."""
    content = PROTOCOL.model_dump(mode="json")
    content["table"][1]["synonyms"] = {"M": ["m\u00e4nnlich"], "F": ["weiblich"]}
    return Protocol.model_validate(content | update)


def column(name: str, **update: object) -> dict[str, object]:
    content = next(item for item in PROTOCOL.table if item.name == name).model_dump(mode="json")
    return content | update


def values(history: History) -> dict[str, object]:
    return {value.name: value.value for value in history.values}


def codes(history: History) -> set[IssueCode]:
    return {issue.code for issue in history.issues}


def read(folder: Path, text: str, asked: Protocol = PROTOCOL, at: datetime = SCAN) -> History:
    (folder / "tabular.csv").write_text(text)
    return history_at(load_records(folder, asked), "007", at, asked)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_a_table_says_the_same_in_any_encoding_and_with_any_delimiter(
    tmp_path: Path, encoding: str, sign: str
) -> None:
    quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in ROWS]
    text = "\r\n".join(sign.join(row) for row in quoted)
    (tmp_path / "tabular.csv").write_bytes(text.encode(encoding))
    records = load_records(tmp_path, protocol())
    history = history_at(records, "007", SCAN, protocol())
    assert values(history) == {"age": None, "sex": "M", "glucose": 5.5, "smoker": False}
    # Windows-1252 and Latin-1 cannot be told from each other's kin, and that is said.
    assert len(records.faults) == (encoding in ("cp1252", "latin-1"))


def test_a_stated_encoding_is_not_doubted(tmp_path: Path) -> None:
    text = "patient_id,recorded_at,sex\n007,2024-05-01,m\u00e4nnlich\n"
    (tmp_path / "tabular.csv").write_bytes(text.encode("cp1252"))
    records = load_records(tmp_path, protocol(export={"encoding": "windows-1252"}))
    assert records.faults == ()
    assert records.table["value"].tolist() == [1.0]


def test_excels_own_first_line_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    text = "sep=;\npatient_id;recorded_at;age\n\n007;2024-05-01;x\n"
    (tmp_path / "tabular.csv").write_text(text)
    (fault,) = load_records(tmp_path, PROTOCOL).faults
    # The line counts as a spreadsheet shows it.
    assert fault.issue.message == "tabular.csv, column age, row 4: is not a number"


def test_a_wide_table_gives_units_in_its_header_beside_or_behind_the_number(tmp_path: Path) -> None:
    head = "patient_id,recorded_at,"
    for text in (
        f"{head}Glucose [mg/dL]\n007,2024-05-01,90.078\n",
        f"{head}glucose (mg/dl)\n007,2024-05-01,90.078\n",
        f"{head}glucose,glucose_unit\n007,2024-05-01,90.078,MG/DL\n",
        f"{head}glucose\n007,2024-05-01,90.078 mg/dL\n",
        "patient_id,recorded_at,name,value,unit\n007,2024-05-01,GLUCOSE,90.078,mg/dL\n",
    ):
        # 900.78 mg/L at 180.156 g/mol
        assert values(read(tmp_path, text))["glucose"] == pytest.approx(5.0)


def test_a_unit_mix_up_is_implausible_and_set_missing_not_clipped(tmp_path: Path) -> None:
    history = read(tmp_path, "patient_id,recorded_at,glucose\n007,2024-05-01,90\n")
    assert values(history)["glucose"] is None
    (issue,) = [item for item in history.issues if item.code == IssueCode.VALUE_IMPLAUSIBLE]
    assert issue.message == (
        "table column glucose: the latest value (tabular.csv, row 2) is outside 0.5..60 mmol/L; "
        "it counts as missing"
    )


def test_a_detection_limit_counts_as_the_limit_and_says_so(tmp_path: Path) -> None:
    history = read(tmp_path, "patient_id,recorded_at,glucose\n007,2024-05-01,<1.1\n")
    assert values(history)["glucose"] == 1.1
    assert IssueCode.VALUE_AT_LIMIT in codes(history)


def test_a_missing_spelling_that_is_a_category_is_a_value(tmp_path: Path) -> None:
    asked = protocol(table=[column("sex", categories=["F", "M", "unknown"], synonyms={})])
    history = read(tmp_path, "patient_id,recorded_at,sex\n007,2024-05-01,Unknown\n", asked)
    assert values(history) == {"sex": "unknown"}


def test_the_protocol_may_name_other_spellings_of_nothing(tmp_path: Path) -> None:
    text = "patient_id,recorded_at,age\n007,2024-05-01,50\n007,2024-05-02,entfaellt\n"
    asked = protocol(export={"missing": ["Entfaellt"]})
    assert values(read(tmp_path, text, asked))["age"] == 50.0


def test_a_result_counts_from_its_release(tmp_path: Path) -> None:
    head = "patient_id,recorded_at,available_at,age\n"
    rows = "007,2024-05-31T10:00:00,2024-05-31T15:00:00,51\n007,2024-05-30T10:00:00,,50\n"
    history = read(tmp_path, head + rows)
    assert values(history)["age"] == 50.0
    assert history.n_after_scan == 1
    released = history_at(
        load_records(tmp_path, PROTOCOL), "007", SCAN + timedelta(minutes=30), PROTOCOL
    )
    assert values(released)["age"] == 51.0
    assert released.values[0].recorded_at == datetime(2024, 5, 31, 10)


def test_a_record_without_a_time_of_its_own_is_dated_by_its_release(tmp_path: Path) -> None:
    text = "patient_id,recorded_at,available_at,age\n007,,2024-05-30T10:00:00,50\n"
    assert values(read(tmp_path, text))["age"] == 50.0


def test_two_values_of_one_moment_are_told_and_the_one_further_down_counts(tmp_path: Path) -> None:
    rows = "007,2024-05-01T10:00:00,50\n007,2024-05-01T10:00:00,60\n"
    history = read(tmp_path, f"patient_id,recorded_at,age\n{rows}")
    assert values(history)["age"] == 60.0
    assert IssueCode.VALUES_DIFFER in codes(history)


@pytest.mark.parametrize(
    ("choose", "window", "expected", "day"),
    [
        pytest.param("latest", None, 8.0, 30, id="latest"),
        pytest.param("highest", None, 20.0, 1, id="highest"),
        pytest.param("lowest", None, 4.0, 15, id="lowest"),
        pytest.param("mean", None, 9.5, 30, id="mean of 20, 6, 4, 8"),
        pytest.param("mean", 31, 6.0, 30, id="mean of 6, 4, 8"),
        pytest.param("highest", 31, 8.0, 30, id="highest of the window"),
    ],
)
def test_the_protocol_chooses_among_several_values(
    tmp_path: Path, choose: str, window: int | None, expected: float, day: int
) -> None:
    asked = protocol(table=[column("glucose", choose=choose, window_days=window)])
    rows = [("2024-05-30", 8), ("2024-04-01", 20), ("2024-05-15", 4), ("2024-05-01", 6)]
    body = "".join(f"007,{when}T12:00:00,{number}\n" for when, number in rows)
    body += "007,2024-06-01T12:00:00,50\n007,2024-05-20T12:00:00,900\n"
    (value,) = read(tmp_path, f"patient_id,recorded_at,glucose\n{body}", asked).values
    assert value.value == pytest.approx(expected)
    assert value.recorded_at is not None
    assert value.recorded_at.day == day


def test_the_latest_value_is_looked_for_in_its_window_alone(tmp_path: Path) -> None:
    asked = protocol(table=[column("glucose", window_days=31)])
    header = "patient_id,recorded_at,glucose\n"
    old, new = "007,2024-04-01T12:00:00,20\n", "007,2024-05-15T12:00:00,4\n"
    assert values(read(tmp_path, header + old, asked)) == {"glucose": None}
    assert values(read(tmp_path, header + new + old, asked)) == {"glucose": 4.0}


def test_an_implausible_value_of_a_window_is_left_out_and_counted(tmp_path: Path) -> None:
    asked = protocol(table=[column("glucose", choose="mean")])
    body = "007,2024-05-01,6\n007,2024-05-02,900\n007,2024-05-03,8\n"
    history = read(tmp_path, f"patient_id,recorded_at,glucose\n{body}", asked)
    assert values(history) == {"glucose": 7.0}
    (issue,) = [item for item in history.issues if item.code == IssueCode.VALUE_IMPLAUSIBLE]
    assert "1 of 3 values" in issue.message


def test_a_slope_is_the_change_a_year_by_least_squares(tmp_path: Path) -> None:
    asked = protocol(table=[column("glucose", choose="slope", window_days=300)])
    # y = 5, 6, 10 at 0, 100 and 200 days: slope 5/200 a day, times 365.25
    days = [datetime(2024, 1, 1, 12) + timedelta(days=day) for day in (-50, 0, 50, 150)]
    body = "".join(
        f"007,{when.isoformat()},{number}\n"
        for when, number in zip(days, (5, 5.5, 6, 7), strict=True)
    )
    (value,) = read(tmp_path, f"patient_id,recorded_at,glucose\n{body}", asked).values
    assert value.value == pytest.approx(0.01 * 365.25)
    assert value.unit == "mmol/L/year"


def test_a_slope_of_values_within_days_is_missing(tmp_path: Path) -> None:
    asked = protocol(table=[column("glucose", choose="slope")])
    body = "007,2024-05-01,5\n007,2024-05-20,9\n"
    history = read(tmp_path, f"patient_id,recorded_at,glucose\n{body}", asked)
    assert values(history) == {"glucose": None}


def test_a_flag_may_ask_whether_it_was_ever_yes(tmp_path: Path) -> None:
    asked = protocol(table=[column("smoker", choose="highest")])
    body = "007,2024-05-01,yes\n007,2024-05-02,no\n"
    history = read(tmp_path, f"patient_id,recorded_at,smoker\n{body}", asked)
    assert values(history) == {"smoker": True}


def test_with_a_timezone_records_and_scan_meet_across_offsets_and_summer_time(
    tmp_path: Path,
) -> None:
    berlin = protocol(timezone="Europe/Berlin")
    rows = [
        ("2024-05-31T12:30:00Z", 50), ("2024-05-31T08:30:01-04:00", 51),
        ("2024-05-31T14:29:59", 49), ("2024-05-31T14:30:01", 52),
    ]  # fmt: skip
    body = "".join(f"007,{when},{number}\n" for when, number in rows)
    history = read(tmp_path, f"patient_id,recorded_at,age\n{body}", berlin)
    assert values(history)["age"] == 50.0
    assert history.n_after_scan == 2
    summer = timezone(timedelta(hours=2))
    assert history.at == datetime(2024, 5, 31, 14, 30, tzinfo=summer)
    assert history.values[0].recorded_at == datetime(2024, 5, 31, 14, 30, tzinfo=summer)
    abroad = SCAN.replace(tzinfo=timezone(timedelta(hours=3)))  # an hour earlier
    assert values(history_at(load_records(tmp_path, berlin), "007", abroad, berlin))["age"] is None


def test_a_history_in_the_repeated_hour_holds_nothing_later_than_its_moment(tmp_path: Path) -> None:
    berlin = protocol(timezone="Europe/Berlin")
    body = "007,2024-10-27T02:15:00+02:00,50\n007,2024-10-27T02:15:00,51\n"
    scan = datetime(2024, 10, 27, 2, 30)
    history = read(tmp_path, f"patient_id,recorded_at,age\n{body}", berlin, scan)
    assert values(history)["age"] == 50.0
    assert history.n_after_scan == 1


def test_a_parquet_table_says_the_same_as_a_csv(tmp_path: Path) -> None:
    pd.DataFrame(
        {
            "patient_id": ["007", "007"],
            "recorded_at": pd.to_datetime(["2024-05-01 10:00", "2024-05-31 00:00"]),
            "age": [50, 51],
            "smoker": [True, False],
            "sex": pd.Categorical(["F", "M"]),
        }
    ).to_parquet(tmp_path / "tabular.parquet")
    history = history_at(load_records(tmp_path, PROTOCOL), "007", SCAN, PROTOCOL)
    assert values(history) == {"age": 50.0, "smoker": True, "sex": "F", "glucose": None}
    # A database's midnight is a day alone.
    assert history.n_after_scan == 3


def test_any_source_may_deliver_the_two_frames() -> None:
    table = pd.DataFrame(
        {
            "patient_id": ["007", "8"], "recorded_at": ["2024-05-01", "2024"],
            "name": ["age", "other"], "text": ["50", "x"],
        }
    )  # fmt: skip
    records = Records.from_frames(table, None, PROTOCOL)
    assert records.has_table
    assert not records.has_notes
    assert list(records.table_rows) == ["007"]
    assert values(history_at(records, "007", SCAN, PROTOCOL))["age"] == 50.0


@pytest.mark.parametrize("text", ["", "007,,,\n", "8,2024-05-01,50,F\n"])
def test_what_is_empty_is_missing_and_the_history_says_so(tmp_path: Path, text: str) -> None:
    history = read(tmp_path, f"patient_id,recorded_at,age,sex\n{text}")
    assert history.is_empty
    assert set(values(history).values()) == {None}
    assert IssueCode.HISTORY_MISSING in codes(history)

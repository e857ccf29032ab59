from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.history import Pairing, load_records, pair
from pipeline.history.identifiers import identifiers_of, normalised
from schemas.history import History
from schemas.issue import IssueCode, Severity, has_errors
from schemas.protocol import Protocol
from schemas.series import Study
from tests.pipeline.history.question import QUESTION

SCAN = datetime(2024, 5, 31, 14, 30, 0)
CONTENT = QUESTION | {
    "look_back_days": 3650,
    "table": [
        {"name": "age", "kind": "number", "unit": "years", "low": 0, "high": 120},
        {"name": "born", "kind": "number", "low": 1900, "high": 2030, "undated": True},
        {"name": "sex", "kind": "category", "categories": ["F", "M"], "undated": True},
    ],
    "identity": {"sex": "sex", "birth_year": "born", "age": "age"},
}
EXACT = Protocol.model_validate(CONTENT)
NORMALISED = Protocol.model_validate(
    CONTENT | {"identity": {**CONTENT["identity"], "match": "normalised"}}  # type: ignore[dict-item]
)


def study(patient_id: str = "007", number: int = 1, **values: object) -> Study:
    content = {
        "study_uid": f"1.2.{number}",
        "patient_id": patient_id,
        "acquired_at": SCAN,
        "series": (),
        "content_sha256": "0",
    }
    return Study.model_validate(content | values)


def pairing(
    folder: Path, *studies: Study, table: str = "", notes: str = "", protocol: Protocol = EXACT
) -> Pairing:
    if table:
        header = "issuer," if table.startswith("issuer:") else ""
        rows = table.removeprefix("issuer:")
        (folder / "tabular.csv").write_text(f"{header}patient_id,recorded_at,age,born,sex\n{rows}")
    if notes:
        (folder / "notes.csv").write_text("patient_id,written_at,kind,text\n" + notes)
    return pair(load_records(folder, protocol), studies, protocol)


def codes(history: History) -> set[IssueCode]:
    return {issue.code for issue in history.issues}


def value(history: History, name: str) -> object:
    return next(item.value for item in history.values if item.name == name)


AGE_50 = "007,2024-01-01,50,,\n"


@pytest.mark.parametrize("spelling", ["7", "0007", "00 7", "0-07", "007x"], ids=repr)
def test_an_id_that_differs_in_any_sign_is_another_patient(spelling: str, tmp_path: Path) -> None:
    history = pairing(tmp_path, study(spelling), table=AGE_50).history(study(spelling))
    assert history.is_empty


@pytest.mark.parametrize("spelling", ["7", "0007", "00 7", "0-07"])
def test_a_similar_id_that_was_not_joined_is_named_as_an_issue(
    spelling: str, tmp_path: Path
) -> None:
    one = study(spelling)
    history = pairing(tmp_path, one, table=AGE_50).history(one)
    assert IssueCode.IDENTITY_SIMILAR in codes(history)
    assert not has_errors(history.issues)


@pytest.mark.parametrize(
    ("study_id", "table_id"),
    [("007", "7"), ("ab-12", "AB12"), ("7", "007"), ("BR7-00012", "br007-12"), ("é1", "E\u03011")],
)
def test_a_protocol_may_allow_a_unique_other_spelling_and_the_report_says_so(
    study_id: str, table_id: str, tmp_path: Path
) -> None:
    one = study(study_id)
    paired = pairing(tmp_path, one, table=f"{table_id},2024-01-01,50,,\n", protocol=NORMALISED)
    history = paired.history(one)
    assert value(history, "age") == 50.0
    (issue,) = (item for item in history.issues if item.code is IssueCode.IDENTITY_NORMALISED)
    assert issue.severity is Severity.WARNING


def test_an_exact_spelling_wins_over_a_similar_one(tmp_path: Path) -> None:
    one = study("7")
    table = AGE_50 + "7,2024-01-01,30,,\n"
    history = pairing(tmp_path, one, table=table, protocol=NORMALISED).history(one)
    assert value(history, "age") == 30.0
    assert IssueCode.IDENTITY_SIMILAR in codes(history)


def test_two_patients_alike_in_the_table_are_never_joined(tmp_path: Path) -> None:
    one = study("0007")
    table = AGE_50 + "7,2024-01-01,30,,\n"
    history = pairing(tmp_path, one, table=table, protocol=NORMALISED).history(one)
    assert history.is_empty
    assert IssueCode.IDENTITY_SIMILAR in codes(history)


def test_two_patients_alike_in_the_images_are_never_joined(tmp_path: Path) -> None:
    one, other = study("7", 1), study("07", 2)
    paired = pairing(tmp_path, one, other, table=AGE_50, protocol=NORMALISED)
    for item in (one, other):
        assert paired.history(item).is_empty
        assert IssueCode.IDENTITY_SIMILAR in codes(paired.history(item))


def test_notes_under_another_spelling_are_not_joined_where_the_table_tells_them_apart(
    tmp_path: Path,
) -> None:
    one = study("007")
    table = AGE_50 + "7,2024-01-01,30,,\n"
    notes = "7,2024-01-02,clinic,Of the other patient.\n"
    paired = pairing(tmp_path, one, table=table, notes=notes, protocol=NORMALISED)
    assert paired.history(one).notes == ()


def test_the_ids_of_another_issuer_are_other_patients(tmp_path: Path) -> None:
    table = "issuer:north,007,2024-01-01,50,,\nsouth,007,2024-02-01,30,,\n"
    one, other = study(issuer="north"), study(number=2, issuer="South", sex="M", birth_year=1993)
    paired = pairing(tmp_path, one, other, table=table)
    assert value(paired.history(one), "age") == 50.0
    assert value(paired.history(other), "age") == 30.0
    assert IssueCode.ISSUER_OTHER in codes(paired.history(one))


@pytest.mark.parametrize("issuer", ["", "north"])
def test_an_id_of_two_issuers_that_cannot_be_told_apart_withholds_the_result(
    issuer: str, tmp_path: Path
) -> None:
    one, other = study(issuer=issuer), study(number=2, issuer="south")
    third = study(number=3, issuer="west")
    history = pairing(tmp_path, one, other, third, table=AGE_50).history(one)
    assert history.is_empty
    assert IssueCode.IDENTITY_CONTRADICTED in codes(history)


@pytest.mark.parametrize(
    ("table", "header"),
    [
        pytest.param("007,,,,F\n007,2024-01-01,50,,\n", {"sex": "M"}, id="sex, header"),
        pytest.param("007,,,,F\n007,,,,M\n007,2024-01-01,50,,\n", {}, id="sex, within the table"),
        pytest.param("007,,,1970,\n", {"birth_year": 1971}, id="birth year, header"),
        pytest.param("007,,,1970,\n007,,,1980,\n", {}, id="birth year, within the table"),
        pytest.param("007,2024-01-01,50,,\n", {"birth_year": 1970}, id="age, header"),
        pytest.param("007,2024-01-01,50,,\n007,2022-01-01,53,,\n", {}, id="age runs backwards"),
        pytest.param("007,2024-01-01,50,1950,\n", {}, id="age and birth year"),
        pytest.param("007,2025-01-01,20,,\n", {"birth_year": 1970}, id="age after the scan"),
    ],
)
def test_contradicting_persons_withhold_the_result_and_nothing_is_read(
    table: str, header: dict[str, object], tmp_path: Path
) -> None:
    one = study(**header)
    history = pairing(tmp_path, one, table=table).history(one)
    (issue,) = (item for item in history.issues if item.code is IssueCode.IDENTITY_CONTRADICTED)
    assert issue.severity is Severity.ERROR
    assert history.is_empty


@pytest.mark.parametrize(
    ("age", "birth_year", "agrees"),
    # On 2024-01-01 someone of 50 whole years was born in 1973 or on 1974-01-01. A year may be off
    # either way: 1972 to 1975 (1971-12-31 would need 52 years and a day).
    [(50, 1974, True), (50, 1973, True), (50, 1972, True), (50, 1970, False), (50, 1976, False)],
)
def test_an_age_may_be_a_year_off(age: int, birth_year: int, agrees: bool, tmp_path: Path) -> None:
    one = study(birth_year=birth_year)
    history = pairing(tmp_path, one, table=f"007,2024-01-01,{age},,\n").history(one)
    assert (IssueCode.IDENTITY_CONTRADICTED not in codes(history)) is agrees


def test_two_studies_of_one_id_that_contradict_each_other_are_both_withheld(
    tmp_path: Path,
) -> None:
    one, other = study(number=1, sex="F"), study(number=2, sex="M")
    paired = pairing(tmp_path, one, other, table=AGE_50)
    assert all(has_errors(paired.history(item).issues) for item in (one, other))


def test_unknown_sex_and_year_contradict_nothing(tmp_path: Path) -> None:
    one = study(sex="O")
    table = "007,,,,F\n007,,,1973,\n" + AGE_50 + "007,2024-01-02,n/a,,unknown\n"
    assert not has_errors(pairing(tmp_path, one, table=table).history(one).issues)


def test_columns_that_the_protocol_does_not_name_are_not_compared(tmp_path: Path) -> None:
    silent = Protocol.model_validate(CONTENT | {"identity": {}})
    one = study(sex="M")
    history = pairing(tmp_path, one, table="007,,,,F\n", protocol=silent).history(one)
    assert value(history, "sex") == "F"


def test_a_study_older_than_every_record_is_an_issue(tmp_path: Path) -> None:
    one = study()
    table = "007,2024-06-01,50,,\n007,,,,F\n"
    history = pairing(tmp_path, one, table=table).history(one)
    assert IssueCode.RECORDS_ALL_AFTER_SCAN in codes(history)
    assert value(history, "age") is None
    later = study(acquired_at=datetime(2024, 6, 2))
    assert IssueCode.RECORDS_ALL_AFTER_SCAN not in codes(
        pairing(tmp_path, later, table=table).history(later)
    )


def test_where_only_the_day_is_known_no_record_of_that_day_counts(tmp_path: Path) -> None:
    one = study(acquired_at=datetime(2024, 5, 31), is_day_only=True)
    table = (
        "007,2024-05-30T23:59:59,50,,\n007,2024-05-31T00:00:00,51,,\n007,2024-05-31T08:00:00,52,,\n"
    )
    history = pairing(tmp_path, one, table=table).history(one)
    assert value(history, "age") == 50.0
    assert history.n_after_scan == 2
    assert IssueCode.TIME_COARSE in codes(history)


def test_a_study_without_an_id_is_paired_with_nothing(tmp_path: Path) -> None:
    one = study("")
    history = pairing(tmp_path, one, table=",2024-01-01,50,,\n").history(one)
    assert history.is_empty
    assert IssueCode.PATIENT_UNKNOWN in codes(history)


def test_no_message_names_a_patient(tmp_path: Path) -> None:
    one = study("SMITH-1970", sex="M", birth_year=1970)
    table = "SMITH1970,,,,F\nSMITH-1970,,,1980,F\n"
    history = pairing(tmp_path, one, table=table).history(one)
    assert not any(
        word in issue.message for issue in history.issues for word in ("SMITH", "1970", "1980")
    )


@given(st.text())
def test_normalising_twice_changes_nothing(identifier: str) -> None:
    once = normalised(identifier)
    assert normalised(once) == once


@given(st.lists(st.text(min_size=1, max_size=4), max_size=6), st.text(min_size=1, max_size=4))
def test_an_id_is_never_its_own_other_spelling(ids: list[str], one: str) -> None:
    assert one not in identifiers_of(ids, ids, [*ids, one]).others(one)

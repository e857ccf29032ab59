"""Who a study is of and how well its time is known, from headers on disk."""

from pathlib import Path

import pydicom
import pytest

from pipeline.ingest import discover
from schemas.issue import IssueCode, Severity
from tests.factories import put, write_ball

TIMES = dict.fromkeys(
    f"{event}{part}"
    for event in ("Acquisition", "Series", "Study", "Content")
    for part in ("Date", "Time")
)


def test_a_study_says_sex_birth_year_and_issuer(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    put(paths, PatientSex="F", PatientBirthDate="19700229", IssuerOfPatientID="NORTH")
    (study,) = discover(tmp_path).studies
    assert (study.sex, study.birth_year, study.issuer) == ("F", 1970, "NORTH")


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientSex", "X"), ("PatientBirthDate", "unknown")]
)
def test_what_cannot_be_a_sex_or_a_date_is_unknown(
    keyword: str, value: str, tmp_path: Path
) -> None:
    with pydicom.config.disable_value_validation():
        put(write_ball(tmp_path), PatientSex="", PatientBirthDate="", **{})
        put(list(tmp_path.iterdir()), **{keyword: value})
    (study,) = discover(tmp_path).studies
    assert (study.sex, study.birth_year) == ("", None)


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientSex", "M"), ("IssuerOfPatientID", "SOUTH")]
)
def test_files_of_one_study_that_name_two_persons_refuse_it(
    keyword: str, value: str, tmp_path: Path
) -> None:
    paths = write_ball(tmp_path)
    put(paths, PatientSex="F", IssuerOfPatientID="NORTH")
    put(paths[:1], **{keyword: value})
    (study,) = discover(tmp_path).studies
    assert IssueCode.IDENTITY_CONFLICT in {issue.code for issue in study.issues}


@pytest.mark.parametrize(
    ("born", "severity"), [("19500101", Severity.ERROR), ("19700101", Severity.WARNING)]
)
def test_two_birth_years_in_one_study_are_two_people_two_days_of_one_year_may_be_one(
    born: str, severity: Severity, tmp_path: Path
) -> None:
    put(write_ball(tmp_path / "one"), PatientBirthDate="19700229")
    put(write_ball(tmp_path / "other", series_uid="1.2.9"), PatientBirthDate=born)
    (study,) = discover(tmp_path).studies
    found = {issue.severity for issue in study.issues if issue.code is IssueCode.IDENTITY_CONFLICT}
    assert found == {severity}
    assert [one.is_usable for one in study.series] == [severity is Severity.WARNING] * 2


@pytest.mark.parametrize(
    ("values", "minutes"),
    [
        pytest.param({"TimezoneOffsetFromUTC": "+0530"}, 330, id="element"),
        pytest.param({"TimezoneOffsetFromUTC": "-0800"}, -480, id="west"),
        pytest.param({"AcquisitionDateTime": "20210304090507.25-0300"}, -180, id="suffix"),
        pytest.param(
            {"AcquisitionDateTime": "20210304090507+0100", "TimezoneOffsetFromUTC": "+0200"},
            60,
            id="suffix-wins",
        ),
        pytest.param({"TimezoneOffsetFromUTC": "+1900"}, None, id="no such zone"),
        pytest.param({}, None, id="not stated"),
    ],
)
def test_the_offset_from_utc_is_read(
    values: dict[str, str], minutes: int | None, tmp_path: Path
) -> None:
    with pydicom.config.disable_value_validation():
        put(write_ball(tmp_path), **values)
    (study,) = discover(tmp_path).studies
    assert study.utc_offset_minutes == minutes
    assert study.acquired_at is not None
    assert study.acquired_at.isoformat()[:19] == "2021-03-04T09:05:07"


def test_a_study_says_when_only_its_day_is_known(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    (study,) = discover(tmp_path).studies
    assert not study.is_day_only
    present = {name for name in TIMES if name in pydicom.dcmread(paths[0])}
    put(paths, **dict.fromkeys(present - {"StudyDate"}))
    (study,) = discover(tmp_path).studies
    assert study.is_day_only

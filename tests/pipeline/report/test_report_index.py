import csv
import re

import pytest
from report_examples import UNLIKE, issue, report, risk, withheld_report, withheld_risk
from test_report_page import Page

from pipeline.report.index import (
    COLUMNS,
    from_spreadsheet_safe,
    spreadsheet_safe,
    write_index,
    write_predictions_csv,
)
from schemas.issue import IssueCode, Severity
from schemas.series import SkippedFile


def study(uid, *probabilities, **changes):
    tasks = ("mass", "edema")
    risks = [
        withheld_risk(task) if probability is None else risk(task=task, probability=probability)
        for task, probability in zip(tasks, probabilities, strict=False)
    ]
    return report(*risks, study_uid=uid, **{"patient_id": f"P{uid}"} | changes)


def refused(uid):
    reason = issue(IssueCode.GEOMETRY_IRREGULAR, Severity.ERROR, "Slices are missing.")
    made = report(study_uid=uid, patient_id=f"P{uid}", status="refused", issues=(reason,))
    return made.model_copy(update={"risks": ()})


def index_of(out, reports, **options):
    write_index(out, reports, title="Batch of 14 March", **options)
    return (out / "index.html").read_text("utf-8")


def rows_of(out, reports):
    write_predictions_csv(out, reports)
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_highest_risk_over_all_tasks_comes_first(tmp_path):
    reports = [study("1", 0.2, 0.1), study("2", 0.3, None), study("3", 0.05, 0.9)]
    html = index_of(tmp_path, reports)
    assert re.findall(r'href="studies/(\d)/report.html"', html) == ["3", "2", "1"]


def test_withheld_studies_come_after_and_refused_ones_last_with_their_reasons(tmp_path):
    withheld = withheld_report(study_uid="8", patient_id="P8")
    text = Page(index_of(tmp_path, [refused("9"), withheld, study("1", 0.01)])).text
    order = ["P1", "Withheld", "P8", UNLIKE.message, "Refused", "P9", "Slices are missing."]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_the_summary_counts_every_study_and_the_skipped_files_by_reason(tmp_path):
    skipped = [
        SkippedFile(file=f"{code}{i}", issue=issue(code))
        for code, n in ((IssueCode.FILE_NOT_DICOM, 3), (IssueCode.FILE_DUPLICATE, 1))
        for i in range(n)
    ]
    reports = [study("1", 0.2), withheld_report(study_uid="8"), refused("9")]
    text = Page(index_of(tmp_path, reports, n_reused=2, left_out=skipped)).text
    assert "3 studies: 1 assessed, 1 withheld, 1 refused. 2 were unchanged" in text
    assert "4 files were skipped: 3 \u00d7 file-not-dicom 1 \u00d7 file-duplicate" in text
    assert "file-not-dicom0" not in text


def test_a_study_without_one_of_the_results_says_so(tmp_path):
    text = Page(index_of(tmp_path, [study("1", 0.2, 0.1), study("2", 0.3, None)])).text
    assert "no result" in text


def test_the_worst_issue_of_a_study_is_shown(tmp_path):
    issues = (issue(), issue(IssueCode.PIXELS_LOSSY, Severity.WARNING, "Lossy."), issue())
    text = Page(index_of(tmp_path, [study("1", 0.2, issues=issues)])).text
    assert "warning Lossy." in text


def test_an_empty_batch_has_an_index(tmp_path):
    assert "No study has a result." in Page(index_of(tmp_path, [])).text


def test_an_index_leads_nowhere_but_to_its_own_files(tmp_path):
    page = Page(index_of(tmp_path, [study("../../etc", 0.2), study("1", 0.1)]))
    assert page.addresses == [
        "studies/%252E.%252F..%252Fetc/report.html",
        "studies/1/report.html",
        "predictions.csv",
    ]


def test_hostile_text_in_an_index_stays_text(tmp_path):
    html = index_of(tmp_path, [study("1", 0.1, patient_id="<img src=x onerror=alert(1)>")])
    assert "<img" not in html


def test_an_index_is_written_whole_or_not_at_all(tmp_path):
    index_of(tmp_path, [study("1", 0.1)])
    before = (tmp_path / "index.html").read_bytes()
    with pytest.raises(AttributeError):
        write_index(tmp_path, ["not a report"], title="x")
    assert (tmp_path / "index.html").read_bytes() == before
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_predictions_have_the_promised_columns_and_a_row_a_task(tmp_path):
    issues = (issue(), issue(IssueCode.PIXELS_LOSSY), issue())
    full = report(risk(lower=0.3, upper=0.5, set=("0", "1")), withheld_risk("edema"), issues=issues)
    rows = rows_of(tmp_path, [full])
    assert tuple(rows[0]) == COLUMNS
    assert [tuple(row.values()) for row in rows] == [
        (
            "1.2.840.99999.1",
            "SIM-0042",
            "mass",
            "",
            repr(risk().probability),
            "0.3",
            "0.5",
            "0 1",
            "assessed",
            "value-missing pixels-lossy",
        ),
        (
            "1.2.840.99999.1",
            "SIM-0042",
            "edema",
            "",
            "",
            "",
            "",
            "",
            "assessed",
            "value-missing pixels-lossy",
        ),
    ]


def test_a_probability_in_the_table_is_exactly_that_of_the_report(tmp_path):
    (row,) = rows_of(tmp_path, [report()])
    assert float(row["probability"]) == risk().probability
    assert (row["lower"], row["upper"], row["set"]) == ("", "", "")
    (row,) = rows_of(tmp_path, [report(risk(set=()))])
    assert row["set"] == "{}"


def test_a_refused_study_has_a_row_and_no_number(tmp_path):
    (row,) = rows_of(tmp_path, [refused("9")])
    assert (row["task"], row["probability"], row["status"]) == ("", "", "refused")
    assert row["issues"] == "geometry-irregular"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-5", "@x", "\tx", "'=1", "''-5"])
def test_an_identifier_that_would_be_a_formula_is_not_one_and_can_be_had_back(tmp_path, text):
    (row,) = rows_of(tmp_path, [report(patient_id=text)])
    assert row["patient_id"] == f"'{text}"
    assert from_spreadsheet_safe(row["patient_id"]) == text


@pytest.mark.parametrize("text", ["SIM-0042", "0012", "'x", "O'Neil", "", "a,b", 'a"b', "a\nb"])
def test_any_other_identifier_is_left_alone(tmp_path, text):
    assert spreadsheet_safe(text) == text
    (row,) = rows_of(tmp_path, [report(patient_id=text)])
    assert from_spreadsheet_safe(row["patient_id"]) == text

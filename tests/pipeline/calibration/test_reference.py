from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from pipeline.calibration import (
    Reference,
    Summary,
    fit_reference,
    fit_space,
    outside_reference,
    unseen_body_parts,
    unseen_scanner,
)
from pipeline.errors import CalibrationError
from schemas.issue import Issue, IssueCode, Severity

RANDOM = np.random.default_rng(0)
IMAGES, HISTORIES = RANDOM.normal(size=(200, 5)), RANDOM.normal(size=(200, 3))
IMAGE, HISTORY = fit_space(IMAGES, IMAGES), fit_space(HISTORIES, HISTORIES)
NOTHING = Summary(image=None, history=None)


def reference(*quantities: Mapping[str, float]) -> Reference:
    return fit_reference(IMAGE, HISTORY, quantities)


def said(
    known: Reference, summary: Summary, quantities: Mapping[str, float] | None = None
) -> list[Issue]:
    return outside_reference(known, summary, quantities or {}, severity=Severity.ERROR)


def test_a_case_like_the_training_cases_is_let_through_and_a_far_one_is_not() -> None:
    known = reference({"spacing": 2.0}, {"spacing": 4.0})
    assert said(known, Summary(np.zeros(5), np.zeros(3)), {"spacing": 3.0}) == []
    far = said(known, Summary(np.full(5, 9.0), np.zeros(3)), {"spacing": 9.0})
    assert len(far) == 2
    assert all("outside what the bundle was trained on" in issue.message for issue in far)


def test_a_far_history_is_flagged_by_itself_and_a_missing_one_is_not() -> None:
    (issue,) = said(reference(), Summary(np.zeros(5), np.full(3, 9.0)))
    assert (issue.code, issue.severity) == (IssueCode.OUT_OF_DISTRIBUTION, Severity.ERROR)
    assert "features of the history lie at" in issue.message
    assert said(reference(), Summary(np.zeros(5), None)) == []
    assert said(reference(), NOTHING) == []


def test_a_history_of_other_modalities_than_usual_is_not_compared() -> None:
    known = replace(reference(), history_of=("notes", "table"))
    far = np.full(3, 9.0)
    (issue,) = said(known, Summary(np.zeros(5), far, ("table",)))
    assert issue.severity is Severity.INFO
    assert "most training cases had notes and table" in issue.message
    assert len(said(known, Summary(np.zeros(5), far, ("notes", "table")))) == 1


def test_few_of_the_held_out_cases_lie_beyond_the_limit() -> None:
    assert HISTORY is not None
    assert (HISTORY.distance(HISTORIES) > HISTORY.limit).mean() == pytest.approx(0.005)


def test_where_too_few_had_a_history_it_says_that_there_is_nothing_to_compare() -> None:
    assert fit_space(HISTORIES[:19], HISTORIES) is None
    known = fit_reference(IMAGE, None, [])
    (issue,) = said(known, Summary(np.zeros(5), np.full(3, 9.0)))
    assert issue.severity is Severity.INFO
    assert "cannot be compared" in issue.message
    assert said(known, Summary(np.zeros(5), None)) == []


def test_a_quantity_that_never_varied_has_some_slack_and_a_new_one_is_flagged() -> None:
    known = reference({"spacing": 1.0}, {"spacing": 1.0})
    assert not said(known, NOTHING, {"spacing": 1.0000003})
    assert said(known, NOTHING, {"spacing": 1.02})
    assert said(known, NOTHING, {"crp": 250.0})


def test_a_distance_that_is_not_a_number_counts_as_far() -> None:
    assert len(said(reference(), Summary(np.full(5, np.nan), np.full(3, np.nan)))) == 2


def test_a_reference_of_few_images_is_refused() -> None:
    with pytest.raises(CalibrationError, match="larger cohort"):
        fit_reference(fit_space(IMAGES, IMAGES[:19]), HISTORY, [])


def test_a_scanner_that_no_training_case_came_from_is_named() -> None:
    scanners = ["Acme One", "", "Acme Two", "Acme One"]
    known = fit_reference(IMAGE, HISTORY, [], scanners=scanners)
    assert known.scanners == ("Acme One", "Acme Two")
    assert unseen_scanner(known, "Acme One", severity=Severity.ERROR) == []
    (issue,) = unseen_scanner(known, "Other Three", severity=Severity.ERROR)
    assert (issue.code, issue.severity) == (IssueCode.SCANNER_UNSEEN, Severity.ERROR)
    assert "'Other Three'" in issue.message
    (issue,) = unseen_scanner(known, "", severity=Severity.ERROR)
    assert (issue.severity, "does not name" in issue.message) == (Severity.INFO, True)


def test_where_no_training_case_named_its_scanner_there_is_nothing_to_compare() -> None:
    known = fit_reference(IMAGE, HISTORY, [], scanners=["", ""])
    assert unseen_scanner(known, "Other Three", severity=Severity.ERROR) == []


def test_a_body_part_that_no_training_case_had_is_named() -> None:
    known = fit_reference(IMAGE, HISTORY, [], body_parts=["HEAD", "BRAIN", "HEAD"])
    assert known.body_parts == ("BRAIN", "HEAD")
    assert unseen_body_parts(known, ["HEAD"], severity=Severity.WARNING) == []
    (issue,) = unseen_body_parts(known, ["CHEST", "HEAD"], severity=Severity.WARNING)
    assert (issue.code, issue.severity) == (IssueCode.BODY_PART_UNSEEN, Severity.WARNING)
    assert "'CHEST'" in issue.message
    (issue,) = unseen_body_parts(known, [], severity=Severity.ERROR)
    assert (issue.severity, "no header states" in issue.message) == (Severity.INFO, True)


def test_where_no_training_case_stated_its_body_part_there_is_nothing_to_compare() -> None:
    assert unseen_body_parts(reference(), ["CHEST"], severity=Severity.ERROR) == []

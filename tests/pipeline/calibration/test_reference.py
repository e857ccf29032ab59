import numpy as np
import pytest

from pipeline.calibration import fit_reference, outside_reference, unseen_scanner
from pipeline.errors import CalibrationError
from schemas.issue import IssueCode, Severity

RANDOM = np.random.default_rng(0)


def test_a_case_like_the_training_cases_is_let_through_and_a_far_one_is_not() -> None:
    train, held_out = RANDOM.normal(size=(200, 5)), RANDOM.normal(size=(100, 5))
    reference = fit_reference(train, held_out, [{"spacing": 2.0}, {"spacing": 4.0}])
    assert outside_reference(
        reference, np.zeros(5), {"spacing": 3.0}, severity=Severity.ERROR
    ) == []  # fmt: skip
    far = outside_reference(reference, np.full(5, 9.0), {"spacing": 9.0}, severity=Severity.ERROR)
    assert len(far) == 2
    assert all("outside what the bundle was trained on" in issue.message for issue in far)


def test_a_quantity_that_never_varied_has_some_slack_and_a_new_one_is_flagged() -> None:
    train = RANDOM.normal(size=(50, 3))
    reference = fit_reference(train, train, [{"spacing": 1.0}, {"spacing": 1.0}])

    def flagged(quantities: dict[str, float]) -> bool:
        return bool(outside_reference(reference, None, quantities, severity=Severity.ERROR))

    assert not flagged({"spacing": 1.0000003})
    assert flagged({"spacing": 1.02})
    assert flagged({"crp": 250.0})


def test_a_distance_that_is_not_a_number_counts_as_far() -> None:
    reference = fit_reference(RANDOM.normal(size=(50, 3)), RANDOM.normal(size=(50, 3)), [])
    assert outside_reference(reference, np.full(3, np.nan), {}, severity=Severity.WARNING)


def test_a_reference_of_few_cases_is_refused() -> None:
    with pytest.raises(CalibrationError, match="larger cohort"):
        fit_reference(np.zeros((5, 3)), np.zeros((5, 3)), [])


def test_a_scanner_that_no_training_case_came_from_is_named() -> None:
    train = RANDOM.normal(size=(50, 3))
    reference = fit_reference(train, train, [], ["Acme One", "", "Acme Two", "Acme One"])
    assert reference.scanners == ("Acme One", "Acme Two")
    assert unseen_scanner(reference, "Acme One", severity=Severity.ERROR) == []
    (issue,) = unseen_scanner(reference, "Other Three", severity=Severity.ERROR)
    assert (issue.code, issue.severity) == (IssueCode.SCANNER_UNSEEN, Severity.ERROR)
    assert "'Other Three'" in issue.message
    (issue,) = unseen_scanner(reference, "", severity=Severity.ERROR)
    assert (issue.severity, "does not name" in issue.message) == (Severity.INFO, True)


def test_where_no_training_case_named_its_scanner_there_is_nothing_to_compare() -> None:
    train = RANDOM.normal(size=(50, 3))
    reference = fit_reference(train, train, [], ["", ""])
    assert unseen_scanner(reference, "Other Three", severity=Severity.ERROR) == []

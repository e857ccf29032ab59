import numpy as np
import pytest

from pipeline.calibration import (
    fit_reference,
    fit_temperature,
    judge,
    outside_reference,
    to_probability,
)
from pipeline.errors import CalibrationError
from schemas.issue import Severity

RANDOM = np.random.default_rng(0)


def drawn(n: int, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true log-odds, and a score that overstates them by 1/slope."""
    random = np.random.default_rng(1)
    true_logit = random.normal(-1.0, 1.5, n)
    labels = (random.random(n) < 1 / (1 + np.exp(-true_logit))).astype(np.int64)
    return true_logit / slope, labels


def test_temperature_finds_the_slope_of_an_overconfident_score() -> None:
    logits, labels = drawn(20_000, slope=0.5)
    # Standard error of the slope is about 0.01 at this size.
    assert fit_temperature(logits, labels, task="t").slope == pytest.approx(0.5, abs=0.03)


def test_temperature_keeps_the_ranking() -> None:
    logits, labels = drawn(500, slope=0.5)
    probability = to_probability(fit_temperature(logits, labels, task="t"), logits)
    assert np.array_equal(np.argsort(probability), np.argsort(logits))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        pytest.param(np.zeros(50), np.zeros(50), "each class needs", id="one class"),
        pytest.param(np.full(50, np.nan), np.arange(50) % 2, "not finite", id="nan"),
        pytest.param(-5.0 * (np.arange(50) % 2), np.arange(50) % 2, "rank", id="reversed"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    logits: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        fit_temperature(logits, labels, task="t")


def test_the_interval_of_a_chance_score_holds_one_half() -> None:
    labels = (np.arange(400) % 4 == 0).astype(np.int64)
    logits = np.random.default_rng(2).normal(size=400)
    calibrator = fit_temperature(*drawn(200, 1.0), task="t")
    patients = np.arange(400).astype(str)
    metrics = judge(calibrator, logits, labels, patients, train_prevalence=0.25)
    assert metrics.auroc.lower < 0.5 < metrics.auroc.upper
    # -0.25 ln 0.25 - 0.75 ln 0.75 = 0.5623
    assert metrics.prevalence_log_loss == pytest.approx(0.5623, abs=1e-4)


def test_repeating_each_patient_does_not_narrow_the_interval() -> None:
    logits, labels = drawn(100, 1.0)
    calibrator = fit_temperature(logits, labels, task="t")
    patients = np.arange(100).astype(str)
    once = judge(calibrator, logits, labels, patients, train_prevalence=0.3)
    twice = judge(
        calibrator, np.tile(logits, 4), np.tile(labels, 4), np.tile(patients, 4),
        train_prevalence=0.3,
    )  # fmt: skip
    width, width_of_copies = (m.auroc.upper - m.auroc.lower for m in (once, twice))
    assert width_of_copies == pytest.approx(width, rel=0.05)


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

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from pipeline.calibration import Answers, judge
from pipeline.calibration import statistics as weighted
from pipeline.calibration.reliability import binomial_bounds, reliability
from pipeline.errors import CalibrationError
from tests.pipeline.calibration.drawn import drawn


def answers(n: int, *, seed: int = 1, copies: int = 1) -> Answers:
    logits, labels, _ = drawn(n, seed=seed)
    p = 1 / (1 + np.exp(-np.tile(logits, copies)))
    y = np.tile(labels, copies).astype(np.float64)
    patients = np.tile(np.arange(n).astype(str), copies)
    sets = tuple(("0",) if x < 0.4 else ("0", "1") for x in p)
    return Answers(p, p, y, patients, sets)


def test_weighted_statistics_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    p = np.round(random.random(200), 2)  # ties
    y = (random.random(200) < p).astype(np.float64)
    weights = random.integers(0, 4, (3, 200)).astype(np.float64)
    theirs = {
        weighted.auroc: roc_auc_score,
        weighted.auprc: average_precision_score,
        weighted.brier: brier_score_loss,
    }
    for ours, function in theirs.items():
        expected = [function(y, p, sample_weight=w) for w in weights]
        assert ours(y, p, weights) == pytest.approx(expected), function.__name__
    inner = np.clip(p, 1e-12, 1 - 1e-12)
    expected = [log_loss(y, inner, sample_weight=w) for w in weights]
    assert weighted.log_loss(y, p, weights) == pytest.approx(expected)


def test_slope_and_intercept_agree_with_logistic_regression() -> None:
    logits, labels, _ = drawn(400, slope=0.5, shift=0.4)
    p = 1 / (1 + np.exp(-logits))
    line = LogisticRegression(C=np.inf, tol=1e-8).fit(logits[:, None], labels)
    once = np.ones((1, 400))
    y = labels.astype(np.float64)
    assert weighted.calibration_slope(y, p, once)[0] == pytest.approx(line.coef_[0, 0], abs=1e-4)
    shift = weighted.calibration_intercept(y, p, once)[0]
    assert (1 / (1 + np.exp(-(logits + shift)))).mean() == pytest.approx(labels.mean())


def test_true_probabilities_are_judged_calibrated() -> None:
    metrics = judge("t", answers(4000), train_prevalence=0.3)
    whole = metrics.whole
    for interval, right in (
        (whole.slope, 1.0), (whole.intercept, 0.0), (whole.observed_to_expected, 1.0)
    ):  # fmt: skip
        assert interval is not None
        assert interval.lower < right < interval.upper
    assert whole.reliability is not None
    assert whole.reliability.ece <= whole.reliability.ece_limit
    assert whole.reliability.spiegelhalter_p > 0.01


def test_an_overconfident_score_is_found_out() -> None:
    right = answers(4000)
    odds = np.log(right.probability / (1 - right.probability))
    wrong = Answers(1 / (1 + np.exp(-2 * odds)), right.raw_probability, right.labels,
                    right.patients, right.sets)  # fmt: skip
    whole = judge("t", wrong, train_prevalence=0.3).whole
    assert whole.slope is not None
    assert whole.slope.upper < 0.6
    assert whole.reliability is not None
    assert whole.reliability.ece > whole.reliability.ece_limit
    assert whole.reliability.spiegelhalter_p < 1e-6
    assert whole.reliability.debiased_error > 0.05


def test_the_expected_error_of_a_perfect_model_falls_with_the_number_of_cases() -> None:
    few, many = (reliability(answers(n).labels, answers(n).probability) for n in (200, 5000))
    assert few is not None
    assert many is not None
    # Chance alone shrinks as one over the root of the cases: sqrt(25) = 5.
    ratio = few.ece_of_a_perfect_model / many.ece_of_a_perfect_model
    assert ratio == pytest.approx(5.0, rel=0.15)


def test_the_order_of_cases_with_equal_probabilities_does_not_matter() -> None:
    random = np.random.default_rng(0)
    probability = random.choice([0.1, 0.3, 0.6], 1000)
    labels = (random.random(1000) < probability).astype(float)
    as_drawn = reliability(labels, probability)
    order = np.argsort(labels, kind="stable")
    in_order = reliability(labels[order], probability[order])
    assert as_drawn is not None
    assert in_order is not None
    assert max(as_drawn.ece, in_order.ece) < as_drawn.ece_limit


def test_brier_parts_add_up_where_probabilities_are_the_same_in_a_bin() -> None:
    p = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9, 0.2, 0.4, 0.6, 0.8, 0.05], 40)
    y = (np.random.default_rng(0).random(400) < p).astype(np.float64)
    found = reliability(y, p)
    assert found is not None
    total = (
        found.brier_uncertainty - found.brier_discrimination + found.brier_miscalibration
    )  # fmt: skip
    assert total == pytest.approx(((p - y) ** 2).mean(), abs=1e-9)


def test_the_interval_of_a_chance_score_holds_one_half() -> None:
    random = np.random.default_rng(2)
    p, y = random.random(400), (np.arange(400) % 4 == 0).astype(np.float64)
    told = Answers(p, p, y, np.arange(400).astype(str), (None,) * 400)
    metrics = judge("t", told, train_prevalence=0.25)
    assert metrics.whole.auroc is not None
    assert metrics.whole.auroc.lower < 0.5 < metrics.whole.auroc.upper
    assert metrics.whole.conformal is None
    # -0.25 ln 0.25 - 0.75 ln 0.75 = 0.5623
    assert metrics.prevalence_log_loss == pytest.approx(0.5623, abs=1e-4)


def test_repeating_each_patient_does_not_narrow_the_interval() -> None:
    widths = []
    for copies in (1, 4):
        auroc = judge("t", answers(150, copies=copies), train_prevalence=0.3).whole.auroc
        assert auroc is not None
        widths.append(auroc.upper - auroc.lower)
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_groups_are_judged_apart_and_tiny_ones_left_out() -> None:
    flags = {"large": np.arange(200) < 80, "tiny": np.arange(200) < 5}
    metrics = judge("t", answers(200), train_prevalence=0.3, groups=flags)
    assert [group.group for group in metrics.groups] == ["large"]
    assert metrics.groups[0].n_cases == 80


def test_one_class_alone_is_refused() -> None:
    told = answers(100)
    with pytest.raises(CalibrationError, match="one class"):
        judge("t", told.chosen(told.labels == 0), train_prevalence=0.3)


def test_net_benefit_of_a_useful_model_lies_above_both_defaults() -> None:
    curve = judge("t", answers(4000), train_prevalence=0.3).whole.net_benefit
    at = next(point for point in curve if point.threshold == 0.3)
    assert at.model > max(at.all, 0.0)


def test_binomial_bounds_are_exact_at_the_ends() -> None:
    # No event in 10: the upper bound solves (1 - p)**10 = 0.025.
    assert binomial_bounds(0, 10) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)))
    assert binomial_bounds(10, 10)[1] == 1.0

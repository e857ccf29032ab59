import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from pipeline.calibration import MODALITIES, Group, label_set, thresholds_of, with_thresholds
from pipeline.calibration.conformal import fit_conformal
from pipeline.calibration.operating import fit_operating_point, judge_operating_points
from schemas.calibration import (
    CalibrationMap,
    Calibrator,
    GroupThresholds,
    OperatingPoint,
    SubsetThresholds,
)
from tests.pipeline.calibration.drawn import drawn

BARE = Calibrator(task="t", map=CalibrationMap(method="temperature"), n_cases=300, n_events=90)


def test_the_threshold_is_the_finite_sample_quantile() -> None:
    p = np.concatenate([np.full(9, 0.1), np.arange(1, 10) / 10])
    labels = np.repeat([0, 1], 9)
    found = fit_conformal(p, labels, coverage=0.9)
    assert found is not None
    # k = ceil(10 * 0.9) = 9: the largest of nine scores, that of the positive with p = 0.1.
    assert found.positive == pytest.approx(0.1)
    assert found.negative == pytest.approx(0.9)


def test_too_few_of_a_class_rule_nothing_out() -> None:
    assert fit_conformal(np.linspace(0, 1, 16), np.repeat([0, 1], 8), coverage=0.9) is None
    assert label_set(None, 0.3) is None


def test_both_classes_are_covered_on_average_over_calibration_sets() -> None:
    coverage = []
    for seed in range(200):
        logits, labels, _ = drawn(120, seed=seed)
        new, truth, _ = drawn(120, seed=10_000 + seed)
        p, q = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-new))
        found = fit_conformal(p, labels, coverage=0.9)
        assert found is not None
        held = np.array([str(y) in label_set(found, x) for y, x in zip(truth, q, strict=True)])
        coverage.append([held[truth == label].mean() for label in (0, 1)])
    # 200 sets of about 40 positives: the mean has a standard error of about 0.006.
    negatives, positives = np.mean(coverage, axis=0)
    assert 0.885 < negatives < 0.94
    assert 0.885 < positives < 0.94


def test_cases_without_an_image_are_covered_by_thresholds_of_their_own() -> None:
    coverage = []
    for seed in range(100):
        logits, labels, _ = drawn(300, seed=seed)
        new, truth, _ = drawn(300, seed=10_000 + seed)
        p = expit(logits)
        # Without the image the score lies closer together and higher; half cannot be read so.
        alone = np.where(np.arange(300) < 150, expit(logits / 2 + 1), np.nan)
        calibrator = with_thresholds(BARE, p, labels, (), {("notes", "table"): alone})
        found = thresholds_of(calibrator, ("table", "notes"), None)
        assert isinstance(found, SubsetThresholds)
        assert found.n_negative + found.n_positive == 150
        assert thresholds_of(calibrator, MODALITIES, None) == calibrator.conformal
        said = expit(new / 2 + 1)
        held = [str(y) in label_set(found, x) for y, x in zip(truth, said, strict=True)]
        common = [
            str(y) in label_set(calibrator.conformal, x) for y, x in zip(truth, said, strict=True)
        ]
        coverage.append([np.array(one)[truth == label].mean() for one in (held, common)
                         for label in (0, 1)])  # fmt: skip
    negatives, positives, *common_ones = np.mean(coverage, axis=0)
    assert 0.885 < negatives < 0.94
    assert 0.885 < positives < 0.94
    assert min(common_ones) < 0.87


def test_a_group_whose_scores_are_too_low_is_covered_by_thresholds_of_its_own() -> None:
    coverage = []
    for seed in range(100):
        logits, labels, _ = drawn(400, seed=seed)
        new, truth, _ = drawn(400, seed=10_000 + seed)
        is_low = np.arange(400) < 150
        p, q = (expit(score - 1.5 * is_low) for score in (logits, new))
        groups = [Group("True", "Earlier cancer: True", is_low)]
        calibrator = with_thresholds(BARE, p, labels, (), {}, groups)
        found = thresholds_of(calibrator, MODALITIES, "True")
        assert isinstance(found, GroupThresholds)
        assert found.n_negative + found.n_positive == 150
        for other in (("notes", "table"), MODALITIES):
            value = "True" if other != MODALITIES else "False"
            assert thresholds_of(calibrator, other, value) == calibrator.conformal
        positives = is_low & (truth == 1)
        coverage.append(
            [
                np.mean(["1" in label_set(one, x) for x in q[positives]])
                for one in (found, calibrator.conformal)
            ]
        )
    own, common = np.mean(coverage, axis=0)
    assert 0.885 < own < 0.95
    assert common < 0.87


def test_a_group_with_too_few_of_a_class_has_the_common_thresholds() -> None:
    logits, labels, _ = drawn(300)
    groups = [Group("True", "Earlier cancer: True", np.arange(300) < 12)]
    calibrator = with_thresholds(BARE, expit(logits), labels, (), {}, groups)
    assert calibrator.conformal_groups == ()
    assert thresholds_of(calibrator, MODALITIES, "True") == calibrator.conformal


def test_a_subset_with_too_few_cases_has_the_common_thresholds() -> None:
    logits, labels, _ = drawn(300)
    alone = np.where(np.arange(300) < 12, expit(logits), np.nan)
    calibrator = with_thresholds(BARE, expit(logits), labels, (), {("notes",): alone})
    assert calibrator.conformal_apart == ()
    assert thresholds_of(calibrator, ("notes",), None) == calibrator.conformal


def test_a_set_is_empty_where_few_cases_of_either_answer_have_such_a_probability() -> None:
    found = fit_conformal(
        np.concatenate([np.full(20, 0.01), np.full(20, 0.99)]), np.repeat([0, 1], 20), coverage=0.8
    )
    assert label_set(found, 0.6) == label_set(found, 0.4) == ()
    assert (label_set(found, 0.995), label_set(found, 0.005)) == (("1",), ("0",))


def test_sets_of_a_score_that_tells_all_apart_hold_no_more_than_promised() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=4000)
    p = expit(6.0 * (2 * labels - 1) + random.normal(size=4000))
    found = fit_conformal(p[:2000], labels[:2000], coverage=0.9)
    held = [
        str(y) in (label_set(found, x) or ()) for y, x in zip(labels[2000:], p[2000:], strict=True)
    ]
    assert 0.87 < np.mean(held) < 0.93


def test_a_guaranteed_sensitivity_fails_no_more_often_than_said() -> None:
    failures = 0
    for seed in range(300):
        logits, labels, _ = drawn(300, seed=seed)
        p = 1 / (1 + np.exp(-logits))
        point = fit_operating_point(
            p, labels, goal="sensitivity", at_least=0.9, confidence=0.9
        )  # fmt: skip
        assert point.threshold is not None
        many, truth, _ = drawn(20_000, seed=7)
        q = 1 / (1 + np.exp(-many))
        failures += (q[truth == 1] >= point.threshold).mean() < 0.9
    assert failures <= binom.ppf(0.999, 300, 0.1)


def test_a_ppv_threshold_holds_on_new_patients_and_is_none_where_it_cannot_be() -> None:
    logits, labels, _ = drawn(2000)
    p = 1 / (1 + np.exp(-logits))
    point = fit_operating_point(p, labels, goal="ppv", at_least=0.7, confidence=0.95)
    assert point.threshold is not None
    many, truth, _ = drawn(50_000, seed=7)
    assert truth[1 / (1 + np.exp(-many)) >= point.threshold].mean() >= 0.7
    few = fit_operating_point(p[:20], labels[:20], goal="ppv", at_least=0.9, confidence=0.95)
    assert few.threshold is None


def test_thresholds_are_judged_by_those_they_speak_of() -> None:
    p, labels = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0, 1, 0, 1])
    common = {"at_least": 0.9, "confidence": 0.9, "n_cases": 9, "n_events": 3}
    points = [
        OperatingPoint(goal="sensitivity", threshold=0.4, **common),
        OperatingPoint(goal="ppv", threshold=0.4, **common),
        OperatingPoint(goal="ppv", threshold=0.95, **common),  # nobody is called
        OperatingPoint(goal="ppv", threshold=None, **common),
    ]
    found = judge_operating_points(points, p, labels)
    assert [(one.goal, one.n_right, one.n_cases) for one in found] == [
        ("sensitivity", 2, 2),
        ("ppv", 2, 3),
    ]

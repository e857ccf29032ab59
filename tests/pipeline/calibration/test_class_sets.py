import numpy as np
import pytest
from scipy.stats import beta
from step_cases import GRADE, KIND, drawn_labels, true_steps

from pipeline.calibration import class_set, fit_class_sets, thresholds_of, with_class_sets
from pipeline.calibration.steps import outcome_probabilities
from schemas.calibration import ClassThresholds, StepCalibrator, StepMap


def test_the_threshold_of_a_class_is_the_finite_sample_rank_of_its_own_cases():
    # Nine cases of each class: k = ceil(10 x 0.9) = 9, the least probable of them.
    own = np.linspace(0.1, 0.9, 9)
    probability = np.zeros((27, 3))
    labels = np.repeat([0, 1, 2], 9)
    probability[np.arange(27), labels] = np.tile(own, 3)
    found = fit_class_sets(probability, labels, coverage=0.9)
    assert found is not None
    assert found.least == pytest.approx((0.1, 0.1, 0.1))
    assert found.n_cases == (9, 9, 9)


def test_a_class_with_too_few_cases_is_never_ruled_out_and_none_at_all_give_no_sets():
    probability = np.tile([0.7, 0.2, 0.1], (23, 1))
    found = fit_class_sets(probability, np.repeat([0, 1], [15, 8]), coverage=0.9)
    assert found is not None
    assert found.least == pytest.approx((0.7, 0.0, 0.0))
    assert class_set(KIND, found, np.array([0.99, 0.01, 0.0])) == ("none", "left", "right")
    assert fit_class_sets(probability[:9], np.repeat([0, 1, 2], 3), coverage=0.9) is None


@pytest.mark.parametrize("task", [KIND, GRADE], ids=lambda task: task.kind)
def test_new_cases_of_every_class_are_covered(task):
    steps = true_steps(task, 9000)
    truth = outcome_probabilities(task.kind, steps)
    # Wrong on purpose: coverage may not depend on calibration.
    said = outcome_probabilities(task.kind, 2.5 * steps)
    labels = drawn_labels(task, steps, truth)[:, 0]
    found = fit_class_sets(said[:3000], labels[:3000], coverage=0.9)
    assert found is not None
    for number, name in enumerate(task.classes):
        own = np.flatnonzero(labels[3000:] == number) + 3000
        held = np.mean([name in class_set(task, found, said[case]) for case in own])
        # Coverage given the thresholds is Beta(k, n + 1 - k); 5 standard errors of the count more.
        n = found.n_cases[number]
        k = int(np.ceil(0.9 * (n + 1)))
        low = beta.ppf(1e-4, k, n + 1 - k) - 5 * np.sqrt(0.09 / len(own))
        assert held >= low


def test_a_set_may_be_empty_and_holds_the_levels_between_two_that_stay():
    strict = ClassThresholds(coverage=0.9, least=(0.9, 0.9, 0.95), n_cases=(9, 9, 9))
    for task in (KIND, GRADE):
        assert class_set(task, strict, np.array([0.2, 0.5, 0.3])) == ()
    wide = ClassThresholds(coverage=0.9, least=(0.3, 0.5, 0.3), n_cases=(9, 9, 9))
    ends = np.array([0.45, 0.1, 0.45])
    assert class_set(GRADE, wide, ends) == ("none", "small", "large")
    assert class_set(KIND, wide, ends) == ("none", "right")
    assert class_set(KIND, None, ends) is None


def test_cases_that_lack_a_modality_are_covered_by_thresholds_of_their_own():
    steps = true_steps(KIND, 9000)
    truth = outcome_probabilities(KIND.kind, steps)
    labels = drawn_labels(KIND, steps, truth)[:, 0]
    # Read without a modality the network says the first class too often; two in three never are.
    faint = outcome_probabilities(KIND.kind, 0.3 * steps + np.array([3.0, 0.0, 0.0]))
    alone = np.where((np.arange(3000) < 1000)[:, None], faint[:3000], np.nan)
    notes, image = ("notes",), ("image",)
    never = np.full_like(alone, np.nan)
    as_it_is = StepMap(method="temperature", slope=1.0, intercepts=(0.0,) * 3)
    plain = StepCalibrator(task="kind", kind="multiclass", map=as_it_is, n_cases=9, n_events=3)
    fitted = with_class_sets(
        plain, truth[:3000], labels[:3000], {notes: alone, image: never}, coverage=0.9
    )
    own = thresholds_of(fitted, notes)
    assert own is not None
    assert sum(own.n_cases) == 1000
    assert thresholds_of(fitted, image) == fitted.conformal
    short = []
    for number, name in enumerate(KIND.classes):
        of = np.flatnonzero(labels[3000:] == number) + 3000
        held, common = (
            np.mean([name in class_set(KIND, found, faint[case]) for case in of])
            for found in (own, fitted.conformal)
        )
        assert held >= 0.86
        short.append(common)
    assert min(short) < 0.85

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pipeline.calibration import Answers, cases_set_on, judge, short_sets
from pipeline.calibration.coverage import chance_of_so_few, held_by_answer
from schemas.doubt import Doubt
from schemas.metrics import Held, TaskMetrics

SET_ON = {group: {"0": 400, "1": 400} for group in ("all", "scanner: A", "scanner: B")}


def judged(n_missed: int) -> TaskMetrics:
    """200 cases of two scanners, half with the outcome; in scanner B so many positives missed."""
    labels = np.tile([0.0, 1.0], 100)
    is_b = np.arange(200) >= 100
    sets = [(str(int(y)),) for y in labels]
    for place in np.flatnonzero(is_b & (labels == 1))[:n_missed]:
        sets[place] = ("0",)
    p = np.where(labels == 1, 0.7, 0.3) + np.linspace(0, 0.01, 200)
    answers = Answers(p, p, labels, np.arange(200).astype(str), tuple(sets))
    groups = {"scanner: A": ~is_b, "scanner: B": is_b}
    return judge("lesion", answers, train_prevalence=0.5, groups=groups)


def test_coverage_is_counted_by_group_and_answer_with_exact_bounds() -> None:
    metrics = judged(20)
    a, b = (group.conformal for group in metrics.groups)
    assert a is not None
    assert b is not None
    assert [(one.answer, one.n_held, one.n_cases) for one in b.held] == [
        ("", 80, 100), ("0", 50, 50), ("1", 30, 50),
    ]  # fmt: skip
    exact = binomtest(30, 50).proportion_ci(method="exact")
    assert (b.held[2].lower, b.held[2].upper) == pytest.approx((exact.low, exact.high))
    assert a.held[2].n_held == 50
    assert b.coverage_positive == 0.6


def test_a_group_whose_sets_hold_less_than_promised_is_named_and_chance_is_not() -> None:
    said = short_sets(judged(20), 0.9, SET_ON)
    # As a whole 80 of 100 positives are held, which chance explains once in 500 times.
    assert binom.cdf(80, 100, 0.9) > 0.001
    words = (
        "scanner: B: the sets hold the truth in 60% of 50 cases of 1 (45% to 74%), 90% were "
        "promised"
    )
    assert said == (Doubt(about="sets", words=words),)
    assert short_sets(judged(8), 0.9, SET_ON) == ()


def test_thresholds_of_a_few_cases_hardly_count_where_few_were_judged_by_them() -> None:
    assert cases_set_on(np.array([[400, 90]] * 7)) == [400, 90]
    mixed = np.array([[300, 317]] * 95 + [[40, 12]] * 5)
    # 1 / (0.95^2 / 317 + 0.05^2 / 12)
    assert cases_set_on(mixed)[1] == 327
    # Of thresholds drawn for both kinds, the coverage of all spreads as if set on so many.
    random = np.random.default_rng(0)
    covered = [random.beta(k, n + 1 - k, 20000) for n, k in ((99, 90), (199, 180))]
    both = 0.7 * covered[0] + 0.3 * covered[1]
    sure = cases_set_on(np.array([[99, 99]] * 7 + [[199, 199]] * 3))[0]
    assert both.std() == pytest.approx(np.sqrt(0.9 * 0.1 / (sure + 2)), rel=0.05)


def test_chance_counts_that_thresholds_were_set_on_few_cases() -> None:
    random = np.random.default_rng(0)
    n_set_on, n_judged, n_worlds = 99, 400, 4000
    least = np.sort(random.random((n_worlds, n_set_on)), axis=1)[:, ::-1][:, 89]
    held = (random.random((n_worlds, n_judged)) >= least[:, None]).sum(1)
    chances = [
        chance_of_so_few(
            Held(answer="1", n_cases=n_judged, n_held=int(n), lower=0.0, upper=1.0), 0.9, n_set_on
        )
        for n in held
    ]
    assert np.mean(np.array(chances) < 0.01) == pytest.approx(0.01, abs=0.006)
    # A plain binomial would name many more of these worlds, which all hold what they promise.
    assert (binom.cdf(held, n_judged, 0.9) < 0.01).mean() > 0.05


def test_an_answer_that_no_case_has_is_not_counted() -> None:
    found = held_by_answer([("a",), ("b",)], ["a", "a"], ["a", "b", "c"])
    assert [(one.answer, one.n_held, one.n_cases) for one in found] == [("", 1, 2), ("a", 1, 2)]


def test_without_sets_there_is_no_coverage() -> None:
    labels = np.tile([0.0, 1.0], 30)
    answers = Answers(labels * 0.5, labels * 0.5, labels, labels.astype(str), (None,) * 60)
    metrics = judge("t", replace(answers, probability=0.2 + labels / 2), train_prevalence=0.5)
    assert metrics.whole.conformal is None
    assert short_sets(metrics, 0.9, SET_ON) == ()

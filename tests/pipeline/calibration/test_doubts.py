"""Faults that are planted in the parts of a cohort, and an honest one of which nothing is said."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from step_cases import DEATH, GRADE, KIND, drawn_labels, true_steps

from pipeline.calibration import (
    Judged,
    doubt_issues,
    doubts_about,
    fit_calibrator,
    fit_step_calibrator,
    parts_differ,
    questions,
    ranks_by_chance,
)
from pipeline.calibration.questions import Question
from pipeline.calibration.steps import outcome_probabilities
from pipeline.errors import CalibrationError
from schemas.calibration import CalibrationMap, Calibrator, Recalibration
from schemas.doubt import Doubt
from schemas.issue import IssueCode, Severity
from schemas.metrics import Interval, Performance, TaskMetrics
from tests.pipeline.calibration.drawn import drawn

Array = NDArray[np.float64]


def part(n: int, seed: int, *, shuffled: bool = False) -> tuple[Array, NDArray[np.int64]]:
    logits, labels, _ = drawn(n, seed=seed)
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels)
    return logits, labels


def judged(logits: Array, labels: NDArray[np.int64]) -> Judged:
    asked = Question("yes", labels.astype(np.float64), expit(logits), np.ones(len(labels)))
    return Judged([asked], np.arange(len(labels)).astype(str))


def fitted_or_none(logits: Array, labels: NDArray[np.int64]) -> Calibrator | None:
    try:
        return fit_calibrator("lesion", logits, labels, hidden={})
    except CalibrationError:
        return None


def many_of_an_outcome(n: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Cases of whom three quarters have the outcome, where a third should."""
    logits, labels = part(8 * n, seed)
    random = np.random.default_rng(seed)
    chosen = np.concatenate([
        random.choice(np.flatnonzero(labels == label), count, replace=False)
        for label, count in ((1, 3 * n // 4), (0, n // 4))
    ])  # fmt: skip
    return logits[chosen], labels[chosen]


@pytest.mark.parametrize("seed", range(12))
def test_with_shuffled_labels_the_calibration_part_ranks_otherwise_than_the_test_part(
    seed: int,
) -> None:
    shuffled = part(400, seed, shuffled=True)
    differ = parts_differ(judged(*shuffled), {"test": judged(*part(300, seed + 100))})
    assert len(differ) == 1
    assert "labels may be wrong" in differ[0].words
    assert differ[0].about == "labels"


def test_thresholds_set_on_shuffled_labels_are_doubted() -> None:
    calibration, nobody = judged(*part(400, 1)), judged(np.zeros(0), np.zeros(0, np.int64))
    others = {"conformal": judged(*part(300, 101, shuffled=True)), "test": nobody}
    (doubt,) = parts_differ(calibration, others)
    assert "on the conformal part: labels may be wrong in one of them" in doubt.words


def test_most_shuffled_parts_are_refused_by_the_calibration_itself() -> None:
    fitted = [fitted_or_none(*part(400, seed, shuffled=True)) for seed in range(20)]
    # One in twenty ranks by luck; of 20, at most 4 in all but one of 400 draws.
    assert sum(one is None for one in fitted) >= 16


def test_a_few_shuffled_cases_are_not_refused_but_doubted() -> None:
    fitted = [fitted_or_none(*part(60, seed, shuffled=True)) for seed in range(8)]
    doubts = [ranks_by_chance(one) for one in fitted if one is not None]
    assert doubts
    assert all("chance ranks as well" in one[0].words for one in doubts)


@pytest.mark.parametrize("task", [KIND, GRADE, DEATH], ids=lambda task: task.kind)
def test_shuffled_labels_of_any_kind_of_task_are_refused(task) -> None:
    steps = true_steps(task, 900)
    truth = outcome_probabilities(task.kind, steps)
    labels = drawn_labels(task, steps, np.diff(truth, prepend=0.0) if task.kind == "survival" else
                          truth)  # fmt: skip
    honest = fit_step_calibrator(task, steps, labels, {})
    assert honest.chance_p is not None
    assert honest.chance_p < 1e-6
    mixed = np.random.default_rng(0).permutation(labels)
    with pytest.raises(CalibrationError, match="rank"):
        fit_step_calibrator(task, steps, mixed, {})
    asked = [Judged(questions(task, truth, one), np.arange(900).astype(str)) for one in
             (mixed, labels)]  # fmt: skip
    assert any(
        "labels may be wrong" in one.words for one in parts_differ(asked[0], {"test": asked[1]})
    )


@pytest.mark.parametrize("seed", range(5))
def test_of_honest_parts_nothing_is_said(seed: int) -> None:
    calibration, test = part(400, seed), part(300, seed + 50)
    fitted = fit_calibrator("lesion", *calibration, hidden={})
    assert ranks_by_chance(fitted) == ()
    others = {"train": judged(*part(2000, seed + 90)), "test": judged(*test)}
    assert parts_differ(judged(*calibration), others) == ()
    assert doubts_about(judged(*test)) == ()


def test_a_wrong_prior_is_seen_between_the_parts_and_in_what_comes_true() -> None:
    calibration, test = many_of_an_outcome(300, 1), part(300, 2)
    others = {"train": judged(*part(2000, 3)), "test": judged(*test)}
    said = parts_differ(judged(*calibration), others)
    assert [("75% of the calibration part" in one.words, one.about) for one in said] == [
        (True, "prevalence"), (True, "prevalence"),
    ]  # fmt: skip
    fitted = fit_calibrator("lesion", *calibration, hidden={})
    moved = fitted.map.slope * test[0] + fitted.map.intercept
    (doubt,) = doubts_about(judged(moved, test[1]))
    assert "another prevalence" in doubt.words
    assert doubt.about == "prevalence"


def test_probabilities_that_are_too_extreme_are_doubted() -> None:
    logits, labels = part(600, 4)
    (doubt,) = doubts_about(judged(2.5 * logits, labels))
    assert "too extreme" in doubt.words
    assert doubt.about == "slope"


SAID = tuple(
    Doubt(about=about, words=f"of {about}")
    for about in ("prevalence", "slope", "labels", "sets", "unstated")
)
SITE = Recalibration(
    slope=1.0, intercept=0.1, n_cases=90, n_events=50, intercept_sd=0.1, labels_sha256="a",
    from_bundle_sha256="b",
)  # fmt: skip


def doubted(doubts: tuple[object, ...]) -> TaskMetrics:
    one = Interval(value=0.1, lower=0.0, upper=0.2)
    whole = Performance(
        group="all", n_cases=9, n_events=3, brier=one, log_loss=one, observed_to_expected=one
    )
    return TaskMetrics(
        task="lesion", whole=whole, log_loss_uncalibrated=1.0, prevalence_log_loss=1.0,
        train_prevalence=0.3, doubts=doubts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("site", "answered"),
    [
        (None, set()),
        (SITE, {"prevalence"}),
        (SITE.model_copy(update={"slope": 0.8, "slope_sd": 0.1}), {"prevalence", "slope"}),
    ],
    ids=["as trained", "intercept", "slope"],
)
def test_every_report_says_it_until_a_sites_outcomes_have_put_right_what_it_is_about(
    site: Recalibration | None, answered: set[str]
) -> None:
    fitted = Calibrator(
        task="lesion", map=CalibrationMap(method="temperature"), n_cases=9, n_events=3,
        recalibration=site,
    )  # fmt: skip
    issues = doubt_issues([doubted(SAID)], [fitted])
    kept = [doubt.words for doubt in SAID if doubt.about not in answered]
    assert [issue.message for issue in issues] == [f"lesion: {words}" for words in kept]
    for issue in issues:
        assert (issue.code, issue.severity) == (IssueCode.CALIBRATION_DOUBTED, Severity.WARNING)


def test_doubts_that_an_earlier_version_kept_as_words_are_read_and_never_silenced() -> None:
    told = doubted(SAID).model_dump(mode="json") | {"doubts": ["the prior is wrong"]}
    read = TaskMetrics.model_validate(told)
    assert read.doubts == (Doubt(about="unstated", words="the prior is wrong"),)
    assert TaskMetrics.model_validate_json(read.model_dump_json()) == read

import numpy as np
import pytest

from pipeline.calibration.statistics import log_odds
from pipeline.step_answer import step_answer, step_estimate
from schemas.calibration import ClassThresholds, StepCalibrator, StepMap, SubsetClassThresholds
from schemas.metrics import Interval, StepMetrics, StepPerformance
from schemas.prediction import Evidence
from schemas.task import Task

QUESTION = "What will come of it?"
KIND = Task(name="kind", kind="multiclass", question=QUESTION, classes=("none", "left", "right"))
GRADE = Task(name="grade", kind="ordinal", question=QUESTION, classes=("none", "small", "large"))
DEATH = Task(name="death", kind="survival", question=QUESTION, horizons_days=(90, 180, 365))
SOME = Interval(value=0.5, lower=0.4, upper=0.6)
WHOLE = StepPerformance(group="all", n_cases=9, n_events=3, brier=SOME, log_loss=SOME)
PRESENT = ("image", "notes", "table")


def calibrator(task, conformal=None):
    """A map that halves all steps."""
    fitted = StepMap(method="temperature", slope=0.5, intercepts=(0.0,) * task.n_steps)
    return StepCalibrator(
        task=task.name, kind=task.kind, map=fitted, conformal=conformal, n_cases=90, n_events=30
    )


def answer(task, steps, conformal=None):
    metrics = StepMetrics(
        task=task.name, kind=task.kind, whole=WHOLE, questions=(), log_loss_uncalibrated=1.0,
        prevalence_log_loss=1.0, train_shares=(0.2, 0.3, 0.5),
    )  # fmt: skip
    fitted = calibrator(task, conformal)
    return step_answer(task, fitted, metrics, np.array(steps), PRESENT), fitted


def probabilities(found):
    return [outcome.probability for outcome in found.outcomes]


def test_the_most_probable_class_is_shown_against_the_others():
    found, _ = answer(KIND, [0.0, 2.0 * np.log(3.0), 0.0])
    assert probabilities(found) == pytest.approx([0.2, 0.6, 0.2])
    assert (found.shown, found.logit_of) == ("left", "left, against the mean of the other classes")
    assert [outcome.train_share for outcome in found.outcomes] == [0.2, 0.3, 0.5]
    assert found.expected_level is None


def test_levels_have_an_expected_one():
    # Above none 3/4, above small 1/2: 1/4, 1/4, 1/2, mean level 2.25.
    found, _ = answer(GRADE, [2.0 * np.log(3.0), 0.0])
    assert probabilities(found) == pytest.approx([0.25, 0.25, 0.5])
    assert found.expected_level == pytest.approx(2.25)
    assert found.shown == "large"
    assert found.logit_of.startswith("more than none")


def test_the_risk_by_the_last_horizon_is_shown():
    found, _ = answer(DEATH, [0.0, 0.0, 0.0])
    assert probabilities(found) == pytest.approx([0.5, 0.75, 0.875])
    assert found.shown == "within 365 days"
    assert found.logit_of.startswith("an event within 90 days")


def test_an_estimate_holds_the_shown_outcomes_probability_and_its_set():
    wide = ClassThresholds(coverage=0.9, least=(0.1, 0.5, 0.9), n_cases=(20, 20, 20))
    found, fitted = answer(KIND, [0.0, 2.0 * np.log(3.0), 0.0], wide)
    estimate = step_estimate(KIND, fitted, found, 1.5, PRESENT, Evidence(bias=0.5, image=1.0))
    assert estimate.probability == pytest.approx(0.6)
    assert estimate.calibrated_logit == pytest.approx(log_odds(np.array(0.6)))
    assert estimate.label_set == ("none", "left")
    assert estimate.steps == found


def test_an_estimate_from_some_modalities_has_the_set_of_their_own_thresholds():
    common = ClassThresholds(coverage=0.9, least=(0.1, 0.5, 0.9), n_cases=(20, 20, 20))
    own = SubsetClassThresholds(
        coverage=0.9, least=(0.1, 0.5, 0.0), n_cases=(20, 20, 3), present=("notes", "table")
    )
    found, fitted = answer(KIND, [0.0, 2.0 * np.log(3.0), 0.0], common)
    fitted = fitted.model_copy(update={"conformal_apart": (own,)})
    evidence = Evidence(bias=1.5, image=0.0)
    sets = [
        step_estimate(KIND, fitted, found, 1.5, present, evidence).label_set
        for present in (("table", "notes"), ("notes",))
    ]
    assert sets == [("none", "left", "right"), ("none", "left")]


def test_a_certain_answer_has_finite_log_odds():
    found, fitted = answer(KIND, [-4000.0, 4000.0, -4000.0])
    estimate = step_estimate(KIND, fitted, found, 1.0, PRESENT, Evidence(bias=1.0, image=0.0))
    assert estimate.probability == 1.0
    assert np.isfinite(estimate.calibrated_logit)

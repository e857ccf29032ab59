import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from step_cases import DEATH, GRADE, KIND, drawn_labels, true_steps

from pipeline.calibration import fit_step_calibrator, step_probabilities, steps_in_words
from pipeline.calibration.steps import moved_steps, outcome_probabilities, step_losses
from pipeline.errors import CalibrationError
from schemas.calibration import StepCalibrator, StepMap, StepShift

KINDS = pytest.mark.parametrize("task", [KIND, GRADE, DEATH], ids=lambda task: task.kind)
STEPS = st.lists(st.floats(-30, 30), min_size=3, max_size=3)


@given(STEPS, st.floats(0.01, 15), st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_classes_sum_to_one_whatever_the_calibration(steps, slope, intercepts):
    fitted = StepMap(method="vector", slope=slope, intercepts=intercepts)
    answer = outcome_probabilities("multiclass", moved_steps(fitted, np.array([steps])))
    assert answer.sum() == pytest.approx(1.0)


@given(STEPS, st.floats(0.01, 15), st.floats(-10, 10))
def test_levels_keep_their_order_and_risks_never_fall_whatever_the_calibration(
    steps, slope, intercept
):
    fitted = StepMap(method="platt", slope=slope, intercepts=[intercept] * 3)
    falling = np.sort(steps)[::-1]
    levels = outcome_probabilities("ordinal", moved_steps(fitted, falling[None]))
    assert (levels >= 0).all()
    assert levels.sum() == pytest.approx(1.0)
    risks = outcome_probabilities("survival", moved_steps(fitted, np.array([steps])))
    assert (np.diff(risks) >= 0).all()


def test_survival_multiplies_the_chances_of_living_through_each_span():
    # Hazards 1/2, 1/2, 1/2: risks 1/2, 3/4, 7/8.
    answer = outcome_probabilities("survival", np.zeros((1, 3)))
    assert answer[0].tolist() == pytest.approx([0.5, 0.75, 0.875])


def test_a_level_is_as_probable_as_the_distance_between_its_two_thresholds():
    # sigmoid(0) = 1/2 above the first, sigmoid(-log 3) = 1/4 above the second.
    answer = outcome_probabilities("ordinal", np.array([[0.0, -np.log(3.0)]]))
    assert answer[0].tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_the_loss_of_each_kind_is_its_negative_log_likelihood():
    assert step_losses(KIND, np.zeros((1, 3)), np.array([[2.0]])) == pytest.approx(np.log(3))
    steps = np.array([[0.0, -np.log(3.0)]])
    assert step_losses(GRADE, steps, np.array([[1.0]])) == pytest.approx(np.log(4))
    # Free for 100 days, then the event; and left on day 150, which says nothing of the second span.
    labels = np.array([[150.0, 1.0], [150.0, 0.0], [50.0, 0.0], [0.0, 1.0]])
    losses = step_losses(DEATH, np.zeros((4, 3)), labels)
    assert losses / np.log(2) == pytest.approx([2.0, 1.0, 0.0, 1.0])


@KINDS
@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_scores_that_are_too_sure_or_too_shy_are_put_right(task, slope):
    steps = true_steps(task, 4000)
    truth = outcome_probabilities(task.kind, steps)
    labels = drawn_labels(task, steps, truth)
    shift = np.array([0.7, 0.0, -0.7]) if task.kind == "multiclass" else 0.5
    fitted = fit_step_calibrator(task, slope * steps + shift, labels, {})
    assert fitted.map.slope == pytest.approx(1.0 / slope, rel=0.12)
    assert fitted.map.method == ("vector" if task.kind == "multiclass" else "platt")
    raw = outcome_probabilities(task.kind, slope * steps + shift)
    answer = step_probabilities(fitted, slope * steps + shift)
    assert np.abs(answer - truth).mean() < 0.02
    assert np.abs(answer - truth).mean() < 0.4 * np.abs(raw - truth).mean()


@KINDS
def test_where_a_temperature_is_right_no_intercept_is_bought(task):
    # A gain beyond its standard error comes by chance in one draw of six.
    methods = []
    for seed in range(6):
        steps = true_steps(task, 300, seed=seed)
        truth = outcome_probabilities(task.kind, steps)
        labels = drawn_labels(task, steps, truth, seed=seed + 100)
        methods.append(fit_step_calibrator(task, 2.0 * steps, labels, {}).map.method)
    assert methods.count("temperature") >= 4


@KINDS
def test_a_subset_that_knows_nothing_is_pulled_towards_the_shares(task):
    steps = true_steps(task, 2000)
    labels = drawn_labels(task, steps, outcome_probabilities(task.kind, steps))
    noise = true_steps(task, 2000, seed=9)
    absent = np.where(np.arange(2000)[:, None] < 1995, np.nan, steps)
    hidden = {("table",): noise, ("notes",): absent}
    fitted = fit_step_calibrator(task, steps, labels, hidden)
    (shift,) = fitted.shifts
    assert (shift.present, shift.n_cases) == (("table",), 2000)
    assert shift.slope < 0.3
    spread = step_probabilities(fitted, noise, ("table",)).std(0).max()
    assert spread < 0.5 * step_probabilities(fitted, noise).std(0).max()


def test_words_say_which_map_and_what_was_absent():
    shift = StepShift(present=("image", "table"), slope=1.0, intercepts=(0.0,) * 3, n_cases=30)
    fitted = StepCalibrator(
        task="kind", kind="multiclass", shifts=(shift,), n_cases=90, n_events=30,
        map=StepMap(method="vector", slope=1.0, intercepts=(0.0,) * 3),
    )  # fmt: skip
    assert steps_in_words(fitted, ("image", "notes", "table")) == "vector, fitted on 90 cases"
    assert steps_in_words(fitted, ("image", "table")).endswith("adjusted for cases without notes")
    whole = shift.model_copy(update={"present": ("image", "notes", "table")})
    mixed = fitted.model_copy(update={"shifts": (whole,)})
    words = steps_in_words(mixed, ("image", "notes", "table"))
    assert words.endswith("adjusted for cases with every modality")


@KINDS
def test_scores_that_do_not_rank_are_refused(task):
    steps = true_steps(task, 600)
    labels = drawn_labels(task, steps, outcome_probabilities(task.kind, steps))
    reversed_ = steps - 2.0 * steps[:, :1] if task.kind == "ordinal" else -steps
    with pytest.raises(CalibrationError, match=f"task {task.name}.*does not rank"):
        fit_step_calibrator(task, reversed_, labels, {})


def test_too_few_cases_of_an_outcome_and_infinite_scores_are_refused():
    steps = true_steps(KIND, 60)
    labels = np.repeat([0.0, 1.0], 30)[:, None]
    with pytest.raises(CalibrationError, match="right has 0; each outcome needs at least 5"):
        fit_step_calibrator(KIND, steps, labels, {})
    labels = np.repeat([0.0, 1.0, 2.0], 20)[:, None]
    steps[3, 0] = np.inf
    with pytest.raises(CalibrationError, match="not finite"):
        fit_step_calibrator(KIND, steps, labels, {})
    watched = np.tile([450.0, 0.0], (60, 1))
    with pytest.raises(CalibrationError, match="event has 0"):
        fit_step_calibrator(DEATH, true_steps(DEATH, 60), watched, {})


def test_a_subset_without_a_level_keeps_the_levels_in_order():
    steps = true_steps(GRADE, 400)
    labels = drawn_labels(GRADE, steps, outcome_probabilities("ordinal", steps))
    few = np.where(labels == 1.0, np.nan, steps)
    fitted = fit_step_calibrator(GRADE, steps, labels, {("table",): few})
    assert len(set(fitted.shifts[0].intercepts)) == 1
    assert (step_probabilities(fitted, steps, ("table",)) >= 0).all()

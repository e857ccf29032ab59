import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score
from step_cases import DEATH, GRADE, KIND, YES, drawn_labels, true_steps

from pipeline.calibration import Answers, class_set, fit_class_sets, judge_steps, train_shares
from pipeline.calibration.questions import questions, task_log_loss, uncensored_weights
from pipeline.calibration.steps import outcome_probabilities
from pipeline.errors import CalibrationError


def answers(task, n=1500, *, slope=1.0, censored=True, sets=False):
    steps = true_steps(task, n)
    truth = outcome_probabilities(task.kind, steps)
    labels = drawn_labels(task, steps, truth, censored=censored)
    said = outcome_probabilities(task.kind, slope * steps)
    found = fit_class_sets(said, labels[:, 0], coverage=0.9) if sets else None
    patients = np.arange(n).astype(str)
    held = tuple(class_set(task, found, row) if sets else None for row in said)
    return Answers(said, said, labels, patients, held)


def judged(task, told, groups=None):
    shares = train_shares(task, told.labels)
    return judge_steps(task, told, train_shares=shares, groups=groups or {})


def test_classes_are_judged_as_scikit_learn_does():
    told = answers(KIND, sets=True)
    found = judged(KIND, told)
    y, p = told.labels[:, 0].astype(int), told.probability
    assert found.whole.auroc is not None
    assert found.whole.auroc.value == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    assert found.whole.log_loss.value == pytest.approx(log_loss(y, p))
    assert found.whole.brier.value == pytest.approx(((np.eye(3)[y] - p) ** 2).sum(1).mean())
    assert found.whole.n_events == len(y) - np.bincount(y).max()
    assert [one.group for one in found.questions] == ["none", "left", "right"]
    for one in found.questions:
        assert one.slope is not None
        assert one.slope.lower < 1.0 < one.slope.upper
        assert one.reliability is not None
    usual = np.bincount(y) / len(y)
    assert found.prevalence_log_loss == pytest.approx(log_loss(y, np.tile(usual, (len(y), 1))))
    assert found.whole.conformal is not None
    assert min(share for share in found.whole.conformal.by_class if share is not None) >= 0.9
    assert 1.0 <= found.whole.conformal.mean_size <= 3.0


def test_levels_are_judged_by_their_distance():
    told = answers(GRADE)
    found = judged(GRADE, told)
    y, p = told.labels[:, 0].astype(int), told.probability
    assert found.whole.kappa is not None
    kappa = cohen_kappa_score(y, p.argmax(1), weights="quadratic")
    assert found.whole.kappa.value == pytest.approx(kappa)
    assert found.whole.kappa.lower < kappa < found.whole.kappa.upper
    # Ranked probability score: squared distance of the cumulative distributions, a threshold.
    steps = (np.cumsum(p, 1) - (y[:, None] <= np.arange(3)))[:, :-1]
    assert found.whole.brier.value == pytest.approx((steps**2).mean())
    assert [one.group for one in found.questions] == ["at least small", "at least large"]
    assert found.whole.log_loss.value == pytest.approx(log_loss(y, p))


def test_being_wrong_by_one_level_costs_less_than_by_two():
    labels = np.array([[2.0]] * 15 + [[0.0]] * 5)
    near, far = np.tile([0.0, 1.0, 0.0], (20, 1)), np.tile([1.0, 0.0, 0.0], (20, 1))
    patients = np.arange(20).astype(str)
    scores = []
    for p in (near, far):
        told = Answers(p, p, labels, patients, (None,) * 20)
        scores.append(judged(GRADE, told).whole.brier.value)
    # Wrong by one level in all cases costs 1/2 each; by two in three cases of four, 3/4.
    assert scores == pytest.approx([0.5, 0.75])


def test_without_censoring_a_horizon_is_a_plain_yes_or_no():
    told = answers(DEATH, censored=False)
    found = judged(DEATH, told)
    days, event = told.labels.T
    for number, (one, end) in enumerate(zip(found.questions, DEATH.horizons_days, strict=True)):
        y, p = (event > 0) & (days <= end), told.probability[:, number]
        assert one.auroc is not None
        assert one.auroc.value == pytest.approx(roc_auc_score(y, p))
        assert one.brier.value == pytest.approx(((y - p) ** 2).mean())
        assert one.n_cases == len(y)


def test_weighing_by_the_chance_to_be_watched_gives_what_all_would_have_shown():
    full, seen = (judged(DEATH, answers(DEATH, 3000, censored=flag)) for flag in (False, True))
    assert seen.questions[-1].n_cases < 0.8 * full.questions[-1].n_cases
    for one, other in zip(full.questions, seen.questions, strict=True):
        assert one.auroc is not None
        assert other.auroc is not None
        assert other.auroc.value == pytest.approx(one.auroc.value, abs=0.03)
        assert other.brier.value == pytest.approx(one.brier.value, abs=0.012)
        assert other.observed_to_expected.value == pytest.approx(1.0, abs=0.12)
    assert full.train_shares == pytest.approx(seen.train_shares, abs=0.03)


def test_the_weights_of_six_patients_are_those_worked_out_by_hand():
    # Leavings on days 20 and 40: of five still there one left, then of three one.
    days = np.array([10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    event = np.array([True, False, True, False, True, False])
    weights = uncensored_weights(days, event, 45.0)
    assert weights == pytest.approx([1.0, 0.0, 1.25, 0.0, 1 / (4 / 5 * 2 / 3), 1 / (4 / 5 * 2 / 3)])
    assert weights.sum() == pytest.approx(6.0)


def test_an_event_goes_before_a_leaving_on_the_same_day():
    days, event = np.array([10.0, 10.0, 20.0]), np.array([True, False, False])
    # At the leaving on day 10 two were left: half of them stayed.
    assert uncensored_weights(days, event, 15.0) == pytest.approx([1.0, 0.0, 2.0])
    labels = np.stack([days, event], 1)
    # Kaplan-Meier of the event: one of three on day 10.
    assert train_shares(DEATH, labels) == pytest.approx([1 / 3] * 3)


def test_concordance_counts_the_pairs_whose_order_is_known():
    labels = np.array([[10.0, 1], [20.0, 0], [30.0, 1], [400.0, 0]])
    risk = np.array([0.9, 0.5, 0.2, 0.2])
    p = np.stack([risk, risk, risk], 1)
    told = Answers(p, p, labels, np.array(list("abcd")), (None,) * 4)
    found = judged(DEATH, told).whole.concordance
    assert found is not None
    # Pairs (1, 2), (1, 3), (1, 4) right; (3, 4) tied.
    assert found.value == pytest.approx(3.5 / 4)


def test_groups_have_their_own_row_and_small_ones_none():
    told = answers(KIND, 300)
    flags = {"sex: F": np.arange(300) % 2 == 0, "few": np.arange(300) < 19}
    found = judged(KIND, told, flags)
    assert [(part.group, part.n_cases) for part in found.groups] == [("sex: F", 150)]


@pytest.mark.parametrize("task", [KIND, GRADE, DEATH], ids=lambda task: task.kind)
def test_overconfident_answers_have_a_higher_loss_and_a_low_slope(task):
    good, sure = judged(task, answers(task, 800)), judged(task, answers(task, 800, slope=3.0))
    assert sure.whole.log_loss.value > good.whole.log_loss.value
    assert all(one.slope is not None and one.slope.upper < 0.9 for one in sure.questions)


def test_one_outcome_alone_or_a_horizon_that_nobody_reached_is_refused():
    told = answers(KIND, 100)
    with pytest.raises(CalibrationError, match="one outcome only"):
        judged(KIND, told.chosen(told.labels[:, 0] == 1))
    told = answers(DEATH, 300)
    early = told.chosen((told.labels[:, 0] < 150) & (told.labels[:, 1] == 0))
    both = told.chosen((told.labels[:, 0] < 150) & (told.labels[:, 1] == 1))
    mixed = Answers(
        np.vstack([early.probability, both.probability[:1]]),
        np.vstack([early.probability, both.probability[:1]]),
        np.vstack([early.labels, [[0.0, 0.0]]]),
        np.append(early.patients, "x"),
        (*early.sets, ()),
    )
    mixed.labels[-1] = [1.0, 1.0]
    assert judged(DEATH, mixed).questions[-1].auroc is None
    with pytest.raises(CalibrationError, match="one outcome only"):
        judged(DEATH, early)


def test_a_binary_task_is_one_question():
    labels, p = np.array([[1.0], [0.0]]), np.array([[0.8], [0.4]])
    (asked,) = questions(YES, p, labels)
    assert asked.has_both
    once = np.ones((1, 2))
    expected = -(np.log(0.8) + np.log(0.6)) / 2
    assert task_log_loss(YES, p, labels, once)[0] == pytest.approx(expected)

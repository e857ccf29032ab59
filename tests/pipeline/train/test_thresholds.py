"""What is set on the conformal part counts patients, not studies."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from pipeline.calibration import MODALITIES
from pipeline.calibration.conformal import fit_conformal
from pipeline.train import calibrate
from pipeline.train.examples import Example
from pipeline.train.judge import judge_task
from pipeline.train.scores import Scores
from schemas.calibration import Calibrator, ConformalThresholds, GroupThresholds, OperatingPoint
from schemas.history import TableValue
from schemas.metrics import TaskMetrics
from schemas.protocol import Protocol
from schemas.task import OperatingGoal
from tests.pipeline.calibration.drawn import drawn
from tests.pipeline.calibration.test_conformal import BARE
from tests.pipeline.train.test_fit import example

N = 120


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:
    logits, labels, _ = drawn(N)
    return np.stack([logits, logits], axis=1), labels


def thresholds(
    protocol: Protocol, logits: np.ndarray, labels: np.ndarray, patients: list[str]
) -> Calibrator:
    cases = [
        replace(example(number), patient_id=who, labels=np.array([label, np.nan], np.float32))
        for number, (who, label) in enumerate(zip(patients, labels, strict=True))
    ]
    nothing = np.empty((len(cases), 0))
    scores = Scores(logits, logits[None], nothing, nothing, (("image",),) * len(cases))
    found = calibrate._with_thresholds(BARE, protocol, 0, cases, scores, {("image",): logits})
    assert isinstance(found, Calibrator)
    return found


def test_each_patient_counts_once(
    tiny_protocol: Protocol, scored: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, labels = scored
    first, *rest = tiny_protocol.tasks
    goal = OperatingGoal(goal="sensitivity", at_least=0.8, confidence=0.9)
    asked = (first.model_copy(update={"operating": (goal,)}), *rest)
    tiny_protocol = tiny_protocol.model_copy(update={"tasks": asked})
    single = thresholds(tiny_protocol, logits, labels, [f"p{n}" for n in range(N)])
    several = thresholds(
        tiny_protocol, np.repeat(logits, 3, axis=0), np.repeat(labels, 3),
        [f"p{n // 3}" for n in range(3 * N)],
    )  # fmt: skip
    assert single.conformal is not None
    assert several.conformal == single.conformal
    assert several.conformal_apart == single.conformal_apart
    assert single.operating[0].threshold is not None
    assert several.operating == single.operating


def test_a_patient_is_judged_by_a_study_whose_outcome_is_known(
    tiny_protocol: Protocol, scored: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, labels = scored
    unknown = np.full(N, np.nan)
    found = thresholds(
        tiny_protocol, np.concatenate([logits, logits]), np.concatenate([labels, unknown]),
        [f"p{n % N}" for n in range(2 * N)],
    )  # fmt: skip
    assert found.conformal is not None
    assert found.conformal.n_negative + found.conformal.n_positive == N


def test_each_value_of_the_named_variable_has_thresholds_of_its_whole_cases(
    tiny_protocol: Protocol,
) -> None:
    smokes = [True, False, None]
    score, labels, _ = drawn(360)
    cases = []
    for number, label in enumerate(labels):
        case = example(number)
        others = (value for value in case.history.values if value.name != "smoker")
        values = (*others, TableValue(name="smoker", value=smokes[number % 3]))
        history = case.history.model_copy(update={"values": values})
        known = np.array([label, np.nan], np.float32)
        cases.append(replace(case, patient_id=f"p{number}", history=history, labels=known))
    n_whole, logits, nothing = 270, np.stack([score, score], axis=1), np.empty((360, 0))
    present = (MODALITIES,) * n_whole + (("image", "table"),) * (360 - n_whole)
    scores, hidden = Scores(logits, logits[None], nothing, nothing, present), {MODALITIES: logits}
    first, *rest = tiny_protocol.tasks
    apart = (first.model_copy(update={"sets_by": "smoker"}), *rest)
    protocol = tiny_protocol.model_copy(update={"tasks": apart})
    found = calibrate._with_thresholds(BARE, protocol, 0, cases, scores, hidden)
    assert isinstance(found, Calibrator)
    names = [(group.value, group.group) for group in found.conformal_groups]
    assert names == [("False", "smoker: False"), ("True", "smoker: True")]
    for group, start in zip(found.conformal_groups, (1, 0), strict=True):
        own = np.arange(start, n_whole, 3)
        alone = fit_conformal(expit(score[own]), labels[own], coverage=0.9)
        assert alone is not None
        assert alone.model_dump() == group.model_dump(exclude={"value", "group"})
    without = calibrate._with_thresholds(BARE, tiny_protocol, 0, cases, scores, hidden)
    assert isinstance(without, Calibrator)
    assert without.conformal_groups == ()


def whole_cases() -> tuple[np.ndarray, np.ndarray, list[Example], Scores]:
    """Return the scores and labels of 300 cases that have every modality, and the cases."""
    score, labels, _ = drawn(300)
    cases = [
        replace(example(number), labels=np.array([label, np.nan], np.float32))
        for number, label in enumerate(labels)
    ]
    logits, nothing = np.stack([score, score], axis=1), np.empty((300, 0))
    scores = Scores(logits, logits[None], nothing, nothing, (MODALITIES,) * 300)
    return score, labels, cases, scores


@pytest.mark.parametrize(("threshold", "is_kept"), [(0.05, True), (0.6, False)])
def test_a_promised_threshold_is_judged_on_other_patients_and_doubted_where_it_is_broken(
    tiny_protocol: Protocol, threshold: float, is_kept: bool
) -> None:
    score, labels, cases, scores = whole_cases()
    point = OperatingPoint(
        goal="sensitivity", at_least=0.9, confidence=0.9, threshold=threshold, n_cases=50,
        n_events=20,
    )  # fmt: skip
    calibrator = BARE.model_copy(update={"operating": (point,)})
    bundle: Any = SimpleNamespace(protocol=tiny_protocol, calibrators=(calibrator,) * 2)
    found = judge_task(bundle, 0, cases, scores, usual=(0.3,))
    assert isinstance(found, TaskMetrics)
    (result,) = found.operating
    is_called = expit(score) >= threshold
    assert result.n_cases == labels.sum()
    assert result.n_right == (is_called & (labels == 1)).sum()
    assert result.lower < result.share <= result.upper
    broken = [doubt for doubt in found.doubts if doubt.about == "threshold"]
    assert (not broken) == is_kept
    assert is_kept or "90% were promised" in broken[0].words


def test_a_bundle_is_judged_by_the_sets_of_each_cases_group(tiny_protocol: Protocol) -> None:
    _, _, cases, scores = whole_cases()
    first, *rest = tiny_protocol.tasks
    protocol = tiny_protocol.model_copy(
        update={"tasks": (first.model_copy(update={"sets_by": "sex"}), *rest)}
    )
    wide = GroupThresholds(
        value="F", group="sex: F", coverage=0.9, negative=0.0, positive=0.0, n_negative=50,
        n_positive=50,
    )  # fmt: skip
    narrow = ConformalThresholds(
        coverage=0.9, negative=0.99, positive=0.99, n_negative=50, n_positive=50
    )
    calibrator = BARE.model_copy(update={"conformal": narrow, "conformal_groups": (wide,)})
    bundle: Any = SimpleNamespace(protocol=protocol, calibrators=(calibrator,) * 2)
    found = judge_task(bundle, 0, cases, scores, usual=(0.3,))
    assert isinstance(found, TaskMetrics)
    assert found.whole.conformal is not None
    assert found.whole.conformal.mean_size == 2.0

"""How well a calibrated bundle does on labelled patients, task by task."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.calibration import (
    Answers,
    Judged,
    broken_promises,
    cases_set_on,
    class_set,
    doubts_about,
    judge,
    judge_steps,
    label_set,
    outcome_probabilities,
    questions,
    short_sets,
    step_probabilities,
    thresholds_of,
    to_probability,
    value_of,
)
from pipeline.train.examples import Example
from pipeline.train.groups import groups_of
from pipeline.train.scores import Array, Scores, is_known, labels_of, steps_of
from schemas.calibration import (
    AnyCalibrator,
    ClassThresholds,
    ConformalThresholds,
    StepCalibrator,
)
from schemas.doubt import Doubt
from schemas.metrics import AnyMetrics
from schemas.task import Task

_Thresholds = ConformalThresholds | ClassThresholds


def judge_task(
    bundle: Bundle,
    number: int,
    examples: Sequence[Example],
    scores: Scores,
    *,
    usual: tuple[float, ...],
) -> AnyMetrics:
    """Judge one task of a calibrated bundle on labelled examples.

    Parameters
    ----------
    usual
        Share of each of the task's outcomes among the training cases.

    Raises
    ------
    CalibrationError
        If only one outcome is there.
    """
    task, calibrator = bundle.protocol.tasks[number], bundle.calibrators[number]
    labels = labels_of(examples, bundle.protocol.tasks, number)
    known = is_known(labels)
    probability = probabilities(bundle, number, scores)
    raw = outcome_probabilities(task.kind, steps_of(scores.logits, bundle.protocol.tasks, number))
    patients = np.array([example.patient_id for example in examples])
    chosen = [example for example, flag in zip(examples, known, strict=True) if flag]
    groups = groups_of(chosen, bundle.protocol)
    doubts = doubts_about(judged_by(bundle, number, examples, scores))
    if isinstance(calibrator, StepCalibrator):
        of_each = [thresholds_of(calibrator, present) for present in scores.present]
        sets = tuple(
            class_set(task, own, row) for row, own in zip(probability, of_each, strict=True)
        )
        told = Answers(probability, raw, labels, patients, sets)
        steps = judge_steps(task, told.chosen(known), train_shares=usual, groups=groups)
        return _with_doubts(steps, doubts, _known(of_each, known), groups, task)
    of_case = [
        thresholds_of(calibrator, present, value_of(task, one.history))
        for present, one in zip(scores.present, examples, strict=True)
    ]
    answers = Answers(
        probability=probability[:, 0],
        raw_probability=raw[:, 0],
        labels=labels[:, 0],
        patients=patients,
        sets=tuple(
            label_set(own, value) for value, own in zip(probability[:, 0], of_case, strict=True)
        ),
    )
    found = judge(
        task.name, answers.chosen(known), train_prevalence=usual[0], groups=groups,
        operating=calibrator.operating,
    )  # fmt: skip
    doubts = (*doubts, *broken_promises(found.operating))
    return _with_doubts(found, doubts, _known(of_case, known), groups, task)


def judged_by(bundle: Bundle, number: int, examples: Sequence[Example], scores: Scores) -> Judged:
    """Return a task's yes-or-no questions to labelled examples, with the bundle's answers."""
    tasks = bundle.protocol.tasks
    labels = labels_of(examples, tasks, number)
    known = is_known(labels)
    asked = questions(tasks[number], probabilities(bundle, number, scores)[known], labels[known])
    return Judged(asked, np.array([example.patient_id for example in examples])[known])


def probabilities(bundle: Bundle, number: int, scores: Scores) -> Array:
    """Return one task's calibrated probabilities, each by its own subset's map, (n, outcomes)."""
    return calibrated_steps(bundle.calibrators[number], bundle.protocol.tasks, number, scores)


def calibrated_steps(
    calibrator: AnyCalibrator, tasks: Sequence[Task], number: int, scores: Scores
) -> Array:
    """Return what a calibrator makes of one task's steps, case by case, shape (n, outcomes)."""
    steps = steps_of(scores.logits, tasks, number)
    found = np.empty((len(steps), len(tasks[number].outcomes)))
    for present in set(scores.present):
        own = np.array([there == present for there in scores.present])
        found[own] = calibrated_alike(calibrator, steps[own], present)
    return found


def calibrated_alike(calibrator: AnyCalibrator, steps: Array, present: Sequence[str]) -> Array:
    """Return probabilities, shape (n, outcomes), of cases read with the same modalities."""
    if isinstance(calibrator, StepCalibrator):
        return step_probabilities(calibrator, steps, present)
    return to_probability(calibrator, steps, present)


def _known(thresholds: Sequence[_Thresholds | None], known: NDArray[np.bool_]) -> list[_Thresholds]:
    """Return those of the cases whose outcome is known; none where the task has no sets."""
    of_known = (own for own, flag in zip(thresholds, known, strict=True) if flag)
    return [own for own in of_known if own is not None]


def _with_doubts(
    metrics: AnyMetrics,
    doubts: tuple[Doubt, ...],
    thresholds: Sequence[_Thresholds],
    groups: Mapping[str, NDArray[np.bool_]],
    task: Task,
) -> AnyMetrics:
    """Add what is said against the sets, by the thresholds of each case whose outcome is known."""
    if not thresholds:
        return metrics.model_copy(update={"doubts": doubts})
    counts = np.array([_set_on(own) for own in thresholds])
    answers = ("0", "1") if task.kind == "binary" else task.classes
    everyone = np.ones(len(counts), dtype=bool)
    set_on = {
        name: dict(zip(answers, cases_set_on(counts[members]), strict=True))
        for name, members in {"all": everyone, **groups}.items()
        if members.any()
    }
    short = short_sets(metrics, thresholds[0].coverage, set_on)
    return metrics.model_copy(update={"doubts": (*doubts, *short)})


def _set_on(thresholds: _Thresholds) -> list[int]:
    """Return on how many cases of each answer they were set."""
    if isinstance(thresholds, ConformalThresholds):
        return [thresholds.n_negative, thresholds.n_positive]
    return list(thresholds.n_cases)

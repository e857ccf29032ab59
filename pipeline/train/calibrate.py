"""A trained network's scores on held-out patients to a calibrated, judged bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.calibration import (
    COVERAGE,
    MODALITIES,
    Answers,
    Judged,
    class_set,
    doubts_about,
    fit_calibrator,
    fit_class_sets,
    fit_reference,
    fit_step_calibrator,
    judge,
    judge_steps,
    label_set,
    outcome_probabilities,
    parts_differ,
    questions,
    ranks_by_chance,
    short_sets,
    step_probabilities,
    thresholds_of,
    to_probability,
    train_shares,
    with_interval,
    with_thresholds,
)
from pipeline.model.heads import all_steps
from pipeline.progress import Progress
from pipeline.tensors import ModelInput
from pipeline.train.examples import Example
from pipeline.train.groups import groups_of
from pipeline.train.splits import Part
from schemas.calibration import AnyCalibrator, Calibrator, StepCalibrator
from schemas.metrics import AnyMetrics
from schemas.task import Task

BATCH = 32
HELD_OUT: tuple[Part, ...] = ("validation", "calibration", "conformal")
NOTHING: tuple[str, ...] = ()
"""What reports start from when they say what each modality counts for."""
SUBSETS = tuple(
    subset for size in (3, 2, 1) for subset in combinations(MODALITIES, size)
)  # fmt: skip

Array = NDArray[np.float64]
Parts = Mapping[Part, Sequence[Example]]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a network says of some examples.

    Parameters
    ----------
    logits : shape (n, S), log-odds
        The steps of all tasks side by side; one a binary task. See :func:`steps_of`.
    members : shape (M, n, S), log-odds
        The same by each network of the ensemble.
    summaries : shape (m, C)
        Pooled features of the m examples that have an image.
    present
        The modalities of each example.
    """

    logits: Array
    members: Array
    summaries: Array
    present: tuple[tuple[str, ...], ...]


def score(bundle: Bundle, inputs: Sequence[ModelInput]) -> Scores:
    """Run the network over cases."""
    logits, members, summaries = [], [], []
    for start in range(0, len(inputs), BATCH):
        chosen = inputs[start : start + BATCH]
        output = bundle.predict(chosen)
        told = [
            all_steps(one, output.cuts, bundle.protocol.tasks).double().cpu().numpy()
            for one in (output.logits, *output.each_member)
        ]
        logits.append(told[0])
        members.append(np.stack(told[1:]))
        has_image = [case.image is not None for case in chosen]
        summaries.append(output.summary.double().cpu().numpy()[has_image])
    return Scores(
        np.concatenate(logits),
        np.concatenate(members, axis=1),
        np.concatenate(summaries),
        tuple(case.present for case in inputs),
    )


def calibrated(bundle: Bundle, parts: Parts, *, progress: Progress) -> Bundle:
    """Fit reference, calibrators and thresholds, each on its own part; judge on the test part.

    Raises
    ------
    CalibrationError
        If a task has too few outcomes to be calibrated or judged.
    """
    inputs = {
        part: [example.model_input(bundle.table_transform) for example in examples]
        for part, examples in parts.items()
    }
    scores: dict[Part, Scores] = {}
    for number, part in enumerate(part for part, examples in parts.items() if examples):
        progress("scoring held-out patients", number, len(parts) + len(SUBSETS) + 1)
        scores[part] = score(bundle, inputs[part])
    held_out = [part for part in HELD_OUT if part in scores]
    reference = fit_reference(
        scores["train"].summaries,
        np.concatenate([scores[part].summaries for part in held_out]),
        [example.quantities for example in parts["train"]],
        [example.scanner for example in parts["train"]],
    )
    hidden: dict[Part, dict[tuple[str, ...], Array]] = {"calibration": {}, "conformal": {}}
    for number, subset in enumerate((*SUBSETS, NOTHING)):
        progress("scoring held-out patients", len(parts) + number, len(parts) + len(SUBSETS) + 1)
        for part, found in hidden.items():
            found[subset] = hidden_scores(bundle, inputs[part], subset)
    progress("scoring held-out patients", 1, 1)
    calibrators = tuple(
        _calibrator(bundle, number, parts, scores, hidden)
        for number in range(len(bundle.protocol.tasks))
    )
    bundle = replace(bundle, reference=reference, calibrators=calibrators)
    metrics = tuple(
        judge_task(
            bundle, number, parts["test"], scores["test"],
            usual=_usual(task, labels_of(parts["train"], bundle.protocol.tasks, number)),
        )
        for number, task in enumerate(bundle.protocol.tasks)
    )  # fmt: skip
    return replace(bundle, metrics=tuple(
        _doubted(bundle, number, one, parts, scores) for number, one in enumerate(metrics)
    ))  # fmt: skip


def _doubted(
    bundle: Bundle,
    number: int,
    metrics: AnyMetrics,
    parts: Parts,
    scores: Mapping[Part, Scores],
) -> AnyMetrics:
    """Return a task's metrics with what the parts say against its calibration."""
    judged = {
        part: judged_by(bundle, number, parts[part], scores[part])
        for part in ("train", "calibration", "test")
    }  # fmt: skip
    calibration = judged.pop("calibration")
    said = (
        *ranks_by_chance(bundle.calibrators[number]),
        *parts_differ(calibration, judged),
        *metrics.doubts,
    )
    return metrics.model_copy(update={"doubts": said})


def judged_by(bundle: Bundle, number: int, examples: Sequence[Example], scores: Scores) -> Judged:
    """Return a task's yes-or-no questions to labelled examples, with the bundle's answers."""
    tasks = bundle.protocol.tasks
    labels = labels_of(examples, tasks, number)
    known = is_known(labels)
    asked = questions(tasks[number], probabilities(bundle, number, scores)[known], labels[known])
    return Judged(asked, np.array([example.patient_id for example in examples])[known])


def _usual(task: Task, labels: Array) -> tuple[float, ...]:
    """Return the share of each of a task's outcomes among labels, (n, L)."""
    known = labels[is_known(labels)]
    return (float(known.mean()),) if task.kind == "binary" else train_shares(task, known)


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
        sets = tuple(class_set(task, calibrator.conformal, row) for row in probability)
        told = Answers(probability, raw, labels, patients, sets)
        steps = judge_steps(task, told.chosen(known), train_shares=usual, groups=groups)
        return _with_doubts(steps, doubts, calibrator)
    answers = Answers(
        probability=probability[:, 0],
        raw_probability=raw[:, 0],
        labels=labels[:, 0],
        patients=patients,
        sets=tuple(
            label_set(thresholds_of(calibrator, present), value)
            for value, present in zip(probability[:, 0], scores.present, strict=True)
        ),
    )
    found = judge(task.name, answers.chosen(known), train_prevalence=usual[0], groups=groups)
    return _with_doubts(found, doubts, calibrator)


def _with_doubts(
    metrics: AnyMetrics, doubts: tuple[str, ...], calibrator: AnyCalibrator
) -> AnyMetrics:
    sets = calibrator.conformal
    short = () if sets is None else short_sets(metrics, sets.coverage)
    return metrics.model_copy(update={"doubts": (*doubts, *short)})


def _calibrator(
    bundle: Bundle,
    number: int,
    parts: Parts,
    scores: Mapping[Part, Scores],
    hidden: Mapping[Part, Mapping[tuple[str, ...], Array]],
) -> AnyCalibrator:
    tasks, task = bundle.protocol.tasks, bundle.protocol.tasks[number]
    labels = labels_of(parts["calibration"], tasks, number)
    known = is_known(labels)
    own = steps_of(scores["calibration"].logits, tasks, number)[known]
    parted = {
        subset: steps_of(values, tasks, number)[known]
        for subset, values in hidden["calibration"].items()
    }
    fitted: AnyCalibrator
    if task.kind == "binary":
        apart = {subset: values[:, 0] for subset, values in parted.items()}
        found = scores["calibration"]
        members = steps_of(found.members, tasks, number)[:, known, 0]
        present = [there for there, flag in zip(found.present, known, strict=True) if flag]
        common = fit_calibrator(task.name, own[:, 0], labels[known, 0].astype(np.int64), apart)
        fitted = with_interval(common, members, present, labels[known, 0], apart)
    else:
        fitted = fit_step_calibrator(task, own, labels[known], parted)
    if not parts["conformal"]:
        return fitted
    labels = labels_of(parts["conformal"], tasks, number)
    return _with_thresholds(fitted, tasks, number, labels, scores["conformal"], hidden["conformal"])


def _with_thresholds(
    fitted: AnyCalibrator,
    tasks: Sequence[Task],
    number: int,
    labels: Array,
    scores: Scores,
    hidden: Mapping[tuple[str, ...], Array],
) -> AnyCalibrator:
    """Return a task's calibrator with what is set on the conformal part."""
    task, known = tasks[number], is_known(labels)
    probability = _calibrated_steps(fitted, tasks, number, scores)[known]
    labels = labels[known]
    if not isinstance(fitted, StepCalibrator):
        apart = {
            subset: _probability_of_known(fitted, steps_of(values, tasks, number)[known, 0], subset)
            for subset, values in hidden.items()
        }
        levels = labels[:, 0].astype(np.int64)
        return with_thresholds(fitted, probability[:, 0], levels, task.operating, apart)
    if task.kind == "survival":
        return fitted
    sets = fit_class_sets(probability, labels[:, 0], coverage=COVERAGE)
    return fitted.model_copy(update={"conformal": sets})


def _probability_of_known(fitted: Calibrator, logits: Array, present: tuple[str, ...]) -> Array:
    probability = np.full(len(logits), np.nan)
    there = ~np.isnan(logits)
    probability[there] = to_probability(fitted, logits[there], present)
    return probability


def hidden_scores(bundle: Bundle, inputs: Sequence[ModelInput], subset: tuple[str, ...]) -> Array:
    """Return logits read with only these modalities, shape (n, S); NaN where one is absent."""
    has_all = [place for place, case in enumerate(inputs) if set(subset) <= set(case.present)]
    logits = np.full((len(inputs), sum(task.n_steps for task in bundle.protocol.tasks)), np.nan)
    if has_all:
        logits[has_all] = score(bundle, [inputs[place].only(subset) for place in has_all]).logits
    return logits


def probabilities(bundle: Bundle, number: int, scores: Scores) -> Array:
    """Return one task's calibrated probabilities, each by its own subset's map, (n, outcomes)."""
    return _calibrated_steps(bundle.calibrators[number], bundle.protocol.tasks, number, scores)


def _calibrated_steps(
    calibrator: AnyCalibrator, tasks: Sequence[Task], number: int, scores: Scores
) -> Array:
    steps = steps_of(scores.logits, tasks, number)
    found = np.empty((len(steps), len(tasks[number].outcomes)))
    for present in set(scores.present):
        own = np.array([there == present for there in scores.present])
        if isinstance(calibrator, StepCalibrator):
            found[own] = step_probabilities(calibrator, steps[own], present)
        else:
            found[own] = to_probability(calibrator, steps[own], present)
    return found


def is_known(values: Array) -> NDArray[np.bool_]:
    """Say which rows hold no NaN, (n, any) to (n,)."""
    return np.asarray(~np.isnan(values).any(axis=1), dtype=np.bool_)


def steps_of(steps: Array, tasks: Sequence[Task], number: int) -> Array:
    """Return one task's columns of all steps, (..., S) to (..., its own steps)."""
    start = sum(task.n_steps for task in tasks[:number])
    return steps[..., start : start + tasks[number].n_steps]


def labels_of(examples: Sequence[Example], tasks: Sequence[Task], number: int) -> Array:
    """Return one task's label columns, NaN where unknown, shape (n, L)."""
    start = sum(len(task.label_columns) for task in tasks[:number])
    end = start + len(tasks[number].label_columns)
    return np.array([example.labels[start:end] for example in examples], dtype=np.float64)

"""A trained network's scores on held-out patients to a calibrated, judged bundle."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.calibration import (
    COVERAGE,
    MODALITIES,
    Group,
    Reference,
    fit_calibrator,
    fit_reference,
    fit_space,
    fit_step_calibrator,
    history_of,
    parts_differ,
    ranks_by_chance,
    train_shares,
    value_of,
    with_class_sets,
    with_interval,
    with_nested_loss,
    with_thresholds,
)
from pipeline.progress import Progress
from pipeline.train.examples import Example
from pipeline.train.judge import calibrated_alike, calibrated_steps, judge_task, judged_by
from pipeline.train.scores import (
    Array,
    Scores,
    Subset,
    is_known,
    labels_of,
    steps_of,
)
from pipeline.train.shares import score_in_shares, score_with_hidden_in_shares
from pipeline.train.splits import Part, one_study_each
from schemas.calibration import AnyCalibrator, Calibrator, StepCalibrator
from schemas.history import History
from schemas.metrics import AnyMetrics
from schemas.protocol import Protocol
from schemas.task import Task

HELD_OUT: tuple[Part, ...] = ("validation", "calibration", "conformal")
SUBSETS_FITTED_ON: tuple[Part, ...] = ("calibration", "conformal")

Parts = Mapping[Part, Sequence[Example]]


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
    hidden: dict[Part, dict[Subset, Array]] = {}
    for part, cases in inputs.items():
        if not cases:
            continue
        what = f"scoring the {part} part"
        if part in SUBSETS_FITTED_ON:
            scores[part], hidden[part] = score_with_hidden_in_shares(bundle, cases, progress, what)
        else:
            scores[part] = score_in_shares(bundle, cases, progress, what)
    held_out = [scores[part] for part in HELD_OUT if part in scores]
    reference = _reference(parts["train"], scores["train"], held_out)
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


def _reference(train: Sequence[Example], own: Scores, held_out: Sequence[Scores]) -> Reference:
    """Fit what the training examples look like, with limits from held-out ones."""
    usual = Counter(history_of(present) for present in own.present).most_common(1)[0][0]
    return fit_reference(
        fit_space(own.summaries, np.concatenate([one.summaries for one in held_out])),
        fit_space(
            _histories(own, usual), np.concatenate([_histories(one, usual) for one in held_out])
        ),
        [example.quantities for example in train],
        history_of=usual,
        scanners=[example.scanner for example in train],
        body_parts=[part for example in train for part in example.body_parts],
    )


def _histories(scores: Scores, modalities: tuple[str, ...]) -> Array:
    """Return the pooled histories that have just these modalities."""
    return scores.histories[[history_of(present) == modalities for present in scores.present]]


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
        for part in ("train", "calibration", "conformal", "test")
        if part in scores
    }
    calibration = judged.pop("calibration")
    said = (
        *ranks_by_chance(bundle.calibrators[number]),
        *parts_differ(calibration, judged),
        *metrics.doubts,
    )
    return metrics.model_copy(update={"doubts": said})


def _usual(task: Task, labels: Array) -> tuple[float, ...]:
    """Return the share of each of a task's outcomes among labels, (n, L)."""
    known = labels[is_known(labels)]
    return (float(known.mean()),) if task.kind == "binary" else train_shares(task, known)


def _calibrator(
    bundle: Bundle,
    number: int,
    parts: Parts,
    scores: Mapping[Part, Scores],
    hidden: Mapping[Part, Mapping[Subset, Array]],
) -> AnyCalibrator:
    tasks, task = bundle.protocol.tasks, bundle.protocol.tasks[number]
    labels = labels_of(parts["calibration"], tasks, number)
    known = is_known(labels)
    own = steps_of(scores["calibration"].logits, tasks, number)[known]
    parted = {
        subset: steps_of(values, tasks, number)[known]
        for subset, values in hidden["calibration"].items()
    }
    patients = np.array([example.patient_id for example in parts["calibration"]])[known]
    fitted: AnyCalibrator
    if task.kind == "binary":
        members = steps_of(scores["calibration"].members, tasks, number)[:, known, 0]
        apart = {subset: values[:, 0] for subset, values in parted.items()}
        fitted = _binary(task.name, own[:, 0], labels[known, 0], apart, patients, members=members)
    else:
        fitted = fit_step_calibrator(task, own, labels[known], parted, patients)
    if not parts["conformal"]:
        return fitted
    return _with_thresholds(
        fitted, bundle.protocol, number, parts["conformal"], scores["conformal"],
        hidden["conformal"],
    )  # fmt: skip


def _binary(
    task: str,
    own: Array,
    labels: Array,
    hidden: Mapping[Subset, Array],
    patients: NDArray[np.str_],
    *,
    members: Array,
) -> Calibrator:
    """Fit a binary task's map, what choosing it costs, and its interval, on known cases."""
    truth = labels.astype(np.int64)
    fitted = fit_calibrator(task, own, truth, hidden, patients)
    fitted = with_nested_loss(fitted, own, truth, hidden, patients)
    return with_interval(fitted, members, labels, hidden, patients)


def _with_thresholds(
    fitted: AnyCalibrator,
    protocol: Protocol,
    number: int,
    examples: Sequence[Example],
    scores: Scores,
    hidden: Mapping[Subset, Array],
) -> AnyCalibrator:
    """Return a task's calibrator with what is set on the conformal part."""
    tasks, task = protocol.tasks, protocol.tasks[number]
    if task.kind == "survival":
        return fitted
    labels = labels_of(examples, tasks, number)
    chosen = _one_each(examples, is_known(labels), protocol.training.seed)
    probability = calibrated_steps(fitted, tasks, number, scores)[chosen]
    apart = {
        subset: _read_with_only(fitted, steps_of(values, tasks, number)[chosen], subset)
        for subset, values in hidden.items()
    }
    levels = labels[chosen, 0]
    if isinstance(fitted, StepCalibrator):
        return with_class_sets(fitted, probability, levels, apart, coverage=COVERAGE)
    binary = {subset: values[:, 0] for subset, values in apart.items()}
    cases = [(examples[place].history, scores.present[place]) for place in chosen]
    return with_thresholds(
        fitted, probability[:, 0], levels.astype(np.int64), task.operating, binary,
        _groups(protocol, task, cases),
    )  # fmt: skip


def _groups(
    protocol: Protocol, task: Task, cases: Sequence[tuple[History, tuple[str, ...]]]
) -> Iterator[Group]:
    """Give the whole cases of each value of the variable by which sets are set apart."""
    values = [
        value_of(task, history) if set(present) == set(MODALITIES) else None
        for history, present in cases
    ]
    column = next((one for one in protocol.table if one.name == task.sets_by), None)
    if column is None:
        return
    for value in sorted({value for value in values if value is not None}):
        members = np.array([own == value for own in values])
        yield Group(value, f"{column.label or column.name}: {value}", members)


def _one_each(
    examples: Sequence[Example], known: NDArray[np.bool_], seed: int
) -> NDArray[np.int64]:
    """Return the places of one known study a patient.

    Thresholds guarantee nothing of cases that go together.
    """
    places: list[int] = np.flatnonzero(known).tolist()
    studies = [(examples[place].patient_id, examples[place].study_uid) for place in places]
    return np.array([places[own] for own in one_study_each(studies, seed=seed)], dtype=np.int64)


def _read_with_only(fitted: AnyCalibrator, steps: Array, present: Subset) -> Array:
    """Return calibrated probabilities of cases read so, shape (n, outcomes); NaN as the steps."""
    there = ~np.isnan(steps).any(axis=1)
    own = calibrated_alike(fitted, steps[there], present)
    probability = np.full((len(steps), own.shape[1]), np.nan)
    probability[there] = own
    return probability

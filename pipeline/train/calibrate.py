"""A trained network's scores on held-out patients to a calibrated, judged bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.bundle import Bundle
from pipeline.calibration import (
    MODALITIES,
    Answers,
    fit_calibrator,
    fit_reference,
    judge,
    label_set,
    to_probability,
    with_thresholds,
)
from pipeline.progress import Progress
from pipeline.tensors import ModelInput
from pipeline.train.examples import Example
from pipeline.train.groups import groups_of
from pipeline.train.splits import Part
from schemas.calibration import Calibrator
from schemas.metrics import TaskMetrics

BATCH = 32
HELD_OUT: tuple[Part, ...] = ("validation", "calibration", "conformal")
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
    logits : shape (n, K), log-odds
    summaries : shape (m, C)
        Pooled features of the m examples that have an image.
    present
        The modalities of each example.
    """

    logits: Array
    summaries: Array
    present: tuple[tuple[str, ...], ...]


def score(bundle: Bundle, inputs: Sequence[ModelInput]) -> Scores:
    """Run the network over cases."""
    logits, summaries = [], []
    for start in range(0, len(inputs), BATCH):
        chosen = inputs[start : start + BATCH]
        output = bundle.predict(chosen)
        logits.append(output.logits.double().cpu().numpy())
        has_image = [case.image is not None for case in chosen]
        summaries.append(output.summary.double().cpu().numpy()[has_image])
    return Scores(
        np.concatenate(logits), np.concatenate(summaries), tuple(case.present for case in inputs)
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
        progress("scoring held-out patients", number, len(parts) + len(SUBSETS))
        scores[part] = score(bundle, inputs[part])
    held_out = [part for part in HELD_OUT if part in scores]
    reference = fit_reference(
        scores["train"].summaries,
        np.concatenate([scores[part].summaries for part in held_out]),
        [example.quantities for example in parts["train"]],
    )
    hidden = {}
    for number, subset in enumerate(SUBSETS):
        progress("scoring held-out patients", len(parts) + number, len(parts) + len(SUBSETS))
        hidden[subset] = hidden_scores(bundle, inputs["calibration"], subset)
    progress("scoring held-out patients", 1, 1)
    calibrators = tuple(
        _calibrator(bundle, number, parts, scores, hidden)
        for number in range(len(bundle.protocol.tasks))
    )
    bundle = replace(bundle, reference=reference, calibrators=calibrators)
    metrics = tuple(
        judge_task(
            bundle, number, parts["test"], scores["test"],
            train_prevalence=float(np.nanmean(labels_of(parts["train"], number))),
        )
        for number in range(len(calibrators))
    )  # fmt: skip
    return replace(bundle, metrics=metrics)


def judge_task(
    bundle: Bundle,
    number: int,
    examples: Sequence[Example],
    scores: Scores,
    *,
    train_prevalence: float,
) -> TaskMetrics:
    """Judge one task of a calibrated bundle on labelled examples.

    Raises
    ------
    CalibrationError
        If only one class is there.
    """
    calibrator = bundle.calibrators[number]
    labels = labels_of(examples, number)
    known = ~np.isnan(labels)
    probability = probabilities(calibrator, number, scores)
    answers = Answers(
        probability=probability,
        raw_probability=expit(scores.logits[:, number]),
        labels=labels,
        patients=np.array([example.patient_id for example in examples]),
        sets=tuple(label_set(calibrator.conformal, value) for value in probability),
    )
    chosen = [example for example, is_known in zip(examples, known, strict=True) if is_known]
    return judge(
        calibrator.task,
        answers.chosen(known),
        train_prevalence=train_prevalence,
        groups=groups_of(chosen, bundle.protocol),
    )


def _calibrator(
    bundle: Bundle,
    number: int,
    parts: Parts,
    scores: Mapping[Part, Scores],
    hidden: Mapping[tuple[str, ...], Array],
) -> Calibrator:
    task = bundle.protocol.tasks[number]
    labels = labels_of(parts["calibration"], number)
    known = ~np.isnan(labels)
    fitted = fit_calibrator(
        task.name, scores["calibration"].logits[known, number], labels[known].astype(np.int64),
        {subset: values[known, number] for subset, values in hidden.items()},
    )  # fmt: skip
    if not parts["conformal"]:
        return fitted
    labels = labels_of(parts["conformal"], number)
    known = ~np.isnan(labels)
    probability = probabilities(fitted, number, scores["conformal"])
    return with_thresholds(
        fitted, probability[known], labels[known].astype(np.int64), task.operating
    )


def hidden_scores(bundle: Bundle, inputs: Sequence[ModelInput], subset: tuple[str, ...]) -> Array:
    """Return logits read with only these modalities, shape (n, K); NaN where one is absent."""
    has_all = [place for place, case in enumerate(inputs) if set(subset) <= set(case.present)]
    logits = np.full((len(inputs), len(bundle.protocol.tasks)), np.nan)
    if has_all:
        logits[has_all] = score(bundle, [inputs[place].only(subset) for place in has_all]).logits
    return logits


def probabilities(calibrator: Calibrator, number: int, scores: Scores) -> Array:
    """Return one task's calibrated probabilities, each by its own subset's map, shape (n,)."""
    return np.array([
        float(to_probability(calibrator, logit, present))
        for logit, present in zip(scores.logits[:, number], scores.present, strict=True)
    ])  # fmt: skip


def labels_of(examples: Sequence[Example], number: int) -> Array:
    """Return one task's labels, NaN where unknown, shape (n,)."""
    return np.array([example.labels[number] for example in examples], dtype=np.float64)

"""A bundle on a labelled cohort: as a whole, by group, by modality, and against other bundles."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle, load_bundle, split_of, with_policy
from pipeline.calibration import (
    mean_auroc,
    outcome_probabilities,
    paired_difference,
    questions,
    task_log_loss,
)
from pipeline.calibration.statistics import (
    calibration_slope,
    observed_to_expected,
    patient_weights,
)
from pipeline.errors import CalibrationError, UsageError
from pipeline.progress import Progress, silent
from pipeline.train.examples import Example
from pipeline.train.judge import calibrated_alike, judge_task, probabilities
from pipeline.train.labelled import Source, read_labelled
from pipeline.train.scores import (
    SUBSETS,
    Scores,
    Subset,
    is_known,
    labels_of,
    steps_of,
)
from pipeline.train.shares import score_in_shares, score_with_hidden_in_shares
from pipeline.train.splits import was_seen
from schemas.calibration import AnyCalibrator, StepCalibrator
from schemas.evaluation import Comparison, Evaluation, NotJudged, SubsetResult
from schemas.metrics import AnyMetrics, Interval, StepMetrics
from schemas.protocol import Protocol
from schemas.splits import SplitRecord
from schemas.task import Task

INPUTS = ("series", "grid", "intensity", "look_back_days", "table", "notes", "concepts")
"""Parts of a protocol that decide what a bundle reads."""
TEXT_INPUTS = ("max_tokens", "text_pooling")
"""Of its model's settings, what decides how sentences are read."""

Array = NDArray[np.float64]


def evaluate(
    source: Source,
    bundle_folder: Path,
    *,
    others: Sequence[Path] = (),
    protocol: Protocol | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Judge a bundle on the labelled studies of a cohort.

    Patients who helped to make the bundle or one of the others are left out, by the splits that
    bundles keep, so that a bundle can be judged on the cohort that it was trained on.

    Parameters
    ----------
    others
        Bundles of the same tasks to compare with, case by case.
    protocol
        The bundle's with the site's own parts; None for the bundle's as it is.

    Raises
    ------
    UsageError
        If no task can be judged, another bundle answers other tasks or reads other inputs, or the
        protocol differs in what training saw.
    """
    bundle, rivals = load_bundle(bundle_folder), [load_bundle(path) for path in others]
    for rival in rivals:
        _require_comparable(bundle, rival)
    if protocol is not None:
        bundle = with_policy(bundle, protocol)
    found, n_labelled = read_labelled(
        source, bundle.protocol, bundle.text_encoder, progress=progress
    )
    examples = _unseen(found, [split_of(path) for path in (bundle_folder, *others)])
    inputs = [example.model_input(bundle.table_transform) for example in examples]
    scores, hidden = score_with_hidden_in_shares(bundle, inputs, progress)
    judged, not_judged = _judged(bundle, examples, scores)
    tasks = range(len(bundle.protocol.tasks))
    return Evaluation(
        bundle=bundle.identity,
        title=bundle.protocol.title,
        n_studies=len(examples),
        n_known_to_training=len(found) - len(examples),
        n_unread=n_labelled - len(found),
        tasks=judged,
        not_judged=not_judged,
        subsets=tuple(
            result for number in tasks for result in _subsets_of(bundle, number, examples, hidden)
        ),
        comparisons=tuple(
            result for rival in rivals for result in _compare(bundle, examples, scores, rival)
        ),
        maps=bundle.maps,
    )  # fmt: skip


def _judged(
    bundle: Bundle, examples: Sequence[Example], scores: Scores
) -> tuple[tuple[AnyMetrics, ...], tuple[NotJudged, ...]]:
    """Judge each task; a site may not have the outcomes of all."""
    judged, not_judged = [], []
    for number, task in enumerate(bundle.protocol.tasks):
        if not is_known(labels_of(examples, bundle.protocol.tasks, number)).any():
            reason = f"task {task.name}: no study that was read has its outcome"
            not_judged.append(NotJudged(task=task.name, reason=reason))
            continue
        usual = _usual(bundle.metrics[number])
        try:
            judged.append(judge_task(bundle, number, examples, scores, usual=usual))
        except CalibrationError as fault:
            not_judged.append(NotJudged(task=task.name, reason=str(fault)))
    if not judged:
        msg = f"nothing can be judged: {'; '.join(one.reason for one in not_judged)}"
        raise UsageError(msg)
    return tuple(judged), tuple(not_judged)


def _usual(metrics: AnyMetrics) -> tuple[float, ...]:
    if isinstance(metrics, StepMetrics):
        return metrics.train_shares
    return (metrics.train_prevalence,)


def _require_comparable(bundle: Bundle, rival: Bundle) -> None:
    """Examples are read once: a rival that reads anything else would be shown the wrong inputs."""
    for what, mine, its in (
        ("tasks", _asked(bundle), _asked(rival)),
        ("text encoder", bundle.text_encoder.sha256, rival.text_encoder.sha256),
        *(
            (
                f"model.{name}",
                getattr(bundle.protocol.model, name),
                getattr(rival.protocol.model, name),
            )
            for name in TEXT_INPUTS
        ),
        *((name, getattr(bundle.protocol, name), getattr(rival.protocol, name)) for name in INPUTS),
    ):
        if mine != its:
            msg = (
                f"the bundle {rival.identity.name} ({rival.identity.sha256[:12]}) has other "
                f"{what}: compare bundles of the same tasks and inputs"
            )
            raise UsageError(msg)


def _asked(bundle: Bundle) -> list[Task]:
    """Return the tasks without what decides thresholds alone."""
    thresholds = {"operating": (), "sets_by": ""}
    return [task.model_copy(update=thresholds) for task in bundle.protocol.tasks]


def _unseen(examples: Sequence[Example], records: Sequence[SplitRecord]) -> list[Example]:
    """Return the examples of patients who helped to make none of the bundles."""
    unseen = [
        example for example in examples
        if not any(was_seen(record, example.patient_id) for record in records)
    ]  # fmt: skip
    if not unseen:
        msg = "every labelled patient was used to train this bundle: evaluate on other patients"
        raise UsageError(msg)
    return unseen


def _subsets_of(
    bundle: Bundle,
    number: int,
    examples: Sequence[Example],
    hidden: Mapping[Subset, Array],
) -> list[SubsetResult]:
    """Compare on the cases that have everything, so that subsets differ in nothing else."""
    tasks, task = bundle.protocol.tasks, bundle.protocol.tasks[number]
    labels = labels_of(examples, tasks, number)
    steps = {present: steps_of(values, tasks, number) for present, values in hidden.items()}
    chosen = is_known(labels) & is_known(steps[SUBSETS[0]])
    if not chosen.any():
        return []
    weights = patient_weights(_patients(examples)[chosen])

    def ranking(present: Subset) -> Array | None:
        raw = outcome_probabilities(task.kind, steps[present][chosen])
        asked = questions(task, raw, labels[chosen])
        return mean_auroc(asked, weights) if all(one.has_both for one in asked) else None

    whole = ranking(SUBSETS[0])
    results = []
    for present in SUBSETS[1:]:
        own = ranking(present)
        if own is None or whole is None:
            continue
        slope, ratio = _calibrated(
            bundle.calibrators[number], steps[present][chosen], labels[chosen], present, weights
        )
        results.append(
            SubsetResult(
                task=task.name, present=present, n_cases=int(chosen.sum()),
                auroc=paired_difference(own), difference=paired_difference(own, whole),
                slope=slope, observed_to_expected=ratio,
            )
        )  # fmt: skip
    return results


def _calibrated(
    calibrator: AnyCalibrator, steps: Array, labels: Array, present: Sequence[str], weights: Array
) -> tuple[Interval | None, Interval | None]:
    """Return slope and observed / expected of cases read so; None of tasks with several answers."""
    if isinstance(calibrator, StepCalibrator):
        return None, None
    p, y = calibrated_alike(calibrator, steps, present)[:, 0], labels[:, 0]
    found = (statistic(y, p, weights) for statistic in (calibration_slope, observed_to_expected))
    slope, ratio = (paired_difference(values) for values in found)
    return slope, ratio


def _compare(
    bundle: Bundle, examples: Sequence[Example], scores: Scores, rival: Bundle
) -> list[Comparison]:
    inputs = [example.model_input(rival.table_transform) for example in examples]
    theirs = score_in_shares(rival, inputs, silent)
    patients = _patients(examples)
    results = []
    for number, task in enumerate(bundle.protocol.tasks):
        labels = labels_of(examples, bundle.protocol.tasks, number)
        known = is_known(labels)
        if not known.any():
            continue
        y, weights = labels[known], patient_weights(patients[known])
        told = [
            probabilities(bundle, number, scores)[known],
            probabilities(rival, number, theirs)[known],
        ]
        asked = [questions(task, p, y) for p in told]
        # A class that no case has cannot be ranked, and NaN is no interval.
        has_all = all(one.has_both for one in asked[0])
        rankings = [mean_auroc(one, weights) for one in asked] if has_all else []
        losses = [task_log_loss(task, p, y, weights) for p in told]
        results.append(
            Comparison(
                task=task.name,
                name=rival.identity.name,
                sha256=rival.identity.sha256,
                auroc=paired_difference(rankings[1]) if has_all else None,
                difference=paired_difference(*rankings) if has_all else None,
                log_loss_difference=paired_difference(*losses),
            )
        )
    return results


def _patients(examples: Sequence[Example]) -> NDArray[np.str_]:
    return np.array([example.patient_id for example in examples])

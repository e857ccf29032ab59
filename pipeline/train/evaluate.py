"""A bundle on a labelled cohort: as a whole, by group, by modality, and against other bundles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle, load_bundle, split_of, with_policy
from pipeline.calibration import paired_difference
from pipeline.calibration.statistics import auroc, log_loss, patient_weights
from pipeline.cohort import open_cohort
from pipeline.errors import UsageError
from pipeline.history import read_labels
from pipeline.progress import Progress, silent
from pipeline.train.calibrate import (
    SUBSETS,
    Scores,
    hidden_scores,
    judge_task,
    labels_of,
    probabilities,
    score,
)
from pipeline.train.examples import Example, read_examples
from pipeline.train.splits import was_seen
from schemas.evaluation import Comparison, Evaluation, SubsetResult
from schemas.protocol import Protocol

Array = NDArray[np.float64]


def evaluate(
    cohort_folder: Path,
    bundle_folder: Path,
    *,
    others: Sequence[Path] = (),
    protocol: Protocol | None = None,
    database: str = "",
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
    database
        URL of an OMOP database that holds the records instead of the folder; "" for none.

    Raises
    ------
    UsageError
        If nothing can be judged, another bundle answers other tasks, or the protocol differs in
        what training saw.
    CalibrationError
        If a task has one class only.
    """
    bundle, rivals = load_bundle(bundle_folder), [load_bundle(path) for path in others]
    _check_same_tasks(bundle, rivals)
    if protocol is not None:
        bundle = with_policy(bundle, protocol)
    labels = read_labels(cohort_folder, bundle.protocol)
    cohort = open_cohort(cohort_folder, bundle.protocol, database=database, progress=progress)
    found = read_examples(cohort, labels, bundle.text_encoder, progress=progress)
    records = [split_of(path) for path in (bundle_folder, *others)]
    examples = [
        example for example in found
        if not any(was_seen(record, example.patient_id) for record in records)
    ]  # fmt: skip
    if not examples:
        msg = "every labelled patient was used to train this bundle: evaluate on other patients"
        raise UsageError(msg)
    inputs = [example.model_input(bundle.table_transform) for example in examples]
    scores = score(bundle, inputs)
    tasks = range(len(bundle.protocol.tasks))
    prevalence = {known.task: known.train_prevalence for known in bundle.metrics}
    whole = [
        judge_task(
            bundle, number, examples, scores,
            train_prevalence=prevalence[bundle.protocol.tasks[number].name],
        )
        for number in tasks
    ]  # fmt: skip
    hidden = {}
    for place, subset in enumerate(SUBSETS):
        progress("hiding modalities", place, len(SUBSETS))
        hidden[subset] = hidden_scores(bundle, inputs, subset)
    progress("hiding modalities", 1, 1)
    return Evaluation(
        bundle=bundle.identity,
        title=bundle.protocol.title,
        n_studies=len(examples),
        n_known_to_training=len(found) - len(examples),
        n_unread=len(labels.values) - len(found),
        tasks=tuple(whole),
        subsets=tuple(
            result for number in tasks for result in _subsets(bundle, number, examples, hidden)
        ),
        comparisons=tuple(
            _compare(bundle, number, examples, scores, other)
            for other in rivals
            for number in tasks
        ),
    )


def _check_same_tasks(bundle: Bundle, others: Sequence[Bundle]) -> None:
    wanted = [task.name for task in bundle.protocol.tasks]
    for other in others:
        found = [task.name for task in other.protocol.tasks]
        if found != wanted:
            msg = (
                f"the bundle {other.identity.name} answers {', '.join(found)}, "
                f"not {', '.join(wanted)}: compare bundles of the same tasks"
            )
            raise UsageError(msg)


def _subsets(
    bundle: Bundle,
    number: int,
    examples: Sequence[Example],
    hidden: dict[tuple[str, ...], Array],
) -> list[SubsetResult]:
    """Compare on the cases that have everything, so that subsets differ in nothing else."""
    labels = labels_of(examples, number)
    complete = hidden[SUBSETS[0]][:, number]
    chosen = ~np.isnan(labels) & ~np.isnan(complete)
    y = labels[chosen]
    if not 0 < y.sum() < len(y):
        return []
    weights = patient_weights(_patients(examples)[chosen])
    whole = auroc(y, complete[chosen], weights)
    results = []
    for present in SUBSETS[1:]:
        own = auroc(y, hidden[present][chosen, number], weights)
        results.append(
            SubsetResult(
                task=bundle.protocol.tasks[number].name, present=present, n_cases=len(y),
                auroc=paired_difference(own), difference=paired_difference(own, whole),
            )
        )  # fmt: skip
    return results


def _compare(
    bundle: Bundle, number: int, examples: Sequence[Example], scores: Scores, other: Bundle
) -> Comparison:
    labels = labels_of(examples, number)
    known = ~np.isnan(labels)
    y, weights = labels[known], patient_weights(_patients(examples)[known])
    theirs = score(other, [example.model_input(other.table_transform) for example in examples])
    ours = probabilities(bundle.calibrators[number], number, scores)[known]
    their = probabilities(other.calibrators[number], number, theirs)[known]
    return Comparison(
        task=bundle.protocol.tasks[number].name,
        name=other.identity.name,
        sha256=other.identity.sha256,
        auroc=paired_difference(auroc(y, their, weights)),
        difference=paired_difference(auroc(y, ours, weights), auroc(y, their, weights)),
        log_loss_difference=paired_difference(
            log_loss(y, ours, weights), log_loss(y, their, weights)
        ),
    )


def _patients(examples: Sequence[Example]) -> NDArray[np.str_]:
    return np.array([example.patient_id for example in examples])

"""What a bundle's network says of many patients, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.calibration import MODALITIES
from pipeline.model.heads import all_steps
from pipeline.progress import Progress, silent
from pipeline.tensors import ModelInput
from pipeline.train.examples import Example
from schemas.task import Task

BATCH = 32
SCORING = "scoring patients"

Subset = tuple[str, ...]
SUBSETS: tuple[Subset, ...] = tuple(
    subset for size in (3, 2, 1) for subset in combinations(MODALITIES, size)
)
NOTHING: Subset = ()
"""What reports start from when they say what each modality counts for."""

Array = NDArray[np.float64]


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
    histories : shape (n, D)
        Pooled history tokens.
    present
        The modalities of each example.
    """

    logits: Array
    members: Array
    summaries: Array
    histories: Array
    present: tuple[tuple[str, ...], ...]


def score(
    bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress = silent, what: str = SCORING
) -> Scores:
    """Run the network over cases.

    Parameters
    ----------
    what
        The name under which progress is told.
    """
    logits, members, summaries, histories = [], [], [], []
    for start in range(0, len(inputs), BATCH):
        progress(what, start, len(inputs))
        chosen = inputs[start : start + BATCH]
        output = bundle.unsettled(chosen)
        steps = [
            all_steps(one, output.cuts, bundle.protocol.tasks).double().cpu().numpy()
            for one in (output.logits, *output.each_member)
        ]
        logits.append(steps[0])
        members.append(np.stack(steps[1:]))
        has_image = [case.image is not None for case in chosen]
        summaries.append(output.summary.double().cpu().numpy()[has_image])
        histories.append(output.history_summary.double().cpu().numpy())
    progress(what, len(inputs), len(inputs))
    return Scores(
        np.concatenate(logits),
        np.concatenate(members, axis=1),
        np.concatenate(summaries),
        np.concatenate(histories),
        tuple(case.present for case in inputs),
    )


def score_with_hidden(
    bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress = silent, what: str = SCORING
) -> tuple[Scores, dict[Subset, Array]]:
    """Run the network over cases as they are, and over what is left of each in all other ways.

    All subsets of a case are read one after the other, so that its image is encoded once, or twice
    where they do not fit into one batch.

    Returns
    -------
    scores
        Of the cases as they are.
    hidden
        Logits read with only the modalities of one of `SUBSETS`, or `NOTHING`, (n, S) by subset;
        NaN where one is absent.
    """
    asked = [
        (place, subset)
        for place, case in enumerate(inputs)
        for subset in (*SUBSETS, NOTHING)
        if set(subset) <= set(case.present)
    ]
    is_whole = [subset == inputs[place].present for place, subset in asked]
    cases = [
        inputs[place] if whole else inputs[place].only(subset)
        for whole, (place, subset) in zip(is_whole, asked, strict=True)
    ]

    def patients(told: str, done: int, total: int) -> None:
        progress(told, done * len(inputs) // total, len(inputs))

    scores = score(bundle, cases, patients, what)
    hidden = {
        subset: np.full((len(inputs), scores.logits.shape[1]), np.nan)
        for subset in (*SUBSETS, NOTHING)
    }
    for (place, subset), own in zip(asked, scores.logits, strict=True):
        hidden[subset][place] = own
    return _rows(scores, np.flatnonzero(is_whole)), hidden


def _rows(scores: Scores, rows: NDArray[np.int64]) -> Scores:
    """Return what was said of some of the examples."""
    has_image = np.array(["image" in present for present in scores.present])
    of_images = np.cumsum(has_image) - 1
    return Scores(
        scores.logits[rows],
        scores.members[:, rows],
        scores.summaries[of_images[rows[has_image[rows]]]],
        scores.histories[rows],
        tuple(scores.present[row] for row in rows),
    )


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

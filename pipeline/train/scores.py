"""What a bundle's network says of many patients, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.model.heads import all_steps
from pipeline.tensors import ModelInput
from pipeline.train.examples import Example
from schemas.task import Task

BATCH = 32

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


def score(bundle: Bundle, inputs: Sequence[ModelInput]) -> Scores:
    """Run the network over cases."""
    logits, members, summaries, histories = [], [], [], []
    for start in range(0, len(inputs), BATCH):
        chosen = inputs[start : start + BATCH]
        output = bundle.unsettled(chosen)
        told = [
            all_steps(one, output.cuts, bundle.protocol.tasks).double().cpu().numpy()
            for one in (output.logits, *output.each_member)
        ]
        logits.append(told[0])
        members.append(np.stack(told[1:]))
        has_image = [case.image is not None for case in chosen]
        summaries.append(output.summary.double().cpu().numpy()[has_image])
        histories.append(output.history_summary.double().cpu().numpy())
    return Scores(
        np.concatenate(logits),
        np.concatenate(members, axis=1),
        np.concatenate(summaries),
        np.concatenate(histories),
        tuple(case.present for case in inputs),
    )


def hidden_scores(
    bundle: Bundle, inputs: Sequence[ModelInput], subsets: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], Array]:
    """Return logits read with only these modalities, (n, S) by subset; NaN where one is absent.

    All subsets of a case are read one after the other, so that its image is encoded once, or twice
    where they do not fit into one batch.
    """
    n_steps = sum(task.n_steps for task in bundle.protocol.tasks)
    found = {subset: np.full((len(inputs), n_steps), np.nan) for subset in subsets}
    asked = [
        (place, subset)
        for place, case in enumerate(inputs)
        for subset in subsets
        if set(subset) <= set(case.present)
    ]
    if asked:
        logits = score(bundle, [inputs[place].only(subset) for place, subset in asked]).logits
        for (place, subset), own in zip(asked, logits, strict=True):
            found[subset][place] = own
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

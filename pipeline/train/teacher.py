"""What boosted trees, fitted on other training patients, say of each, for the network to learn.

An outcome is one draw; a probability from other patients says more of the risk behind it, and a
network that learns from it strays less (G. Hinton, O. Vinyals and J. Dean, 2015, call it
distillation). Trees find in few thousand patients which variables matter, but not where in a scan
the evidence lies: so they teach, and the network answers.

Shapes: n examples, Q logits, V table variables, F features a variable, N image tokens.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from pipeline.model.collate import collate, on_device
from pipeline.model.heads import task_logits
from pipeline.model.image_encoder import token_mask
from pipeline.model.network import FusedNetwork
from pipeline.model.readout import FIRST_SHIFT, FIRST_STEEPNESS, FIRST_TURN
from pipeline.preprocess import TableTransform
from pipeline.tensors import ModelOutput
from pipeline.train.examples import Example
from pipeline.train.processes import of_first
from pipeline.train.splits import patient_key
from schemas.protocol import Protocol
from schemas.task import Task

logger = logging.getLogger(__name__)

BATCH = 64
N_FOLDS = 5
MIN_PATIENTS = 100
"""Of each outcome; chosen, not measured: trees that saw few know little, and a network that learns
from them no more than they do."""

Array = NDArray[np.float64]


def taught(
    network: FusedNetwork,
    examples: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
) -> list[Example]:
    """Return the examples with what fusing is to learn of each in place of its bare outcome.

    For each binary task, ``training.teacher_share`` of the outcome is replaced by the probability
    from trees that were fitted on four fifths of the other patients. They read what the image
    branch, which is trained by then (on all of them), finds for the task's question, the table with
    the concepts, and products of the two. Tasks of other kinds, and those with fewer than
    ``MIN_PATIENTS`` patients of either outcome, keep their outcomes; unknown ones stay unknown.

    Parameters
    ----------
    examples
        Of the training part; a patient who was drawn several times is in one fold.
    """
    seen = seen_in(network, examples, transform, protocol)
    told = told_of(examples, transform, protocol)
    patients = np.array([patient_key(example.patient_id) for example in examples])
    soft = np.stack([example.labels for example in examples])
    share = protocol.training.teacher_share
    for column, number, task in _binary(protocol.tasks):
        labels = soft[:, column].copy()
        known = ~np.isnan(labels)
        if not _is_teachable(labels[known], patients[known]):
            logger.warning("task %s: too few outcomes for a teacher; it keeps them", task.name)
            continue
        features = features_of(seen[known, number], told[known])
        said = _left_out(features, labels[known], patients[known], protocol.training.seed)
        soft[known, column] = share * said + (1.0 - share) * labels[known]
    soft = of_first(soft)  # processes that round otherwise might grow other trees
    return [replace(one, soft=own) for one, own in zip(examples, soft, strict=True)]


def _binary(tasks: Sequence[Task]) -> Iterator[tuple[int, int, Task]]:
    """Give each binary task with its column of the labels and the number of its logit."""
    column = 0
    for task, logits in zip(tasks, task_logits(tasks), strict=True):
        if task.kind == "binary":
            yield column, logits.start, task
        column += len(task.label_columns)


def _is_teachable(labels: NDArray[np.float32], patients: NDArray[np.str_]) -> bool:
    return all(len(set(patients[labels == value])) >= MIN_PATIENTS for value in (0.0, 1.0))


def _left_out(
    features: Array, labels: NDArray[np.float32], patients: NDArray[np.str_], seed: int
) -> Array:
    """Return the probability of each case from trees fitted without its patient's fold, (n,)."""
    said = np.empty(len(labels))
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    for kept, left_out in folds.split(features, labels, patients):
        known = ~np.isnan(features[kept]).all(0)  # trees cannot bin a column without any value
        trees = HistGradientBoostingClassifier(
            max_iter=300, learning_rate=0.02, max_leaf_nodes=8, min_samples_leaf=40,
            l2_regularization=5.0, max_features=0.3, early_stopping=False, random_state=seed,
        ).fit(features[np.ix_(kept, known)], labels[kept])  # fmt: skip
        said[left_out] = trees.predict_proba(features[np.ix_(left_out, known)])[:, 1]
    return said


def features_of(seen: Array, told: Array) -> Array:
    """Return what is seen, what is told, and each pair's product, NaN where either is missing.

    A finding counts as there by the same function of the gates' sum with which `Findings` begins.

    Parameters
    ----------
    seen : shape (n, 6)
        Amount, centroid, peak, log-odds of the image by itself.
    told : shape (n, V F)
    """
    amount, centroid = seen[:, :1], seen[:, 1:4]
    there = amount**FIRST_STEEPNESS / (FIRST_TURN**FIRST_STEEPNESS + amount**FIRST_STEEPNESS)
    placed = np.hstack([there, there * centroid])
    products = placed[:, :, None] * told[:, None, :]
    return np.hstack([seen, amount * centroid, placed, told, products.reshape(len(seen), -1)])


@torch.inference_mode()
def seen_in(
    network: FusedNetwork,
    examples: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
) -> Array:
    """Return what the image branch finds for each logit's question, NaN where nothing was scanned.

    Returns
    -------
    array of shape (n, Q, 6)
        Sum of the gates (shifted as `Findings` at first shifts them), their centroid in units of
        50 mm, highest presence, and log-odds of the image by itself.
    """
    network.eval()
    found = []
    for start in range(0, len(examples), BATCH):
        inputs = [example.model_input(transform) for example in examples[start : start + BATCH]]
        batch = collate(
            inputs, protocol, text_width=network.questions.shape[1], table_width=transform.width
        )
        scanned = token_mask(batch["scanned"])
        scanned = scanned[batch["image_of"]] if "image_of" in batch else scanned
        scanned = (scanned & batch["has_image"][:, None]).to(network.bias.device)
        output: ModelOutput = network(on_device(batch, network.bias.device))
        found.append(_summary(output, scanned, network.places[:, :3]))
    return np.concatenate(found)


def _summary(output: ModelOutput, scanned: torch.Tensor, places: torch.Tensor) -> Array:
    """Return the (B, Q, 6) of :func:`seen_in`, of scanned tokens (B, N)."""
    presence = output.presence.double().masked_fill(~scanned[:, None], -torch.inf)
    gates = torch.sigmoid(presence + FIRST_SHIFT)
    amount = gates.sum(-1, keepdim=True)
    alone = output.image_alone.double()[..., None]
    parts = [amount, gates @ places.double() / amount, presence.amax(-1, keepdim=True), alone]
    seen = torch.cat(parts, -1).masked_fill(~scanned.any(1)[:, None, None], torch.nan)
    return np.asarray(seen.cpu().numpy())


def told_of(examples: Sequence[Example], transform: TableTransform, protocol: Protocol) -> Array:
    """Return the transformed table with the concepts, (n, V F); NaN where missing."""
    rows = np.full((len(examples), protocol.n_variables, transform.width), np.nan)
    for row, example in zip(rows, examples, strict=True):
        table = example.model_input(transform).table
        if table is not None:
            known = table.is_known.numpy()
            row[known] = table.values.numpy()[known]
    return rows.reshape(len(examples), -1)

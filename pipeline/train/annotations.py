"""Masks of what a finding looks like, as targets for the network's tokens."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError, IngestError, UsageError
from pipeline.geometry import Geometry
from pipeline.model.image_encoder import STRIDE
from pipeline.nifti import load_nifti
from schemas.protocol import Protocol
from schemas.task import Task

logger = logging.getLogger(__name__)

MIN_SHARE = 0.2

Tasks = Sequence[Task]


def token_masks(
    cohort_folder: Path, study_uid: str, grid: Geometry, protocol: Protocol
) -> NDArray[np.float32]:
    """Return each task's mask on the token grid.

    Parameters
    ----------
    cohort_folder
        Holds ``annotations/<study_uid>__<task>.nii.gz``.
    grid
        The model's grid for this study, mm, LPS.

    Returns
    -------
    shape (K, S/4, P/4, L/4)
        1 for a token that holds at least ``MIN_SHARE`` of what the token with most of the mask
        holds, else 0; NaN for a task without a mask.

    Raises
    ------
    UsageError
        If a mask cannot be read.
    """
    size = tuple(count // STRIDE for count in grid.shape)
    masks = np.full((len(protocol.tasks), *size), np.nan, dtype=np.float32)
    for number, task in enumerate(protocol.tasks):
        name = f"{study_uid}__{task.annotation or task.name}.nii.gz"
        path = cohort_folder / "annotations" / name
        if path.is_file():
            masks[number] = _token_mask(path, grid)
    return masks


def _token_mask(path: Path, grid: Geometry) -> NDArray[np.float32]:
    try:
        array, geometry = load_nifti(path)
    except (IngestError, GeometryError) as error:
        msg = f"annotations: {error}"
        raise UsageError(msg) from error
    tokens = mask_tokens(array, geometry, grid)
    if (array > 0).any() and not tokens.any():
        logger.warning(
            "%s: nothing of this mask lies in the part of the scan that the model reads, so it "
            "teaches nothing: check that it was drawn on this series", path.name
        )  # fmt: skip
        return np.full_like(tokens, np.nan)
    return tokens


def mask_tokens(
    array: NDArray[np.floating | np.integer], geometry: Geometry, grid: Geometry
) -> NDArray[np.float32]:
    """Mark the tokens that hold a mask, as :func:`token_masks` does for a file.

    Parameters
    ----------
    array
        Above 0 on the finding, on ``geometry``.
    grid
        The model's grid, mm, LPS.
    """
    size = tuple(count // STRIDE for count in grid.shape)
    voxels = grid.to_index(geometry.to_mm(np.argwhere(array > 0)))
    tokens = np.floor((voxels + 0.5) / STRIDE).astype(int)
    tokens = tokens[((tokens >= 0) & (tokens < np.array(size))).all(axis=1)]
    counts = np.zeros(size, dtype=np.float32)
    np.add.at(counts, tuple(tokens.T), 1.0)
    return (counts >= max(MIN_SHARE * float(counts.max()), 1.0)).astype(np.float32)


def with_empty_masks(
    masks: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.float32]], tasks: Tasks
) -> list[NDArray[np.float32]]:
    """Return the masks of cases, empty where the finding is known to be absent.

    Where the label of the finding's own task is 0 there is nothing to mark, so that none need be
    drawn to teach a network that what it sees there, bright as it may be, is not the finding.
    Only for tasks of which any case has a mask: of the others it is not known where they show.

    Parameters
    ----------
    masks : each of shape (K, S/4, P/4, L/4)
        NaN for a task without a mask; one that was drawn stays as it is.
    labels : each of shape (L,)
        In the order of the tasks' ``label_columns``, NaN where unknown.
    """
    columns = [column for task in tasks for column in task.label_columns]
    binary = {task.name for task in tasks if task.kind == "binary"}
    found = [own.copy() for own in masks]
    for number, task in enumerate(tasks):
        finding = task.annotation or task.name
        is_marked = any(not np.isnan(own[number]).all() for own in masks)
        if finding not in binary or not is_marked:
            continue
        column = columns.index(finding)
        for own, said in zip(found, labels, strict=True):
            if said[column] == 0 and np.isnan(own[number]).all():
                own[number] = 0.0
    return found

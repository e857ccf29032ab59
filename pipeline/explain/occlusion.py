"""Painting over one block of the image after another, to see what each was worth."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.explain.paint import Mask, image_of, painted
from pipeline.explain.reading import Array, Predict, additions_of, logits_of
from pipeline.tensors import ModelInput, ModelOutput

BLOCK_TOKENS = 2
"""Side of the blocks that are painted over one by one: a single token is too small to be missed."""


def occluded(predict: Predict, case: ModelInput, output: ModelOutput) -> Array:
    """Return how high a map ranks the block whose loss lowers its logit most.

    Most blocks of an image add next to nothing, so ranks over all of them would be of noise; and
    where several blocks show one finding, the loss of one is made good by the others.

    Returns
    -------
    shape (K,)
        Share of the blocks to which the map gives less than to that one, ties counting half; NaN
        where no block's loss lowers the logit.
    """
    additions = additions_of(output)
    blocks = list(_blocks(case, output.token_grid))
    before = output.logits[0].double().cpu().numpy()
    falls = before - logits_of(predict, [painted(case, voxels) for _, voxels in blocks])
    sums = np.stack([additions[:, tokens].sum(1) for tokens, _ in blocks])
    return np.array([_rank(sums[:, number], falls[:, number]) for number in range(len(before))])


def _rank(sums: Array, falls: Array) -> float:
    most = int(falls.argmax())
    if not falls[most] > 0.0:
        return np.nan
    return float((rankdata(sums)[most] - 1.0) / max(len(sums) - 1, 1))


def correlated(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return Pearson's correlation; NaN where either is the same everywhere."""
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 0.0 else np.nan


def _blocks(
    case: ModelInput, token_grid: tuple[int, int, int]
) -> Iterator[tuple[NDArray[np.intp], Mask]]:
    """Yield the tokens and the voxels of every block of which at least half was scanned."""
    scanned = image_of(case).scanned.any(0).numpy()
    a_token = np.array(scanned.shape) // np.array(token_grid)
    numbers = np.arange(np.prod(token_grid)).reshape(token_grid)
    for corner in np.ndindex(*(-(-count // BLOCK_TOKENS) for count in token_grid)):
        start = np.array(corner) * BLOCK_TOKENS
        tokens = numbers[tuple(slice(low, low + BLOCK_TOKENS) for low in start)].ravel()
        voxels = np.zeros(scanned.shape, dtype=bool)
        voxels[
            tuple(
                slice(low * side, (low + BLOCK_TOKENS) * side)
                for low, side in zip(start, a_token, strict=True)
            )
        ] = True
        if scanned[voxels].mean() >= 0.5:
            yield tokens, voxels

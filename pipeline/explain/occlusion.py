"""Painting over one block of the image after another, to see what each was worth."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.explain.blocks import blocks, voxels_of
from pipeline.explain.paint import Mask, image_of, painted
from pipeline.explain.reading import Array, Predict, additions_of, logits_of
from pipeline.tensors import ModelInput, ModelOutput


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
    seen = list(_seen(case, output.token_grid))
    before = output.logits[0].double().cpu().numpy()
    falls = before - logits_of(predict, [painted(case, voxels) for _, voxels in seen])
    sums = np.stack([additions[:, tokens].sum(1) for tokens, _ in seen])
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


def _seen(case: ModelInput, token_grid: tuple[int, int, int]) -> Iterator[tuple[Mask, Mask]]:
    """Yield the tokens and the voxels of every block of which at least half was scanned."""
    scanned = image_of(case).scanned.any(0).numpy()
    for tokens in blocks(token_grid):
        voxels = voxels_of(tokens, token_grid, scanned.shape)
        if scanned[voxels].mean() >= 0.5:
            yield tokens, voxels

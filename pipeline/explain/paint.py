"""Voxels of the model's grid: the strongest of a map, random patches, and what to do with them.

Arrays run (S, P, L), as the model's grid does: to the head, the back, the left.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, uniform_filter
from torch import Tensor
from torch.nn import functional

from pipeline.tensors import ImageInput, ModelInput

FILL_VOXELS = 2.0
"""Width of the blur that fills a hole: smooth enough to hold no finding, near enough to look like
what is around it."""
BLUR_WIDTHS = 4.0
"""Where the blur ends, in its own widths."""
BLUR_VOXELS = 8.0
"""Width of the blur of a whole image: what is left shows no finding."""
WIDENINGS = (1, 2, 4, 8)
LEAST_KNOWN = 0.05
DETAIL_VOXELS = 5
_MAX_BLURS = 32
"""Of so many sizes and widths the weights are kept."""

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, ...]


def image_of(case: ModelInput) -> ImageInput:
    """Return a case's image.

    Raises
    ------
    ValueError
        If it has none.
    """
    if case.image is None:
        msg = "a case without an image has no map"
        raise ValueError(msg)
    return case.image


def on_voxels(
    additions: NDArray[np.float64], places: tuple[int, int, int], shape: tuple[int, ...]
) -> Array:
    """Spread what the places of a grid add over the model's grid, log-odds a place.

    Parameters
    ----------
    additions : shape (M,), log-odds
    places
        Tokens, or their cells, along S, P and L.
    shape
        Of the model's grid.
    """
    given = torch.from_numpy(np.asarray(additions, np.float32)).reshape(1, 1, *places)
    spread = functional.interpolate(given, size=shape, mode="trilinear", align_corners=False)
    voxels: Array = spread[0, 0].numpy()
    return voxels


def strongest(values: Array, allowed: Mask, n: int) -> Mask:
    """Return the ``n`` allowed voxels of highest value."""
    ranked = np.where(allowed, values, -np.inf).ravel()
    region = np.zeros(ranked.size, dtype=bool)
    region[np.argpartition(-ranked, n - 1)[:n]] = True
    return region.reshape(values.shape) & allowed


def random_patches(
    case: ModelInput, avoid: Mask, n_voxels: int, n_patches: int, *, seed: int
) -> list[Mask]:
    """Draw contiguous patches of ``n_voxels`` scanned voxels, each around a random point.

    Points lie where the picture shows at least as much detail as at half of what was scanned:
    a patch of air would prove nothing. Where too little is left to draw from, there are none.

    Parameters
    ----------
    avoid
        Voxels that no patch holds.
    """
    image = case.image
    if image is None:
        return []
    scanned = image.scanned.any(0).numpy()
    allowed = scanned & ~avoid
    if not allowed.sum() >= max(n_voxels, 1):
        return []
    detail = _detail(image)
    points = np.argwhere(allowed & (detail >= np.median(detail[scanned])))
    if len(points) == 0:
        return []
    rng = np.random.default_rng(seed)
    drawn = points[rng.integers(len(points), size=n_patches)]
    return [strongest(_nearness(point, scanned.shape), allowed, n_voxels) for point in drawn]


def _nearness(point: NDArray[np.int64], shape: tuple[int, ...]) -> Array:
    """Return the negative squared distance of each voxel from a point, in voxels."""
    z, y, x = (
        -((np.arange(size, dtype=np.float32) - at) ** 2)
        for size, at in zip(shape, point, strict=True)
    )
    nearness: Array = z[:, None, None] + y[:, None] + x
    return nearness


def painted(case: ModelInput, region: Mask) -> ModelInput:
    """Return the case with a region of its image filled in from its surroundings.

    Each voxel becomes the mean of what was kept around it, with Gaussian weights; further away
    where nothing was kept near by.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    image = image_of(case)
    channels = image.voxels.numpy()
    scanned = image.scanned.numpy()
    filled = np.array(channels)
    for series, looked in enumerate(scanned):
        filled[series] = _filled(channels[series], region, looked)
    return replace(case, image=replace(image, voxels=torch.from_numpy(filled), tokens=None))


def blurred(case: ModelInput) -> ModelInput:
    """Return the case with all of its image blurred, each series within what it scanned.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    image = image_of(case)
    filled = np.array(image.voxels.numpy())
    for series, scanned in enumerate(image.scanned.numpy()):
        kept = scanned.astype(np.float32)
        weight = gaussian_filter(kept, BLUR_VOXELS)
        mean = gaussian_filter(filled[series] * kept, BLUR_VOXELS) / np.maximum(weight, 1e-6)
        filled[series][scanned] = mean[scanned]
    return replace(case, image=replace(image, voxels=torch.from_numpy(filled), tokens=None))


def put_back(case: ModelInput, changed: ModelInput, region: Mask) -> ModelInput:
    """Return the changed case with a region of the image as it was.

    Raises
    ------
    ValueError
        If either has no image.
    """
    before, now = image_of(case), image_of(changed)
    voxels = torch.where(torch.from_numpy(region), before.voxels, now.voxels)
    return replace(case, image=replace(before, voxels=voxels, tokens=None))


def shifted(case: ModelInput, step: Sequence[int]) -> ModelInput:
    """Return the case with its image moved by whole voxels; what comes in was not scanned.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    image = image_of(case)
    moved = replace(
        image, voxels=_moved_by(image.voxels, step, -1.0),
        scanned=_moved_by(image.scanned, step, 0.0), tokens=None,
    )  # fmt: skip
    return replace(case, image=moved)


def _moved_by(tensor: Tensor, step: Sequence[int], fill: float) -> Tensor:
    """Return a tensor of shape (C, S, P, L) moved by whole places; what comes in is ``fill``."""
    moved = torch.roll(tensor, list(step), dims=(1, 2, 3))
    for axis, by in enumerate(step, start=1):
        if by:
            start = 0 if by > 0 else tensor.shape[axis] + by
            moved.narrow(axis, start, abs(by)).fill_(fill)
    return moved


def _filled(voxels: Array, region: Mask, scanned: Mask) -> Array:
    filled, todo = np.array(voxels), region & scanned
    kept = (scanned & ~region).astype(np.float32)
    for widening in WIDENINGS:
        if not todo.any():
            return filled
        width = FILL_VOXELS * widening
        hole = _around(todo, 0)
        near = _around(todo, math.ceil(BLUR_WIDTHS * width))
        weight, known = _blurred_in(
            np.stack([kept[near], (voxels * kept)[near]]), hole, near, width
        )
        now = todo[hole] & (weight > LEAST_KNOWN)
        filled[hole][now] = known[now] / weight[now]
        todo[hole] &= ~now
    if todo.any() and kept.any():
        filled[todo] = voxels[kept > 0].mean()
    return filled


def _blurred_in(values: Array, hole: Box, near: Box, width: float) -> Array:
    """Return what ``gaussian_filter`` makes of values, but only in a box among them.

    Parameters
    ----------
    values : shape (X, ...)
        Of the box ``near``.
    hole, near
        Of one array, the first inside the second.
    """
    for axis, (inner, outer) in enumerate(zip(hole, near, strict=True), start=1):
        weights = _blur(outer.stop - outer.start, width)
        rows = weights[inner.start - outer.start : inner.stop - outer.start]
        values = np.moveaxis(np.tensordot(values, rows, (axis, 1)), -1, axis)
    return values


@lru_cache(_MAX_BLURS)
def _blur(n: int, width: float) -> Array:
    """Return how much each of n voxels in a row counts for each after a blur, shape (n, n)."""
    weights: Array = gaussian_filter1d(
        np.eye(n, dtype=np.float32), width, axis=0, truncate=BLUR_WIDTHS
    )
    weights.setflags(write=False)
    return weights


def _around(region: Mask, reach: int) -> Box:
    """Return the smallest box that holds a region and all within reach of it, in voxels."""
    lines = (region.any(axis=(1, 2)), region.any(axis=(0, 2)), region.any(axis=(0, 1)))
    ends = (np.flatnonzero(line)[[0, -1]].tolist() for line in lines)
    return tuple(
        slice(max(0, first - reach), min(last + 1 + reach, size))
        for (first, last), size in zip(ends, region.shape, strict=True)
    )


def _detail(image: ImageInput) -> Array:
    """Return the local spread of the picture, the largest over its series."""
    channels = image.voxels.numpy()
    size = (1, DETAIL_VOXELS, DETAIL_VOXELS, DETAIL_VOXELS)
    mean, square = uniform_filter(channels, size=size), uniform_filter(channels**2, size=size)
    detail: Array = np.sqrt(np.maximum(square - mean**2, 0.0)).max(0)
    return detail

"""Image tokens' additions to the scanner's own voxels."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipeline.cells import CELLS, by_token, on_grid
from pipeline.errors import GeometryError
from pipeline.geometry import Geometry
from pipeline.heatmap import Heatmap
from pipeline.tensors import ModelOutput

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_TAKEN = 0.05
"""Of what voxels take of a place on average; of which they take less, it is not shown by itself."""
_CORNERS = np.array(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij")).reshape(3, 8).T


def heatmaps_of(
    output: ModelOutput,
    tasks: tuple[str, ...],
    scanned_tokens: NDArray[np.bool_],
    grid: Geometry,
    target: Geometry,
) -> dict[str, Heatmap]:
    """Spread each token's addition over the scanner's voxels around it; every sum is kept.

    A token's addition is shared among its cells, where the network knows their shares. A voxel
    takes from the cells around it with trilinear weights, normalised so that what one cell gives
    adds up to its part. A cell that lies between the scanner's slices, or at their rim, with hardly
    a voxel around it, leaves its part to the others of its token. Where slices lie so far apart
    that a token has no cell with a voxel around it, tokens are shown as they are.

    Parameters
    ----------
    output
        Of a batch of one.
    tasks
        Names, in the protocol's order.
    scanned_tokens : shape (N,), bool
        False for tokens that the network did not look at.
    grid
        The model's grid for this case, mm, LPS.
    target
        The scanner's grid, mm, LPS.

    Returns
    -------
    dict
        By task; NaN outside the model's grid and in tokens of which too little was scanned to be
        read.

    Raises
    ------
    GeometryError
        If a token has no voxel of the scanner's around it, so that its addition cannot be shown.
    """
    usable = scanned_tokens.reshape(output.token_grid)
    if output.shares is not None:
        usable = on_grid(torch.from_numpy(scanned_tokens)[:, None].expand(-1, CELLS),
                         output.token_grid).numpy()  # fmt: skip
    stride = np.array(grid.shape) / np.array(usable.shape)
    given = _given_weight(usable, grid, target, stride)
    parts = _parts(output, scanned_tokens, given)
    if parts is None and output.shares is not None:
        return heatmaps_of(replace(output, shares=None), tasks, scanned_tokens, grid, target)
    if parts is None:
        msg = "the scanner's slices lie too far apart to show what the network's tokens added"
        raise GeometryError(msg)
    arrays = np.full((len(tasks), *target.shape), np.nan, dtype=np.float32)
    for number in range(target.shape[0]):
        where, inside = _place_index(number, grid, target, stride)
        seen = inside & _was_read(usable, where)
        for task in range(len(tasks)):
            values = map_coordinates(parts[task], where[:, seen], order=1, mode="nearest")
            arrays[task, number][seen] = values
    return {task: Heatmap(array, target, task) for task, array in zip(tasks, arrays, strict=True)}


def _parts(output: ModelOutput, scanned: Mask, given: Array) -> Array | None:
    """Return what each place gives to a voxel that takes all of it, shape (K, ...), log-odds.

    What cells add that hardly any voxel takes from goes to the other cells of their token.

    Parameters
    ----------
    given
        What all voxels take of each place of the finest grid.

    Returns
    -------
    Array
        On that grid; None if a scanned token has no place that can be shown.
    """
    added = output.image[0].double().cpu()[..., None]
    if output.shares is None:
        taken = torch.from_numpy(given).reshape(-1, 1)
    else:
        added, taken = added * output.shares[0].double().cpu(), by_token(torch.from_numpy(given))
    is_shown = taken > LEAST_TAKEN * taken[taken > 0].mean()
    is_shown |= (taken > 0) & ~is_shown.any(-1, keepdim=True)
    n_shown = is_shown.sum(-1, keepdim=True)
    if not n_shown[torch.from_numpy(scanned)].all():
        return None
    lost = (added * ~is_shown).sum(-1, keepdim=True)
    kept = (added + lost / n_shown.clamp(min=1)) * is_shown / taken.where(is_shown, 1.0)
    laid = (
        kept[..., 0].reshape(-1, *given.shape)
        if output.shares is None
        else on_grid(kept, output.token_grid)
    )
    return np.asarray(laid.numpy())


def _place_index(
    number: int, grid: Geometry, target: Geometry, stride: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a slice's coordinates among cells, (3, rows, columns), and which lie inside."""
    rows, columns = target.shape[1:]
    index = np.stack(
        np.broadcast_arrays(float(number), *np.ogrid[:rows, :columns]), axis=-1
    ).astype(np.float64)
    voxel = grid.to_index(target.to_mm(index))
    inside = np.all((voxel >= -0.5) & (voxel <= np.array(grid.shape) - 0.5), axis=-1)
    place = (voxel - (stride - 1) / 2) / stride
    limit = np.array(grid.shape) / stride - 1
    return np.moveaxis(np.clip(place, 0.0, limit), -1, 0), np.asarray(inside)


def _was_read(usable: NDArray[np.bool_], where: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each voxel whether the cell in which it lies was read; shape of ``where[0]``."""
    return np.asarray(usable[tuple(np.rint(where).astype(int))])


def _given_weight(
    usable: NDArray[np.bool_], grid: Geometry, target: Geometry, stride: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum, for each cell, the trilinear weights with which voxels of read cells take from it."""
    total = np.zeros(usable.size)
    for number in range(target.shape[0]):
        where, inside = _place_index(number, grid, target, stride)
        place = where[:, inside & _was_read(usable, where)]
        base = np.minimum(place.astype(int), np.maximum(np.array(usable.shape) - 2, 0)[:, None])
        part = place - base
        for corner in _CORNERS:
            flat = np.ravel_multi_index(tuple(base + corner[:, None]), usable.shape, mode="clip")
            weight = np.prod(np.where(corner[:, None], part, 1.0 - part), axis=0)
            total += np.bincount(flat, weights=weight, minlength=usable.size)
    return total.reshape(usable.shape) * usable

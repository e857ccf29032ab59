"""Image tokens' additions to the scanner's own voxels."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipeline.errors import GeometryError
from pipeline.geometry import Geometry
from pipeline.heatmap import Heatmap
from pipeline.tensors import ModelOutput

_CORNERS = np.array(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij")).reshape(3, 8).T


def heatmaps_of(
    output: ModelOutput,
    tasks: tuple[str, ...],
    scanned_tokens: NDArray[np.bool_],
    grid: Geometry,
    target: Geometry,
) -> dict[str, Heatmap]:
    """Spread each token's addition over the scanner's voxels around it; every sum is kept.

    A voxel takes from the tokens around it with trilinear weights, normalised so that what one
    token gives adds up to its addition.

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
    token_grid = output.token_grid
    additions = output.image[0].double().cpu().numpy().reshape(len(tasks), *token_grid)
    usable = scanned_tokens.reshape(token_grid)
    stride = np.array(grid.shape) / np.array(token_grid)
    given = _given_weight(usable, grid, target, stride)
    if not (given[usable] > 0).all():
        msg = "the scanner's slices lie too far apart to show what the network's tokens added"
        raise GeometryError(msg)
    shares = np.where(given > 0, additions / np.where(given > 0, given, 1.0), 0.0)
    arrays = np.full((len(tasks), *target.shape), np.nan, dtype=np.float32)
    for number in range(target.shape[0]):
        where, inside = _token_index(number, grid, target, stride)
        seen = inside & _was_read(usable, where)
        for task in range(len(tasks)):
            values = map_coordinates(shares[task], where[:, seen], order=1, mode="nearest")
            arrays[task, number][seen] = values
    return {task: Heatmap(array, target, task) for task, array in zip(tasks, arrays, strict=True)}


def _token_index(
    number: int, grid: Geometry, target: Geometry, stride: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the token coordinates of one slice, shape (3, rows, columns), and which lie inside."""
    rows, columns = target.shape[1:]
    index = np.stack(
        np.broadcast_arrays(float(number), *np.ogrid[:rows, :columns]), axis=-1
    ).astype(np.float64)
    voxel = grid.to_index(target.to_mm(index))
    inside = np.all((voxel >= -0.5) & (voxel <= np.array(grid.shape) - 0.5), axis=-1)
    token = (voxel - (stride - 1) / 2) / stride
    limit = np.array(grid.shape) / stride - 1
    return np.moveaxis(np.clip(token, 0.0, limit), -1, 0), np.asarray(inside)


def _was_read(usable: NDArray[np.bool_], where: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each voxel whether the token in which it lies was read; shape of ``where[0]``."""
    return np.asarray(usable[tuple(np.rint(where).astype(int))])


def _given_weight(
    usable: NDArray[np.bool_], grid: Geometry, target: Geometry, stride: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum, for each token, the trilinear weights with which voxels of read tokens take from it."""
    total = np.zeros(usable.size)
    for number in range(target.shape[0]):
        where, inside = _token_index(number, grid, target, stride)
        token = where[:, inside & _was_read(usable, where)]
        base = np.minimum(token.astype(int), np.maximum(np.array(usable.shape) - 2, 0)[:, None])
        part = token - base
        for corner in _CORNERS:
            flat = np.ravel_multi_index(tuple(base + corner[:, None]), usable.shape, mode="clip")
            weight = np.prod(np.where(corner[:, None], part, 1.0 - part), axis=0)
            total += np.bincount(flat, weights=weight, minlength=usable.size)
    return total.reshape(usable.shape) * usable

"""Cubes of tokens that part the model's grid: what occlusion paints over one by one."""

from collections.abc import Iterator

import numpy as np

from pipeline.explain.paint import Mask

BLOCK_TOKENS = 2
"""Edge of a cube: a single token is too small to be missed."""


def blocks(token_grid: tuple[int, int, int]) -> Iterator[Mask]:
    """Yield the tokens of each cube, shape (N,); those at the far ends may be cut."""
    places = np.indices(token_grid).reshape(3, -1) // BLOCK_TOKENS
    _, cube = np.unique(places, axis=1, return_inverse=True)
    for number in range(int(cube.max()) + 1):
        yield cube.ravel() == number


def voxels_of(tokens: Mask, token_grid: tuple[int, int, int], shape: tuple[int, ...]) -> Mask:
    """Return the voxels of some tokens, shape (N,), on a grid of a shape (S, P, L)."""
    voxels = tokens.reshape(token_grid)
    for axis, (size, n) in enumerate(zip(shape, token_grid, strict=True)):
        voxels = np.repeat(voxels, size // n, axis=axis)
    return voxels

"""The cells that part each image token: half as wide along each of its sides."""

import torch
from torch import Tensor

CELLS_A_SIDE = 2
CELLS = CELLS_A_SIDE**3

Grid = tuple[int, int, int]


def cell_grid(token_grid: Grid) -> Grid:
    """Return how many cells lie along S, P and L."""
    s, p, l = (count * CELLS_A_SIDE for count in token_grid)  # noqa: E741
    return s, p, l


def on_grid(of_tokens: Tensor, token_grid: Grid) -> Tensor:
    """Lay out what each token's cells have, (..., N, CELLS), on their own grid.

    Returns
    -------
    Tensor
        Shape (..., 2 S, 2 P, 2 L) of a token grid (S, P, L).
    """
    lead, n = of_tokens.shape[:-2], of_tokens.ndim - 2
    laid = of_tokens.reshape(*lead, *token_grid, *(CELLS_A_SIDE,) * 3)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2, n + 5]
    return laid.permute(order).reshape(*lead, *cell_grid(token_grid))


def by_token(on_cells: Tensor, *, has_features: bool = False) -> Tensor:
    """Return what lies on a grid of cells, (..., 2 S, 2 P, 2 L), token by token.

    Parameters
    ----------
    has_features
        Whether one axis more, behind the grid's three, is of features; it stays last.

    Returns
    -------
    Tensor
        Shape (..., N, CELLS); N runs over (S, P, L) and CELLS over a token's, L fastest.
    """
    n, side = on_cells.ndim - 3 - has_features, CELLS_A_SIDE
    s, p, l = on_cells.shape[n : n + 3]  # noqa: E741
    lead, features = on_cells.shape[:n], on_cells.shape[n + 3 :]
    parted = on_cells.reshape(*lead, s // side, side, p // side, side, l // side, side, *features)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3, n + 5]
    order += range(n + 6, parted.ndim)
    return parted.permute(order).reshape(*lead, -1, CELLS, *features)


def joint_shares(additions: Tensor, shares: Tensor) -> Tensor:
    """Return the shares of a token's cells in a sum of several additions to it.

    Each addition counts by its size, whatever its sign; where all are 0, all count alike.

    Parameters
    ----------
    additions : shape (M, ...)
    shares : shape (M, ..., CELLS)

    Returns
    -------
    Tensor
        Shape (..., CELLS); sums to 1.
    """
    sizes = additions.abs()[..., None]
    total = sizes.sum(0)
    weighted = (sizes * shares).sum(0) / total.clamp(min=torch.finfo(total.dtype).tiny)
    return torch.where(total > 0, weighted, shares.mean(0))

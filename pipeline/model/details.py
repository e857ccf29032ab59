"""What each half of a token's sides shows: finer features, for maps finer than tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.cells import CELLS, CELLS_A_SIDE, by_token

FEATURES = 4
"""Of each cell."""
_HIDDEN = 8


class Details(nn.Module):
    """Features at stride 2, from the voxels around a cell and from the token that holds it.

    The same for every image encoder, so that its depths at stride 4 and 8 stay as published, and
    for every series: which series it is, a cell knows from its token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # An even kernel, so that what it sees is centred on the cell.
        self.stem = nn.Conv3d(1, _HIDDEN, 4, stride=2, padding=1, bias=False)
        self.context = nn.Linear(width, _HIDDEN)
        self.norm = nn.BatchNorm3d(_HIDDEN)
        self.out = nn.Conv3d(_HIDDEN, FEATURES, 1)

    def forward(self, voxels: Tensor, tokens: Tensor) -> Tensor:
        """Take (M, 1, S, P, L) and the tokens (M, N, D) to (M, N, CELLS * FEATURES)."""
        fine = self.stem(voxels)
        grid = [size // CELLS_A_SIDE for size in fine.shape[2:]]
        context = self.context(tokens).transpose(1, 2).reshape(len(tokens), _HIDDEN, *grid)
        wide = functional.interpolate(context, scale_factor=float(CELLS_A_SIDE), mode="nearest")
        features = self.out(functional.relu(self.norm(fine + wide)))
        return torch.flatten(by_token(features).movedim(1, -1), 2)


def parted(encoded: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Part what an encoder made of images, (I, N, D + CELLS * FEATURES).

    Parameters
    ----------
    width
        D.

    Returns
    -------
    tokens : shape (I, N, D)
    details : shape (I, N, CELLS, FEATURES)
        Cells of a token run as tokens do: L fastest.
    """
    details = encoded[..., width:]
    return encoded[..., :width], details.reshape(*details.shape[:-1], CELLS, FEATURES)

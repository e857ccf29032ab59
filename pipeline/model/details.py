"""What each half of a token's sides shows: finer features, for maps finer than tokens."""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.cells import CELLS, by_token
from pipeline.model.pointwise import pointwise

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
        cells = by_token(self.stem(voxels).movedim(1, -1), has_features=True)
        fine = cells + self.context(tokens)[:, :, None]
        fine = self.norm(fine.permute(0, 3, 1, 2)[..., None])
        features = pointwise(self.out, functional.relu(fine))
        return features[..., 0].permute(0, 2, 3, 1).flatten(2)


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

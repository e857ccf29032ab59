"""A case's series to one grid of image tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.cells import CELLS, CELLS_A_SIDE, by_token
from pipeline.model.backbones import Size, new_stages
from pipeline.model.details import FEATURES, Details
from pipeline.model.pointwise import pointwise
from pipeline.model.recompute import keeping, recomputing
from pipeline.model.weights import load_encoder_weights
from schemas.settings import ModelSettings

STRIDE = 4


class ImageEncoder(nn.Module):
    """Each series to tokens at stride 4 that have also seen stride 8; their mean at each place.

    All series go through the same encoder and are then marked, each with its own gain and shift,
    so that a bright spot may mean one thing in one series and another in the next. A place's token
    is the mean over the series that were scanned there; a missing series is simply not counted.
    Behind a token's own features stand those of its cells (:mod:`pipeline.model.details`).

    Parameters
    ----------
    size
        Voxels of the model's grid along (S, P, L).
    recompute
        Whether training computes activations again instead of keeping them.
    """

    def __init__(
        self, settings: ModelSettings, n_series: int, size: Size, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.stages = new_stages(settings.image_encoder, settings.image_channels, size)
        fine, coarse = self.stages.widths
        self.lateral = nn.Conv3d(fine, settings.width, 1)
        self.top = nn.Conv3d(coarse, settings.width, 1)
        self.norm = nn.BatchNorm3d(settings.width)
        self.mark_gain = nn.Parameter(torch.ones(n_series, settings.width))
        self.mark_shift = nn.Parameter(torch.zeros(n_series, settings.width))
        self.details = Details(settings.width)
        self.width = settings.width + CELLS * FEATURES

    def forward(self, voxels: Tensor, looked: Tensor) -> Tensor:
        """Take (B, C, S, P, L) to tokens (B, N, W); zeros where none looked.

        Series that were not scanned at all are never encoded, so they do not enter batch
        statistics.

        Parameters
        ----------
        looked : shape (B, C, N)
            Of :func:`looked_share`.
        """
        weight = looked / looked.sum(1, keepdim=True).clamp(min=1e-6)
        case, series = (looked.amax(-1) > 0).nonzero().unbind(1)
        tokens = voxels.new_zeros(len(voxels), looked.shape[-1], self.width)
        if len(case) == 0:
            return tokens
        # Channels last in memory, which convolutions keep: two thirds of the time on a CPU.
        encoded = self._encode(voxels[case, series][..., None].movedim(-1, 1), series)
        return tokens.index_add(0, case, encoded.to(tokens.dtype) * weight[case, series][..., None])

    def _encode(self, voxels: Tensor, series: Tensor) -> Tensor:
        """Take (M, 1, S, P, L) of the series with these numbers, (M,), to (M, N, W)."""
        run = recomputing(self) if self.recompute and self.training else keeping
        at_4, at_8 = self.stages(voxels, run)
        wide = functional.interpolate(
            pointwise(self.top, at_8), size=at_4.shape[2:], mode="trilinear"
        )
        fused = self.norm(pointwise(self.lateral, at_4) + wide).flatten(2).transpose(1, 2)
        gain, shift = self.mark_gain[series][:, None], self.mark_shift[series][:, None]
        tokens = functional.relu(fused * gain + shift)
        details = run(lambda seen: self.details(seen, tokens), voxels)
        return torch.cat([tokens, details], -1)

    def start_from(self, path: str) -> None:
        """Load weights of the encoder's stages."""
        load_encoder_weights(self.stages, path)


def share_of_weights_in(path: str, settings: ModelSettings, size: Size) -> float:
    """Return the share of the encoder's weights that a file holds, without keeping any.

    Raises
    ------
    CheckpointError
        If training could not start from the file.
    """
    return load_encoder_weights(
        new_stages(settings.image_encoder, settings.image_channels, size), path
    )


def looked_share(scanned: Tensor) -> Tensor:
    """Return the share of each token that each series scanned, (B, C, N); 0 below a half.

    Parameters
    ----------
    scanned : shape (B, C, S, P, L), bool
    """
    share = functional.avg_pool3d(scanned.float(), STRIDE).flatten(2)
    return share * (share >= 0.5)


def token_mask(scanned: Tensor) -> Tensor:
    """Mark tokens of which a series scanned at least half: (B, C, S, P, L) bool to (B, N) bool."""
    return mask_of(looked_share(scanned))


def mask_of(looked: Tensor) -> Tensor:
    """Mark tokens of which a series scanned at least half, (B, N), by :func:`looked_share`."""
    return looked.amax(1) > 0


def cell_mask(scanned: Tensor) -> Tensor:
    """Mark cells of which a series scanned at least half: (B, C, S, P, L) to (B, N, CELLS) bool."""
    share = functional.avg_pool3d(scanned.float(), STRIDE // CELLS_A_SIDE)
    return by_token((share >= 0.5).any(1))


def token_positions(size: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Tensor:
    """Return token centres relative to the grid's centre, shape (N, 3), mm.

    Parameters
    ----------
    size, spacing_mm
        Of the model's grid along (S, P, L).
    """
    axes = [
        (torch.arange(count // STRIDE) * STRIDE + (STRIDE - 1) / 2 - (count - 1) / 2) * spacing
        for count, spacing in zip(size, spacing_mm, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)

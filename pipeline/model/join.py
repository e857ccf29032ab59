"""How the history moves what an image token adds: one class a way of fusing.

Shape suffixes: B cases, Q logits, N image tokens, H history tokens, D width, P place features,
U flat history variables.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.model.fusion import CrossBlock, start_at_zero
from pipeline.model.readout import HistoryAsks, Products, Projection, Seen
from schemas.settings import ModelSettings


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The history as read.

    Parameters
    ----------
    tokens : shape (B, H, D)
        Table variables, then sentences.
    mask : shape (B, H)
    variables : shape (B, U)
        The same as one flat row.
    asked : shape (B, Q, D)
        The questions, having read it.
    """

    tokens: Tensor
    mask: Tensor
    variables: Tensor
    asked: Tensor


class CrossJoin(nn.Module):
    """Cross-attention both ways, and products beside it; adds nothing before training."""

    def __init__(self, settings: ModelSettings, n_logits: int, n_places: int, n_variables: int):
        super().__init__()
        self.image_asks = nn.ModuleList(CrossBlock(settings) for _ in range(settings.layers))
        self.reread = nn.Linear(settings.width, n_logits)
        self.history_asks = HistoryAsks(settings.width)
        self.products = Products(settings, n_logits, n_places, n_variables)
        start_at_zero(self.reread)

    def forward(
        self, seen: Seen, image_BND: Tensor, mask_BN: Tensor, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, Tensor]:
        """Return additions (B, Q, N) in log-odds, and the history's attention (B, H, N)."""
        told_BND = image_BND
        for image_asks in self.image_asks:
            told_BND = image_asks(told_BND, heard.tokens, heard.mask)
        reread = self.reread(told_BND).transpose(1, 2) * seen.weights
        found, attention = self.history_asks(
            heard.asked, heard.tokens, heard.mask, image_BND, mask_BN
        )
        multiplied = self.products(seen, image_BND, places_NP, heard.variables)
        return reread + found + multiplied, attention


class ProjectionJoin(nn.Module):
    """Both projected into one space and multiplied there; adds nothing before training."""

    def __init__(self, settings: ModelSettings, n_logits: int) -> None:
        super().__init__()
        self.projection = Projection(settings.width, n_logits)

    def forward(
        self, seen: Seen, image_BND: Tensor, mask_BN: Tensor, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, None]:
        """Return additions (B, Q, N) in log-odds."""
        return self.projection(seen, image_BND, heard.tokens, heard.mask), None


class NoJoin(nn.Module):
    """Late fusion: the history moves nothing that the image adds."""

    def forward(
        self, seen: Seen, image_BND: Tensor, mask_BN: Tensor, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, None]:
        """Return zeros, shape (B, Q, N)."""
        return seen.own.new_zeros(seen.own.shape), None

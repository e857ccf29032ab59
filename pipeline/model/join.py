"""How the history moves what an image token adds: one class a way of fusing.

Shape suffixes: B cases, Q logits, N image tokens, H history tokens, D width, P place features,
U flat history variables, I images, M tokens that are looked at.
"""

import torch
from torch import Tensor, nn

from pipeline.model.fusion import CrossBlock, start_at_zero
from pipeline.model.readout import Cases, Findings, Heard, HistoryAsks, Products, Projection, Seen
from pipeline.tensors import Attention, put_back
from schemas.settings import ModelSettings


class CrossJoin(nn.Module):
    """Cross-attention both ways, and products beside it; adds nothing before training.

    The history moves only what the tokens of highest presence add (``settings.looked_at`` of
    them): where nothing shows, there is nothing to move, and a large grid stays affordable.
    """

    def __init__(self, settings: ModelSettings, n_logits: int, n_places: int, n_variables: int):
        super().__init__()
        self.looked_at = settings.looked_at
        self.image_asks = nn.ModuleList(CrossBlock(settings) for _ in range(settings.layers))
        self.reread = nn.Linear(settings.width, n_logits)
        self.history_asks = HistoryAsks(settings.width)
        self.findings = Findings(n_logits)
        self.products = Products(settings, n_logits, n_places, n_variables)
        start_at_zero(self.reread)

    def forward(
        self, seen: Seen, cases: Cases, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, Attention]:
        """Return additions (B, Q, N) in log-odds, and the history's attention."""
        shown_IN = seen.presence.amax(1).masked_fill(~seen.mask, -torch.inf)
        chosen_IM = shown_IN.topk(min(self.looked_at, shown_IN.shape[1]), dim=1).indices
        image_BMD = cases.each(torch.take_along_dim(seen.tokens, chosen_IM[..., None], 1))
        weights_IQN = self.findings(seen.presence, seen.mask)
        weights_BQM = cases.each(torch.take_along_dim(weights_IQN, chosen_IM[:, None], 2))
        mask_BM = cases.each(torch.take_along_dim(seen.mask, chosen_IM, 1))
        chosen_BM = cases.each(chosen_IM)
        told_BMD = image_BMD
        for image_asks in self.image_asks:
            told_BMD = image_asks(told_BMD, heard.tokens, heard.mask)
        reread = self.reread(told_BMD).transpose(1, 2) * weights_BQM
        found, attention = self.history_asks(heard, image_BMD, mask_BM)
        multiplied, empty = self.products(
            weights_BQM, image_BMD, places_NP[chosen_BM], heard.variables
        )
        n_tokens = shown_IN.shape[1]
        moved = put_back(reread + found + multiplied, chosen_BM, n_tokens)
        moved = moved + empty[..., None] * cases.each(seen.spread)
        return moved, Attention(attention, chosen_BM, n_tokens)


class ProjectionJoin(nn.Module):
    """Both projected into one space and multiplied there; adds nothing before training."""

    def __init__(self, settings: ModelSettings, n_logits: int) -> None:
        super().__init__()
        self.projection = Projection(settings.width, n_logits)

    def forward(
        self, seen: Seen, cases: Cases, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, None]:
        """Return additions (B, Q, N) in log-odds."""
        return self.projection(seen, cases, heard), None


class LateJoin(nn.Module):
    """Late fusion: what gated tokens add is weighed anew beside the history, but not moved by it.

    It does with the image alone what the products of :class:`CrossJoin` do with image and history;
    adds nothing before training.
    """

    def __init__(self, settings: ModelSettings, n_logits: int, n_places: int) -> None:
        super().__init__()
        self.findings = Findings(n_logits)
        self.products = Products(settings, n_logits, n_places, n_variables=0)

    def forward(
        self, seen: Seen, cases: Cases, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, None]:
        """Return additions (B, Q, N) in log-odds."""
        n_images = len(seen.tokens)
        nothing_I0 = seen.tokens.new_zeros(n_images, 0)
        moved, empty = self.products(
            self.findings(seen.presence, seen.mask),
            seen.tokens,
            places_NP.expand(n_images, -1, -1),
            nothing_I0,
        )
        return cases.each(moved + empty[..., None] * seen.spread), None


class NoJoin(nn.Module):
    """Nothing is added to what is read elsewhere."""

    def forward(
        self, seen: Seen, cases: Cases, places_NP: Tensor, heard: Heard
    ) -> tuple[Tensor, None]:
        """Return zeros, shape (B, Q, N)."""
        return seen.own.new_zeros(len(heard.tokens), *seen.own.shape[1:]), None

"""Cross-attention between image and history.

Shape suffixes: B cases, N tokens that ask, M tokens that are asked, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.settings import ModelSettings


def start_at_zero(layer: nn.Module) -> None:
    """Set a layer's weights and bias to zero, so that it adds nothing before it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class CrossAttention(nn.Module):
    """Multi-head attention with padding masks and a null key: "nothing to see" is an answer."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width = settings.width
        self.heads = settings.heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.null_key = nn.Parameter(torch.randn(width) * 0.02)
        self.out = nn.Linear(width, width)

    def forward(self, asking_BND: Tensor, answering_BMD: Tensor, mask_BM: Tensor) -> Tensor:
        """Return what each asking token learns, shape (B, N, D); zero value where all is masked."""
        batch = asking_BND.shape[0]
        key, value = self.key_value(answering_BMD).chunk(2, dim=-1)
        null = self.null_key.expand(batch, 1, -1)
        key, value = torch.cat([null, key], 1), torch.cat([torch.zeros_like(null), value], 1)
        mask = torch.cat([mask_BM.new_ones(batch, 1), mask_BM], 1)[:, None, None, :]
        q, k, v = (self._split(x) for x in (self.query(asking_BND), key, value))
        read = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        learned: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return learned

    def _split(self, x_BND: Tensor) -> Tensor:
        batch, n, width = x_BND.shape
        return x_BND.reshape(batch, n, self.heads, width // self.heads).transpose(1, 2)


class CrossBlock(nn.Module):
    """Pre-norm cross-attention and a small feed-forward part; changes nothing before training."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width = settings.width
        self.norm_asking, self.norm_answering = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(settings)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
            nn.Dropout(settings.dropout), nn.Linear(2 * width, width),
        )  # fmt: skip
        self.dropout = nn.Dropout(settings.dropout)
        start_at_zero(self.attention.out)
        start_at_zero(self.feed_forward[-1])

    def forward(self, asking_BND: Tensor, answering_BMD: Tensor, mask_BM: Tensor) -> Tensor:
        """Return the asking tokens, shape (B, N, D), having read the answering ones."""
        learned = self.attention(
            self.norm_asking(asking_BND), self.norm_answering(answering_BMD), mask_BM
        )
        asking = asking_BND + self.dropout(learned)
        fed: Tensor = asking + self.feed_forward(asking)
        return fed

"""Notes and table variables to tokens of the network's width."""

import torch
from torch import Tensor, nn

from schemas.protocol import ModelSettings


class TextProjection(nn.Module):
    """BERT's features, the kind of note and its age to one token."""

    def __init__(self, text_width: int, settings: ModelSettings) -> None:
        super().__init__()
        self.words = nn.Linear(text_width, settings.width)
        self.kind = nn.Linear(text_width, settings.width, bias=False)
        self.age = nn.Sequential(nn.Linear(1, 16), nn.GELU(), nn.Linear(16, settings.width))
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, text: Tensor, kinds: Tensor, age_days: Tensor) -> Tensor:
        """Take (B, T, D_text) twice and (B, T) to (B, T, D)."""
        age = self.age(torch.log1p(age_days.clamp(min=0.0))[..., None])
        tokens: Tensor = self.dropout(self.norm(self.words(text) + self.kind(kinds) + age))
        return tokens


class TableProjection(nn.Module):
    """Each variable through its own small network to one token; a learned token where missing."""

    def __init__(self, n_variables: int, n_features: int, settings: ModelSettings) -> None:
        super().__init__()
        hidden, width = 16, settings.width
        self.first = nn.Parameter(torch.randn(n_variables, n_features, hidden))
        self.first_bias = nn.Parameter(torch.randn(n_variables, hidden))
        self.second = nn.Parameter(torch.randn(n_variables, hidden, width) / hidden**0.5)
        self.name = nn.Parameter(torch.randn(n_variables, width) * 0.1)
        self.missing = nn.Parameter(torch.zeros(n_variables, width))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, values: Tensor, is_known: Tensor) -> Tensor:
        """Take (B, V, F) and (B, V) to (B, V, D)."""
        hidden = torch.einsum("bvf,vfh->bvh", values, self.first) + self.first_bias
        known = torch.einsum("bvh,vhd->bvd", nn.functional.gelu(hidden), self.second)
        chosen = torch.where(is_known[..., None], known, self.missing.expand_as(known))
        tokens: Tensor = self.dropout(self.norm(chosen + self.name))
        return tokens

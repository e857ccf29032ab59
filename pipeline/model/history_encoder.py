"""Notes and table variables to tokens of the network's width."""

import torch
from torch import Tensor, nn

from pipeline.model.fusion import start_at_zero
from pipeline.tensors import FLAGS, Batch
from schemas.settings import ModelSettings


class TextProjection(nn.Module):
    """A sentence's feature, its flags, the kind of its note and that note's age to one token.

    Parameters
    ----------
    mean, scale : shape (D_text,)
        Of the training sentences' features: a BERT's features share a large common part, in
        which what tells sentences apart would drown.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, settings: ModelSettings) -> None:
        super().__init__()
        text_width = len(mean)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", scale.clone())
        self.words = nn.Linear(text_width, settings.width)
        self.kind = nn.Linear(text_width, settings.width, bias=False)
        self.age = nn.Sequential(nn.Linear(1, 16), nn.GELU(), nn.Linear(16, settings.width))
        self.flags = nn.Parameter(torch.zeros(len(FLAGS), settings.width))
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = nn.Dropout(settings.dropout)
        start_at_zero(self.kind)
        start_at_zero(self.age[-1])

    def forward(self, text: Tensor, kinds: Tensor, age_days: Tensor, flags: Tensor) -> Tensor:
        """Take (B, T, D_text) twice, (B, T) and (B, T, F) to (B, T, D)."""
        age = self.age(torch.log1p(age_days.clamp(min=0.0))[..., None])
        words = self.words(self.dropout((text - self.mean) / self.scale))
        spoken = words + self.kind(kinds) + age + flags @ self.flags
        tokens: Tensor = self.dropout(self.norm(spoken))
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


class Variables(nn.Module):
    """The history as one flat row of variables: the table as it is, the notes pooled.

    Parameters
    ----------
    n_table
        Numbers of the table: each variable's features, and whether it is known.
    """

    def __init__(self, n_table: int, settings: ModelSettings) -> None:
        super().__init__()
        self.gate = nn.Linear(settings.width, settings.said)
        self.heard = nn.Linear(settings.width, settings.said)
        self.width = n_table + settings.said + 2

    def forward(
        self, batch: Batch, text_BTD: Tensor, text_mask: Tensor, table_mask: Tensor
    ) -> Tensor:
        """Return values, which are known, which modality is there, and what the notes say.

        Shape (B, U). What is missing is 0, and the row says that it is missing.
        """
        known = batch["is_known"] & table_mask
        values = batch["table"] * known[..., None]
        heard = torch.sigmoid(self.gate(text_BTD)) * torch.tanh(self.heard(text_BTD))
        heard = (heard * text_mask[..., None]).sum(1)
        there = torch.stack([table_mask.any(1), text_mask.any(1)], 1)
        parts = [values.flatten(1), known, there, heard]
        return torch.cat([part.to(heard.dtype) for part in parts], 1)

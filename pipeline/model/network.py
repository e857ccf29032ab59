"""The whole network, top to bottom.

Shape suffixes: B cases, S P L voxels (head, back, left), N image tokens, T sentences, V table
variables, H = V + T history tokens, K tasks, D width.
"""

import torch
from torch import Tensor, nn

from pipeline.model.fusion import CrossBlock, Readout
from pipeline.model.history_encoder import TableProjection, TextProjection
from pipeline.model.image_encoder import STRIDE, ImageEncoder, token_mask, token_positions
from pipeline.tensors import Batch, ModelOutput
from schemas.protocol import Protocol

POSITION_SCALE_MM = 50.0
FREQUENCIES = (1.0, 2.0, 4.0)


class FusedNetwork(nn.Module):
    """Image tokens read the history; task queries, which have read the history, ask every token.

    The queries never see the image, so what a history token adds does not depend on the image,
    and without the image evidence exactly the history's own logit is left.

    Parameters
    ----------
    protocol
        Grid, columns, tasks and ``model`` settings.
    n_table_features
        Width of the table transform.
    questions : shape (K, D_text)
        The tasks' questions in the text encoder's features.
    text_mean, text_scale : shape (D_text,)
        Of the training sentences' features.
    """

    questions: Tensor
    places: Tensor

    def __init__(
        self,
        protocol: Protocol,
        n_table_features: int,
        questions: Tensor,
        *,
        text_mean: Tensor,
        text_scale: Tensor,
    ) -> None:
        super().__init__()
        settings = protocol.model
        width, text_width = settings.width, questions.shape[1]
        size, spacing = protocol.grid.size[::-1], protocol.grid.spacing_mm[::-1]
        self.token_grid = (size[0] // STRIDE, size[1] // STRIDE, size[2] // STRIDE)
        self.register_buffer("questions", questions.clone())
        self.register_buffer("places", _waves(token_positions(size, spacing)))
        self.image_encoder = ImageEncoder(settings)
        self.place = nn.Linear(self.places.shape[1], width)
        self.text = TextProjection(text_mean, text_scale, settings)
        self.table = TableProjection(protocol.n_variables, n_table_features, settings)
        self.ask = nn.Linear(text_width, width)
        self.task = nn.Parameter(torch.randn(len(protocol.tasks), width) * 0.1)
        self.image_asks = nn.ModuleList(CrossBlock(settings) for _ in range(settings.layers))
        self.tasks_ask = nn.ModuleList(CrossBlock(settings) for _ in range(settings.layers))
        self.read_image = Readout(width, first_gate=-3.0)
        self.read_text = Readout(width, first_gate=0.0)
        self.read_table = Readout(width, first_gate=0.0)
        self.bias = nn.Parameter(torch.zeros(len(protocol.tasks)))

    def forward(self, batch: Batch) -> ModelOutput:
        """Score a batch and keep the parts of each score."""
        text_BTD = self.text(batch["text"], batch["kinds"], batch["age_days"])
        table_BVD = self.table(batch["table"], batch["is_known"])
        table_mask_BV = batch["has_table"][:, None].expand(-1, table_BVD.shape[1])
        history_BHD = torch.cat([table_BVD, text_BTD], 1)
        history_mask_BH = torch.cat([table_mask_BV, batch["is_token"]], 1)

        image_BND = self._image_tokens(batch)
        image_mask_BN = token_mask(batch["scanned"]) & batch["has_image"][:, None]
        summary = _summary(image_BND, image_mask_BN)
        asked_BKD = (self.ask(self.questions) + self.task).expand(len(text_BTD), -1, -1)
        image_BND = image_BND + self.place(self.places)
        for image_asks, tasks_ask in zip(self.image_asks, self.tasks_ask, strict=True):
            image_BND = image_asks(image_BND, history_BHD, history_mask_BH)
            asked_BKD = tasks_ask(asked_BKD, history_BHD, history_mask_BH)

        image, presence = self.read_image(asked_BKD, image_BND, image_mask_BN)
        text, _ = self.read_text(asked_BKD, text_BTD, batch["is_token"])
        table, _ = self.read_table(asked_BKD, table_BVD, table_mask_BV)
        logits = self.bias + image.sum(-1) + text.sum(-1) + table.sum(-1)
        return ModelOutput(
            logits, self.bias, image, text, table, presence, self.token_grid, summary
        )

    def _image_tokens(self, batch: Batch) -> Tensor:
        """Encode the images that are there, so that absent ones do not enter batch statistics."""
        there = batch["has_image"]
        n_tokens = len(self.places)
        tokens_BND = batch["voxels"].new_zeros(len(there), n_tokens, self.place.out_features)
        if there.any():
            encoded = self.image_encoder(batch["voxels"][there]).flatten(2).transpose(1, 2)
            tokens_BND[there] = encoded.to(tokens_BND.dtype)
        return tokens_BND


def _waves(positions_mm: Tensor) -> Tensor:
    """Return (N, 3) positions in mm with sines and cosines at three scales, shape (N, 21)."""
    scaled = positions_mm / POSITION_SCALE_MM
    waves = [wave(scaled * f) for f in FREQUENCIES for wave in (torch.sin, torch.cos)]
    return torch.cat([scaled, *waves], dim=-1)


def _summary(tokens_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Return mean and maximum over scanned tokens, shape (B, 2 D); zeros where none was scanned."""
    kept = tokens_BND * mask_BN[..., None]
    mean = kept.sum(1) / mask_BN.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([mean, kept.amax(1)], dim=-1).detach()

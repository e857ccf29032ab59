"""The whole network, top to bottom.

Shape suffixes: B cases, I images, C series, S P L voxels (head, back, left), N image tokens,
T sentences, V table variables, H = V + T history tokens, K tasks, Q logits, D width, W width of
a token with its cells' features, C cells, F features of a cell.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.model.details import parted
from pipeline.model.fusion import CrossBlock
from pipeline.model.heads import Cuts, logit_tasks
from pipeline.model.history_encoder import TableProjection, TextProjection, Variables
from pipeline.model.image_encoder import (
    STRIDE,
    ImageEncoder,
    cell_mask,
    looked_share,
    mask_of,
    token_positions,
)
from pipeline.model.join import CrossJoin, LateJoin, NoJoin, ProjectionJoin
from pipeline.model.readout import (
    Cases,
    Heard,
    HistoryReadout,
    ImageReadout,
    MeanReadout,
    Seen,
    VariableEffects,
    shares_of_cells,
)
from pipeline.tensors import Batch, ModelOutput
from schemas.protocol import Protocol
from schemas.settings import ModelSettings

if TYPE_CHECKING:
    from pipeline.model.text_tuning import TunableText

POSITION_SCALE_MM = 50.0
FREQUENCIES = (1.0, 2.0, 4.0)


class FusedNetwork(nn.Module):
    """What is in the image, asked by the tasks' questions; what it means, told by the history.

    A presence gate, free of the history, says which image tokens show something. What a gated
    token then adds to a logit has a part of its own and a part that the history moves. What a
    history token adds is free of the image. So every part is exact, and without the image exactly
    the history's own logit is left.

    Parameters
    ----------
    protocol
        Series, grid, columns, tasks and ``model`` settings; its ``fusion`` chooses the join.
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
        settings, n_table = protocol.model, protocol.n_variables
        self.width = width = settings.width
        self.fusion = settings.fusion
        size, spacing = protocol.grid.size[::-1], protocol.grid.spacing_mm[::-1]
        self.token_grid = (size[0] // STRIDE, size[1] // STRIDE, size[2] // STRIDE)
        self.asked_of = logit_tasks(protocol.tasks)
        n_logits = len(self.asked_of)
        self.register_buffer("questions", questions.clone())
        self.register_buffer("places", _waves(token_positions(size, spacing)))

        self.image_encoder = ImageEncoder(
            settings, len(protocol.series), size,
            recompute=protocol.training.checkpoint_activations,
        )  # fmt: skip
        self.tunable_text: TunableText | None = None
        self.text = TextProjection(text_mean, text_scale, settings)
        self.table = TableProjection(n_table, n_table_features, settings)
        self.variables = Variables(n_table * (n_table_features + 1), settings)
        self.ask = nn.Linear(questions.shape[1], width)
        self.asked = nn.Parameter(torch.randn(n_logits, width) * 0.1)
        self.tasks_ask = nn.ModuleList(CrossBlock(settings) for _ in range(settings.layers))

        self.place = nn.Linear(self.places.shape[1], width)
        self.read_image = ImageReadout(width, n_logits)
        self.read_text, self.read_table = HistoryReadout(width), HistoryReadout(width)
        self.effects = VariableEffects(n_table, n_table_features, n_logits)
        self.means = nn.ModuleList(MeanReadout(width, n_logits) for _ in range(3))
        self.join = self._join(settings, n_logits)
        self.bias = nn.Parameter(torch.zeros(n_logits))
        self.cuts = Cuts(protocol.tasks)
        self.image_head = nn.Parameter(torch.tensor([[0.0], [1.0]]).repeat(1, n_logits))
        self.embed_image = nn.Linear(2 * width, settings.embedding)
        self.embed_history = nn.Linear(width, settings.embedding)

    def forward(self, batch: Batch, *, with_cells: bool = False) -> ModelOutput:
        """Score a batch and keep the parts of each score.

        Parameters
        ----------
        with_cells
            Whether to say which share each cell has in what its token adds. No score needs it.
        """
        text_BTD, table_BVD = self._history(batch)
        text_mask, table_mask = self._history_masks(batch)
        history_BHD = torch.cat([table_BVD, text_BTD], 1)
        history_mask = torch.cat([table_mask, text_mask], 1)
        question_QD = self.ask(self.questions)[self.asked_of] + self.asked
        asked_BQD = question_QD.expand(len(history_BHD), -1, -1)
        for tasks_ask in self.tasks_ask:
            asked_BQD = tasks_ask(asked_BQD, history_BHD, history_mask)
        variables = self.variables(batch, text_BTD, text_mask, table_mask)
        heard = Heard(history_BHD, history_mask, variables, asked_BQD)

        encoded_INW, image_mask = self.see(batch)
        image_IND, details_INCF = parted(encoded_INW, self.width)
        cases = Cases(batch.get("image_of"))
        seen = self.read_image(
            question_QD, image_IND + self.place(self.places), details_INCF, image_mask
        )
        moved, attention = self.join(seen, cases, self.places, heard)
        own = cases.each(seen.own)
        image = own + moved
        text = self.read_text(asked_BQD, text_BTD, text_mask)
        table = self.read_table(asked_BQD, table_BVD, table_mask) + self.effects(
            batch["table"], batch["is_known"] & table_mask
        )
        if self.fusion == "concat":
            parts = ((image_IND, image_mask), (text_BTD, text_mask), (table_BVD, table_mask))
            image, text, table = (mean(*part) for mean, part in zip(self.means, parts, strict=True))
            own = image = cases.each(image)
        summary = cases.each(_summary(image_IND, image_mask))
        history_summary = _mean(history_BHD, history_mask)
        bias, scale = self.image_head
        return ModelOutput(
            logits=self.bias + image.sum(-1) + text.sum(-1) + table.sum(-1),
            bias=self.bias,
            image=image,
            text=text,
            table=table,
            presence=cases.each(seen.presence),
            shares=self._shares(seen, cases, batch["scanned"]) if with_cells else None,
            cuts=self.cuts(),
            image_alone=bias + scale * own.sum(-1),
            attention=() if attention is None else (attention,),
            token_grid=self.token_grid,
            summary=summary.detach(),
            history_summary=history_summary.detach(),
            embedding=self._embedding(
                summary, cases.each(image_mask), history_summary, history_mask
            ),
        )

    def _history(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the tokens of sentences, (B, T, D), and of variables, (B, V, D)."""
        text, kinds = batch["text"], batch["kinds"]
        if self.tunable_text is not None:
            text, kinds = self.tunable_text(batch)
        return (
            self.text(text, kinds, batch["age_days"], batch["flags"]),
            self.table(batch["table"], batch["is_known"]),
        )

    def see(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the encoder makes of each image, (I, N, W), and which tokens were scanned."""
        scanned = batch["scanned"]
        if self.fusion == "history_only":
            scanned = torch.zeros_like(scanned)
        looked = looked_share(scanned)
        mask = mask_of(looked)
        if "tokens" in batch:
            return batch["tokens"], mask
        return self.image_encoder(batch["voxels"], looked), mask

    def _shares(self, seen: Seen, cases: Cases, scanned: Tensor) -> Tensor | None:
        """Return the cells' shares; None where a token's addition is not what it shows."""
        if self.fusion == "concat":
            return None
        return cases.each(shares_of_cells(seen.finer, cell_mask(scanned)))

    def image_branch(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """Return all that decides what the image by itself says of each question."""
        return (
            self.image_encoder, self.place, self.read_image, self.ask, self.asked, self.image_head,
        )  # fmt: skip

    def effects_of_variables(self) -> Tensor:
        """Return all weights of single variables, alone and times what the image says, as a row.

        Of many variables few matter, so training may ask that most of these be near 0.
        """
        weights: list[Tensor] = [self.effects.weight]
        if isinstance(self.join, CrossJoin):
            products = self.join.products
            weights += [products.weight[..., 1:], products.empty[..., 1:]]
        return torch.cat([weight.flatten() for weight in weights])

    def _join(self, settings: ModelSettings, n_logits: int) -> nn.Module:
        """Return how the history moves what the image adds, or what is in its place."""
        n_places = self.places.shape[1]
        match self.fusion:
            case "cross":
                return CrossJoin(settings, n_logits, n_places, self.variables.width)
            case "projection":
                return ProjectionJoin(settings, n_logits)
            case "late" | "image_only":
                return LateJoin(settings, n_logits, n_places)
            case _:
                return NoJoin()

    def _history_masks(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return which sentences, (B, T), and which variables, (B, V), may be read."""
        text = batch["is_token"]
        table = batch["has_table"][:, None].expand_as(batch["is_known"])
        if self.fusion == "image_only":
            return torch.zeros_like(text), torch.zeros_like(table)
        return text, table

    def _embedding(
        self, summary: Tensor, image_mask: Tensor, history_summary: Tensor, history_mask: Tensor
    ) -> Tensor:
        image = functional.normalize(self.embed_image(summary), dim=-1)
        history = functional.normalize(self.embed_history(history_summary), dim=-1)
        there = torch.stack([image_mask.any(1), history_mask.any(1)], 1)
        return torch.stack([image, history], 1) * there[..., None]


def _waves(positions_mm: Tensor) -> Tensor:
    """Return (N, 3) positions in mm with sines and cosines at three scales, shape (N, 21)."""
    scaled = positions_mm / POSITION_SCALE_MM
    waves = [wave(scaled * f) for f in FREQUENCIES for wave in (torch.sin, torch.cos)]
    return torch.cat([scaled, *waves], dim=-1)


def _mean(tokens_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the mean over unmasked tokens, shape (B, D); zeros where there is none."""
    kept = tokens_BND * mask_BN[..., None]
    return kept.sum(1) / mask_BN.sum(1, keepdim=True).clamp(min=1)


def _summary(tokens_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Return mean and maximum over scanned tokens, shape (B, 2 D); zeros where none was scanned."""
    kept = tokens_BND * mask_BN[..., None]
    return torch.cat([_mean(tokens_BND, mask_BN), kept.amax(1)], dim=-1)

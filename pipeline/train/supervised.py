"""The network with its losses, in the form that the Trainer calls."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.model.network import FusedNetwork
from pipeline.tensors import Batch, ModelOutput
from pipeline.train.augment import moved
from pipeline.train.losses import (
    annotation_loss,
    contrast_loss,
    n_known,
    n_marked,
    outcome_losses,
)
from schemas.protocol import Protocol


class Supervised(nn.Module):
    """A network and what it is trained for.

    Parameters
    ----------
    image_only
        Whether only the image branch is trained, on what the image by itself decides.
    """

    weights: Tensor

    def __init__(self, network: FusedNetwork, protocol: Protocol, *, image_only: bool) -> None:
        super().__init__()
        self.network, self.image_only = network, image_only
        self.tasks, self.settings = protocol.tasks, protocol.training
        self.register_buffer("weights", torch.tensor([task.weight for task in self.tasks]))
        self.doubt = nn.Parameter(
            torch.zeros(len(self.tasks)), requires_grad=self.settings.learned_task_weights
        )
        # Bias and scale of what notes, and what the table, would say by themselves.
        heads = torch.tensor([0.0, 1.0])[:, None, None].repeat(1, 2, len(network.asked_of))
        self.heads = nn.Parameter(heads, requires_grad=self.settings.modality_weight > 0)

    def forward(
        self, batch: Batch, labels: Tensor, masks: Tensor, shares: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the loss, and what each case's logits were and would have been.

        Parameters
        ----------
        labels : shape (B, L)
            NaN where unknown.
        masks : shape (B, K, S/4, P/4, L/4)
            NaN where there is none.
        shares : shape (5 K + 4,)
            What each of :meth:`counts` is of the whole step's; 1 if not given.

        Returns
        -------
        dict
            ``loss``; and of shape (B, Q): ``logits``, ``image_alone``, ``history_alone``,
            ``text_alone``, ``table_alone``, and how far ``image``, ``text`` and ``table`` moved the
            logit.
        """
        output: ModelOutput = self.network(moved(batch))
        targets = _targets(batch, labels, masks)
        if shares is None:
            shares = torch.ones_like(self.counts(batch, labels, masks))
        text_alone, table_alone = self._each_alone(output)
        return {
            "loss": self._loss(output, targets, shares),
            "logits": output.image_alone if self.image_only else output.logits,
            "image_alone": output.image_alone,
            "history_alone": output.history_alone,
            "text_alone": text_alone,
            "table_alone": table_alone,
            "image": output.image.sum(-1),
            "text": output.text.sum(-1),
            "table": output.table.sum(-1),
        }

    def counts(self, batch: Batch, labels: Tensor, masks: Tensor) -> Tensor:
        """Return over how much each part of the loss is a mean, shape (5 K + 4,).

        Labels of each task: of all cases, of those with an image, a history, notes, a table;
        tokens on findings; masks; cases; and 1 for what is no mean. With what these are of a whole
        step's, losses of a step's parts sum to the loss of the step read at once.
        """
        targets = _targets(batch, labels, masks)
        known = [n_known(own, self.tasks) for own in targets.of_outcomes()]
        rest = labels.new_tensor([len(labels), 1.0])
        return torch.cat([*known, n_marked(targets.masks, self.network.asked_of), rest]).float()

    def _loss(self, output: ModelOutput, targets: "_Targets", shares: Tensor) -> Tensor:
        n_tasks = len(self.tasks)
        whole, seen, heard, noted, tabled = shares[: 5 * n_tasks].view(5, n_tasks)
        on_masks, of_cases, of_step = shares[-4:-2], shares[-2], shares[-1]
        finding = self.settings.annotation_weight * annotation_loss(
            output.presence, targets.masks, self.network.asked_of, on_masks
        )
        image = self._outcomes(output.image_alone, output, targets.seen, seen, of_step)
        if self.image_only:
            return image + finding
        history = self._outcomes(output.history_alone, output, targets.heard, heard, of_step)
        loss = self._outcomes(output.logits, output, targets.labels, whole, of_step) + finding
        loss = loss + self.settings.part_weight * (image + history)
        if self.settings.modality_weight:
            text, table = self._each_alone(output)
            alone = self._outcomes(text, output, targets.noted, noted, of_step)
            alone = alone + self._outcomes(table, output, targets.tabled, tabled, of_step)
            loss = loss + self.settings.modality_weight * alone
        loss = loss + self._simplicity(output, of_cases, of_step)
        if self.settings.contrast_weight:
            alike = contrast_loss(output.embedding, self.settings.contrast_temperature)
            loss = loss + self.settings.contrast_weight * alike * of_cases
        return loss

    def _each_alone(self, output: ModelOutput) -> tuple[Tensor, Tensor]:
        """Return what the notes, and what the table, would say by themselves, (B, Q) each."""
        bias, scale = self.heads
        text, table = (part.sum(-1) for part in (output.text, output.table))
        return bias[0] + scale[0] * text, bias[1] + scale[1] * table

    def _simplicity(self, output: ModelOutput, of_cases: Tensor, of_step: Tensor) -> Tensor:
        """Return what many effects, and much said by sentences beyond the concepts, cost."""
        said = output.text.sum(-1).square().mean() * of_cases
        cost = said * self.settings.shrink_sentences
        if self.settings.sparsity:
            effects = self.network.effects_of_variables()
            cost = cost + self.settings.sparsity * effects.abs().sum() * of_step
        return cost

    def _outcomes(
        self, logits: Tensor, output: ModelOutput, labels: Tensor, shares: Tensor, of_step: Tensor
    ) -> Tensor:
        losses = outcome_losses(logits, output.cuts, labels, self.tasks) * shares * self.weights
        if self.settings.learned_task_weights:
            losses = losses * torch.exp(-self.doubt) + self.doubt / 2 * of_step
        return losses.sum() / self.weights.sum()


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    """What a batch's outputs are compared with.

    Parameters
    ----------
    labels, seen, heard, noted, tabled : shape (B, L)
        Of all cases; of those with an image, a history, notes, a table.
    masks : shape (B, K, N)
        Of those with an image.
    """

    labels: Tensor
    seen: Tensor
    heard: Tensor
    noted: Tensor
    tabled: Tensor
    masks: Tensor

    def of_outcomes(self) -> tuple[Tensor, ...]:
        """Return the labels of all cases and of each kind of case."""
        return self.labels, self.seen, self.heard, self.noted, self.tabled


def _targets(batch: Batch, labels: Tensor, masks: Tensor) -> _Targets:
    has_image, has_table = batch["has_image"], batch["has_table"]
    has_notes = batch["is_token"].any(1)

    def those(have: Tensor) -> Tensor:
        return torch.where(have[:, None], labels, torch.nan)

    return _Targets(
        labels,
        those(has_image),
        those(has_table | has_notes),
        those(has_notes),
        those(has_table),
        torch.where(has_image[:, None, None], masks.flatten(2), torch.nan),
    )

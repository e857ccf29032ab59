"""The network with its losses, in the form that the Trainer calls."""

import torch
from torch import Tensor, nn

from pipeline.model.network import FusedNetwork
from pipeline.tensors import Batch, ModelOutput
from pipeline.train.losses import annotation_loss, contrast_loss, outcome_losses
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

    def forward(self, batch: Batch, labels: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Return the loss, and what each case's logits were and would have been.

        Parameters
        ----------
        labels : shape (B, L)
            NaN where unknown.
        masks : shape (B, K, S/4, P/4, L/4)
            NaN where there is none.

        Returns
        -------
        dict
            ``loss``; and of shape (B, Q): ``logits``, ``image_alone``, ``history_alone``, and how
            far ``image``, ``text`` and ``table`` moved the logit.
        """
        output: ModelOutput = self.network(batch)
        return {
            "loss": self._loss(output, batch, labels, masks),
            "logits": output.image_alone if self.image_only else output.logits,
            "image_alone": output.image_alone,
            "history_alone": output.history_alone,
            "image": output.image.sum(-1),
            "text": output.text.sum(-1),
            "table": output.table.sum(-1),
        }

    def _loss(self, output: ModelOutput, batch: Batch, labels: Tensor, masks: Tensor) -> Tensor:
        there = batch["has_image"]
        seen = torch.where(there[:, None], labels, torch.nan)
        shown = torch.where(there[:, None, None], masks.flatten(2), torch.nan)
        finding = self.settings.annotation_weight * annotation_loss(
            output.presence, shown, self.network.asked_of
        )
        image = self._outcomes(output.image_alone, output, seen)
        if self.image_only:
            return image + finding
        heard = torch.where(_has_history(batch)[:, None], labels, torch.nan)
        history = self._outcomes(output.history_alone, output, heard)
        loss = self._outcomes(output.logits, output, labels) + finding
        loss = loss + self.settings.part_weight * (image + history)
        loss = loss + self._simplicity(output)
        if self.settings.contrast_weight:
            alike = contrast_loss(output.embedding, self.settings.contrast_temperature)
            loss = loss + self.settings.contrast_weight * alike
        return loss

    def _simplicity(self, output: ModelOutput) -> Tensor:
        """Return what many effects, and much said by sentences beyond the concepts, cost."""
        cost = output.text.sum(-1).square().mean() * self.settings.shrink_sentences
        if self.settings.sparsity:
            effects = self.network.effects_of_variables()
            cost = cost + self.settings.sparsity * effects.abs().sum()
        return cost

    def _outcomes(self, logits: Tensor, output: ModelOutput, labels: Tensor) -> Tensor:
        losses = outcome_losses(logits, output.cuts, labels, self.tasks) * self.weights
        if self.settings.learned_task_weights:
            losses = losses * torch.exp(-self.doubt) + self.doubt / 2
        return losses.sum() / self.weights.sum()


def _has_history(batch: Batch) -> Tensor:
    return batch["has_table"] | batch["is_token"].any(1)

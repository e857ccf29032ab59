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
        shares : shape (3 K + 4,)
            What each of :meth:`counts` is of the whole step's; 1 if not given.

        Returns
        -------
        dict
            ``loss``; and of shape (B, Q): ``logits``, ``image_alone``, ``history_alone``, and how
            far ``image``, ``text`` and ``table`` moved the logit.
        """
        output: ModelOutput = self.network(moved(batch))
        targets = _targets(batch, labels, masks)
        if shares is None:
            shares = torch.ones_like(self.counts(batch, labels, masks))
        return {
            "loss": self._loss(output, targets, shares),
            "logits": output.image_alone if self.image_only else output.logits,
            "image_alone": output.image_alone,
            "history_alone": output.history_alone,
            "image": output.image.sum(-1),
            "text": output.text.sum(-1),
            "table": output.table.sum(-1),
        }

    def counts(self, batch: Batch, labels: Tensor, masks: Tensor) -> Tensor:
        """Return over how much each part of the loss is a mean, shape (3 K + 4,).

        Labels of each task: of all cases, of those with an image, of those with a history; tokens
        on findings; masks; cases; and 1 for what is no mean. With what these are of a whole
        step's, losses of a step's parts sum to the loss of the step read at once.
        """
        targets = _targets(batch, labels, masks)
        known = [n_known(own, self.tasks) for own in (targets.labels, targets.seen, targets.heard)]
        rest = labels.new_tensor([len(labels), 1.0])
        return torch.cat([*known, n_marked(targets.masks, self.network.asked_of), rest]).float()

    def _loss(self, output: ModelOutput, targets: "_Targets", shares: Tensor) -> Tensor:
        n_tasks = len(self.tasks)
        whole, seen, heard = shares[: 3 * n_tasks].view(3, n_tasks)
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
        loss = loss + self._simplicity(output, of_cases, of_step)
        if self.settings.contrast_weight:
            alike = contrast_loss(output.embedding, self.settings.contrast_temperature)
            loss = loss + self.settings.contrast_weight * alike * of_cases
        return loss

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
    labels, seen, heard : shape (B, L)
        Of all cases; of those with an image; of those with a history.
    masks : shape (B, K, N)
        Of those with an image.
    """

    labels: Tensor
    seen: Tensor
    heard: Tensor
    masks: Tensor


def _targets(batch: Batch, labels: Tensor, masks: Tensor) -> _Targets:
    has_image, has_history = batch["has_image"], batch["has_table"] | batch["is_token"].any(1)
    return _Targets(
        labels,
        torch.where(has_image[:, None], labels, torch.nan),
        torch.where(has_history[:, None], labels, torch.nan),
        torch.where(has_image[:, None, None], masks.flatten(2), torch.nan),
    )

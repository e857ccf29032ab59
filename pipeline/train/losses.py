"""What training makes small: outcomes, masks, and the distance of an image from its history."""

from collections.abc import Sequence

import torch
from monai.losses import FocalLoss
from torch import Tensor
from torch.nn import functional

from pipeline.model.heads import task_logits, task_steps
from schemas.task import Task

MARGIN = 1e-6
CERTAIN = 60.0
FOCUS = 2.0


def outcome_losses(logits: Tensor, cuts: Tensor, labels: Tensor, tasks: Sequence[Task]) -> Tensor:
    """Return each task's mean negative log-likelihood, shape (K,); 0 where no label is known.

    Parameters
    ----------
    logits, cuts : shape (B, Q) and (K, J), log-odds
        As in ``ModelOutput``.
    labels : shape (B, L)
        In the order of the tasks' ``label_columns``; NaN where unknown. 0 or 1, the class's
        number, or for survival the days of observation and whether the event ended them.
    """
    losses, column = [], 0
    for number, task in enumerate(tasks):
        own = labels[:, column : column + len(task.label_columns)]
        column += len(task.label_columns)
        known = ~own.isnan().any(-1)
        if known.any():
            losses.append(_task_loss(logits[known], cuts, own[known], tasks, number))
        else:
            losses.append(logits.sum() * 0.0)
    return torch.stack(losses)


def _task_loss(
    logits: Tensor, cuts: Tensor, labels: Tensor, tasks: Sequence[Task], number: int
) -> Tensor:
    task = tasks[number]
    own = logits[:, task_logits(tasks)[number]]
    if task.kind == "binary":
        return functional.binary_cross_entropy_with_logits(own, labels)
    if task.kind == "multiclass":
        return functional.cross_entropy(own, labels[:, 0].long())
    steps = task_steps(logits, cuts, tasks, number)
    if task.kind == "survival":
        return _survival_loss(steps, labels, task)
    certain = torch.full_like(own, CERTAIN)
    edges = torch.cat([certain, steps, -certain], dim=-1)
    level = labels[:, :1].long()
    return _between(edges.gather(1, level), edges.gather(1, level + 1)).mean()


def _between(upper: Tensor, lower: Tensor) -> Tensor:
    """Return -log(sigmoid(upper) - sigmoid(lower)), with a gradient however small it is."""
    apart = (upper - lower).clamp(min=MARGIN)
    return -(
        functional.logsigmoid(upper)
        + functional.logsigmoid(-lower)
        + torch.log(-torch.expm1(-apart))
    )


def _survival_loss(steps: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Return the loss of the spans that each patient was seen to live through, or had the event in.

    A patient who leaves inside a span says nothing about that span.
    """
    days, event = labels[:, :1], labels[:, 1:] > 0.5
    ends = torch.tensor(task.horizons_days, dtype=days.dtype, device=days.device)
    starts = torch.cat([ends.new_full((1,), -1.0), ends[:-1]])  # an event on day 0 counts
    had_event = event & (days > starts) & (days <= ends)
    was_free = (days >= ends) & ~had_event
    loss = functional.binary_cross_entropy_with_logits(
        steps, had_event.to(steps.dtype), reduction="none"
    )
    counted = had_event | was_free
    return (loss * counted).sum() / len(labels)


def n_known(labels: Tensor, tasks: Sequence[Task]) -> Tensor:
    """Return how many cases have a label for each task, shape (K,), of labels (B, L)."""
    counts, column = [], 0
    for task in tasks:
        own = labels[:, column : column + len(task.label_columns)]
        column += len(task.label_columns)
        counts.append((~own.isnan().any(-1)).sum())
    return torch.stack(counts)


def n_marked(masks: Tensor, asked_of: Sequence[int]) -> Tensor:
    """Return how many tokens lie on findings, and how many masks there are, of masks (B, K, N).

    Both are counted once for each logit, shape (2,).
    """
    shown = masks[:, list(asked_of)]
    return torch.stack([(shown == 1.0).sum(), (~shown.isnan()).any(-1).sum()])


def annotation_loss(
    presence: Tensor, masks: Tensor, asked_of: Sequence[int], shares: Tensor | None = None
) -> Tensor:
    """Return how badly the gates tell marked tokens from others; 0 if there is no mask.

    The focal loss (Lin et al., 2017) with an exponent of 2: a mean over the tokens on findings,
    and for those off them a sum over each mask. Of thousands of tokens few look like a finding;
    these, which are told apart last, weigh most.

    Parameters
    ----------
    presence : shape (B, Q, N), log-odds
    masks : shape (B, K, N)
        1 on the finding, 0 elsewhere, NaN without a mask.
    asked_of
        The task of each logit.
    shares : shape (2,)
        How much the mean over marked tokens counts, and that over masks; 1 if not given.
    """
    masks = masks[:, list(asked_of)]
    inside, outside = masks == 1.0, masks == 0.0
    loss = FocalLoss(gamma=FOCUS, reduction="none")(presence, inside.to(presence.dtype))
    sums = torch.stack([(loss * part).sum() for part in (inside, outside)])
    counts = torch.stack([inside.sum(), (inside | outside).any(-1).sum()]).clamp(min=1)
    means = sums / counts
    return (means if shares is None else means * shares).sum() / 2


def contrast_loss(embedding: Tensor, temperature: float) -> Tensor:
    """Return how badly each image finds its own history among the batch's, and the reverse.

    Parameters
    ----------
    embedding : shape (B, 2, E)
        As in ``ModelOutput``. Cases without either are left out; the loss is 0 if fewer than two
        are left.
    """
    there = (embedding.abs().sum(-1) > 0).all(-1)
    image, history = embedding[there].unbind(1)
    if len(image) < 2:
        return embedding.sum() * 0.0
    alike = image @ history.T / temperature
    own = torch.arange(len(image), device=alike.device)
    return (functional.cross_entropy(alike, own) + functional.cross_entropy(alike.T, own)) / 2

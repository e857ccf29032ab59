"""Logits to answers, for each kind of task.

Shape suffixes: B cases, Q logits, K tasks, J cuts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.task import Task

FIRST_STEP = 1.0


def logit_tasks(tasks: Sequence[Task]) -> list[int]:
    """Return, for each logit, the number of its task."""
    return [number for number, task in enumerate(tasks) for _ in range(task.n_logits)]


def task_logits(tasks: Sequence[Task]) -> list[slice]:
    """Return, for each task, which logits are its own."""
    ends = [sum(task.n_logits for task in tasks[: number + 1]) for number in range(len(tasks))]
    return [slice(end - task.n_logits, end) for end, task in zip(ends, tasks, strict=True)]


class Cuts(nn.Module):
    """Further thresholds of ordinal and survival tasks, which share their logit's evidence.

    An ordinal task's rise, so its classes stay in order; a survival task's are free, since the
    chance of the event in each span stands for itself.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        most = max(task.n_cuts for task in tasks)
        self.steps = nn.Parameter(torch.zeros(len(tasks), most))

    def forward(self) -> Tensor:
        """Return what is taken off a task's logit at its second threshold and on: (K, J)."""
        is_ordinal = [[task.kind == "ordinal"] for task in self.tasks]
        rising = (functional.softplus(self.steps) * FIRST_STEP).cumsum(-1)
        chosen = torch.tensor(is_ordinal, device=self.steps.device)
        return torch.where(chosen, rising, self.steps)


def thresholds(logits_BQ: Tensor, cuts_KJ: Tensor, tasks: Sequence[Task], number: int) -> Tensor:
    """Return an ordinal or survival task's logits, one a threshold or span: (B, 1 + cuts)."""
    own = logits_BQ[:, task_logits(tasks)[number]]
    further = own - cuts_KJ[number, : tasks[number].n_cuts]
    return torch.cat([own, further], dim=-1)


def probabilities(logits_BQ: Tensor, cuts_KJ: Tensor, tasks: Sequence[Task], number: int) -> Tensor:
    """Return one task's answer, before any calibration.

    Returns
    -------
    Tensor
        ``binary``: (B, 1), of a yes. ``multiclass`` and ``ordinal``: (B, classes), summing to 1.
        ``survival``: (B, horizons), of an event up to each horizon; never falling.
    """
    task = tasks[number]
    own = logits_BQ[:, task_logits(tasks)[number]]
    if task.kind == "binary":
        return torch.sigmoid(own)
    if task.kind == "multiclass":
        return torch.softmax(own, dim=-1)
    chances = torch.sigmoid(thresholds(logits_BQ, cuts_KJ, tasks, number))
    if task.kind == "survival":
        return 1.0 - torch.cumprod(1.0 - chances, dim=-1)
    above = torch.cat([torch.ones_like(own), chances, torch.zeros_like(own)], dim=-1)
    return above[:, :-1] - above[:, 1:]

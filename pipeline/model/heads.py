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


def task_steps(logits_BQ: Tensor, cuts_KJ: Tensor, tasks: Sequence[Task], number: int) -> Tensor:
    """Return one task's logits, then those at its further thresholds or spans, (B, n_steps)."""
    own = logits_BQ[:, task_logits(tasks)[number]]
    return torch.cat([own, own[:, :1] - cuts_KJ[number, : tasks[number].n_cuts]], dim=-1)


def all_steps(logits_BQ: Tensor, cuts_KJ: Tensor, tasks: Sequence[Task]) -> Tensor:
    """Return the steps of all tasks side by side, (B, sum of n_steps)."""
    numbers = range(len(tasks))
    return torch.cat([task_steps(logits_BQ, cuts_KJ, tasks, number) for number in numbers], dim=-1)

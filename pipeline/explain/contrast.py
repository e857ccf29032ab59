"""One logit a task: the one that the report speaks about.

Shape suffixes: B cases, Q logits, K tasks, N tokens, C cells.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.cells import joint_shares
from pipeline.settle import settled
from pipeline.tensors import ModelOutput
from schemas.task import Task


def contrasted(output: ModelOutput, tasks: Sequence[Task], shown: Sequence[int]) -> ModelOutput:
    """Return the output with one logit a task, and its exact parts.

    Of a ``multiclass`` task it is the shown class's logit less the mean of the others': only such
    differences mean anything, since what is added to all classes changes no probability. All
    other tasks have one logit, and keep it.

    Parameters
    ----------
    shown
        For each task the number of the class; not used for other kinds.

    Returns
    -------
    ModelOutput
        Shapes as before with K in place of Q.
    """
    if all(task.kind != "multiclass" for task in tasks):
        return output
    weights = torch.block_diag(  # type: ignore[no-untyped-call]
        *(_row(task, chosen) for task, chosen in zip(tasks, shown, strict=True))
    ).to(output.logits)

    def mixed(parts: Tensor) -> Tensor:
        return torch.einsum("kq,bqn->bkn", weights, parts)

    return replace(
        output,
        logits=output.logits @ weights.T,
        bias=weights @ output.bias,
        image=settled(mixed(output.image)),
        text=mixed(output.text),
        table=mixed(output.table),
        presence=output.presence[:, weights.argmax(1)],
        shares=_mixed_shares(output, weights),
        image_alone=output.image_alone @ weights.T,
        member_logits=output.each_member @ weights.T,
    )


def _mixed_shares(output: ModelOutput, weights: Tensor) -> Tensor | None:
    """Return the cells' shares, (B, K, N, C): each logit's count by how much it brings."""
    if output.shares is None:
        return None
    brought = torch.einsum("kq,bqn->qbkn", weights, output.image)
    return joint_shares(
        brought, output.shares.movedim(1, 0)[:, :, None].expand(*brought.shape, -1)
    )  # fmt: skip


def _row(task: Task, chosen: int) -> Tensor:
    """Return how a task's logits are weighted, shape (1, its logits)."""
    if task.kind != "multiclass":
        return torch.ones(1, 1)
    others = torch.full((1, task.n_logits), -1.0 / (task.n_logits - 1))
    others[0, chosen] = 1.0
    return others

"""Several networks that answer as one: the mean of what they say, and what each says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from pipeline.cells import joint_shares
from pipeline.tensors import ModelOutput


def mean_output(outputs: Sequence[ModelOutput]) -> ModelOutput:
    """Return the mean of the members' scores and of each of their parts.

    Means are linear, so the parts still sum to the logit. Pooled features and the common space
    have other axes in each network; those of the first member stand for the ensemble.

    Parameters
    ----------
    outputs
        One a member, of the same batch.

    Returns
    -------
    ModelOutput
        ``member_logits`` holds what each member says, ``attention`` where each looked.
    """

    def mean(of: Callable[[ModelOutput], Tensor]) -> Tensor:
        return torch.stack([of(output) for output in outputs]).mean(0)

    return replace(
        outputs[0],
        logits=mean(lambda one: one.logits),
        bias=mean(lambda one: one.bias),
        image=mean(lambda one: one.image),
        text=mean(lambda one: one.text),
        table=mean(lambda one: one.table),
        presence=mean(lambda one: one.presence),
        shares=_shares_of_mean(outputs),
        cuts=mean(lambda one: one.cuts),
        image_alone=mean(lambda one: one.image_alone),
        attention=tuple(chain.from_iterable(output.attention for output in outputs)),
        member_logits=torch.stack([output.logits for output in outputs]),
    )


def _shares_of_mean(outputs: Sequence[ModelOutput]) -> Tensor | None:
    shares = [output.shares for output in outputs if output.shares is not None]
    if len(shares) < len(outputs):
        return None
    return joint_shares(torch.stack([output.image for output in outputs]), torch.stack(shares))

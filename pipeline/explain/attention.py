"""Raw attention: where the network looked, which is not what it found there."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.tensors import ModelInput, ModelOutput

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RawAttention:
    """With which share the history looked at each image token; no evidence for or against.

    Parameters
    ----------
    weights : shape (N,)
        Mean over the variables and sentences that were read; 0 for tokens among which they did not
        look. The same for every task: tasks ask the history, and the history asks the image.
    null_share
        What the null key took, which stands for "nothing there"; with the weights it sums to 1.
    """

    weights: Array
    null_share: float


def raw_attention(output: ModelOutput, case: ModelInput) -> RawAttention:
    """Return the cross-attention of one case's history to its image; of an ensemble, the mean.

    Parameters
    ----------
    output
        Of a batch of this case alone.

    Raises
    ------
    UsageError
        If the network has no cross-attention to the image, or no history was read to look at it.
    """
    if not output.attention:
        msg = "this bundle has no attention to the image to show: only `fusion: cross` has"
        raise UsageError(msg)
    looked = torch.stack([one.whole()[0] for one in output.attention]).mean(0)
    rows = looked.double().cpu().numpy()[_read(output, case)]
    if not len(rows):
        msg = "the study has no notes and no table, and it is they that look at the image"
        raise UsageError(msg)
    weights: Array = rows.mean(0)
    return RawAttention(weights, 1.0 - float(weights.sum()))


def _read(output: ModelOutput, case: ModelInput) -> NDArray[np.bool_]:
    """Say which history tokens, shape (H,), hold a variable or a sentence of the case."""
    n_sentences = 0 if case.text is None else len(case.text.features)
    variables = np.full(output.table.shape[-1], case.table is not None)
    return np.concatenate([variables, np.arange(output.text.shape[-1]) < n_sentences])

"""Asking a network, whatever it is: cases in, logits and maps out."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.tensors import ModelInput, ModelOutput

AT_ONCE = 32

Array = NDArray[np.float64]
Predict = Callable[[Sequence[ModelInput]], ModelOutput]


def logits_of(predict: Predict, cases: Sequence[ModelInput]) -> Array:
    """Return the logits of any number of cases, ``AT_ONCE`` at a time, shape (n, Q), log-odds."""
    return np.concatenate(
        [
            predict(cases[start : start + AT_ONCE]).logits.double().cpu().numpy()
            for start in range(0, len(cases), AT_ONCE)
        ]
    )


def additions_of(output: ModelOutput) -> Array:
    """Return what each token of a batch of one adds to each logit, shape (Q, N), log-odds."""
    additions: Array = output.image[0].double().cpu().numpy()
    return additions

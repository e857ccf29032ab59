"""Asking a network, whatever it is: cases in, logits and maps out."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.cells import Grid, cell_grid, on_grid
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


def finest_of(output: ModelOutput, row: int = 0) -> tuple[Array, Grid]:
    """Return what each place of a case adds to each logit, as finely as the network knows.

    Parameters
    ----------
    row
        Of the case in its batch.

    Returns
    -------
    additions : shape (Q, M), log-odds
        Of cells, which sum to what their token adds; of tokens where nothing finer is known.
    grid
        On which the M places lie.
    """
    if output.shares is None:
        return output.image[row].double().cpu().numpy(), output.token_grid
    parts = (output.image[row, ..., None] * output.shares[row]).double().cpu()
    return on_grid(parts, output.token_grid).flatten(1).numpy(), cell_grid(output.token_grid)

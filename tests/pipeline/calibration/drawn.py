"""Labels drawn from known log-odds, and scores that distort them."""

import numpy as np
from numpy.typing import NDArray


def drawn(
    n: int, *, slope: float = 1.0, shift: float = 0.0, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return scores, labels and true log-odds, where true log-odds = slope * score + shift."""
    random = np.random.default_rng(seed)
    truth = random.normal(-1.0, 1.5, n)
    labels = (random.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return (truth - shift) / slope, labels, truth

"""Values to bars, and counts to shares with their intervals."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from schemas.inspection import Bar, Distribution
from schemas.metrics import Interval

N_BARS = 16
TAIL = 0.01
Z95 = 1.959964


def number_bars(values: Sequence[float], uncut: Sequence[float]) -> Distribution:
    """Return up to ``N_BARS`` equal bars over all but the outermost percent at either end.

    What lies beyond is counted in the first and the last bar. Whole numbers get whole bars.

    Parameters
    ----------
    values, uncut
        As a case reads them, and as they would be read without the time rule.
    """
    both = np.array([*values, *uncut])
    if not both.size:
        return Distribution(bars=())
    low, high = np.quantile(both, [TAIL, 1.0 - TAIL])
    edges = _edges(float(low), float(high), is_whole=bool((both == np.rint(both)).all()))
    counts, others = (
        np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0].tolist()
        for part in (values, uncut)
    )
    bars = zip(edges[:-1], counts, others, strict=True)
    return Distribution(
        bars=tuple(Bar(label=f"{edge:.6g}", n=n, n_uncut=other) for edge, n, other in bars),
        low=edges[0],
        high=edges[-1],
        quartiles=_quartiles(values) if values else None,
    )


def word_bars(values: Iterable[str], uncut: Iterable[str]) -> Distribution:
    """Return a bar for each word, most frequent first."""
    counts, others = Counter(values), Counter(uncut)
    words = sorted(counts | others, key=lambda word: (-counts[word], -others[word], word))
    return Distribution(
        bars=tuple(Bar(label=word, n=counts[word], n_uncut=others[word]) for word in words)
    )


def wilson(positive: int, n: int) -> Interval:
    """Return a share with Wilson's 95 % interval (E. B. Wilson, 1927)."""
    share, z2 = positive / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(
        value=share, lower=max(0.0, min(share, centre - half)),
        upper=min(1.0, max(share, centre + half)),
    )  # fmt: skip


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return first, median, third


def _edges(low: float, high: float, *, is_whole: bool) -> list[float]:
    if is_whole:
        step = max(1, math.ceil((high - low + 1) / N_BARS))
        start = math.floor(low)
        n_bars = max(1, math.ceil((high - start + 1) / step))
        return [float(start + step * number) for number in range(n_bars + 1)]
    if not high > low:
        high = low + max(abs(low), 1.0) * 1e-3
    return [float(edge) for edge in np.linspace(low, high, N_BARS + 1)]

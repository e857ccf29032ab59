"""Inductive Venn-Abers prediction: what isotonic regression says if the case had the outcome.

Vovk and Petej, 2014 (https://arxiv.org/abs/1211.0025); the two step functions are found in one pass
each, as in Vovk, Petej and Fedorova, 2015 (https://arxiv.org/abs/1511.00213).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.calibration import VennAbersRange

Array = NDArray[np.float64]
Corner = tuple[float, float]


def fit_range(logits: Array, labels: Array) -> VennAbersRange:
    """Return p0 and p1 of every possible score.

    A score between two calibration scores has the p0 of the lower one and the p1 of the higher
    one: an event among higher scores breaks no order that the higher one would not break.

    Parameters
    ----------
    logits : shape (n,)
    labels : shape (n,), 0 or 1
    """
    knots, of = np.unique(logits, return_inverse=True)
    count = np.bincount(of).astype(np.float64)
    events = np.bincount(of, labels).astype(np.float64)
    upper = _with_an_event(count, events)
    # A case without the event is one with it where events and the order are turned round.
    lower = 1.0 - _with_an_event(count[::-1], (count - events)[::-1])[::-1]
    is_first = np.append(True, np.diff(lower) > 0.0)
    is_last = np.append(np.diff(upper) > 0.0, True)
    return VennAbersRange(
        lower_knots=tuple(knots[is_first].tolist()),
        lower=tuple(lower[is_first].tolist()),
        upper_knots=tuple(knots[is_last].tolist()),
        upper=tuple(upper[is_last].tolist()),
    )


def range_of(fitted: VennAbersRange, logits: ArrayLike) -> tuple[Array, Array]:
    """Return p0 and p1, each of the shape of ``logits``; NaN where a logit is."""
    x = np.asarray(logits, dtype=np.float64)
    below = np.searchsorted(fitted.lower_knots, x, side="right")
    above = np.searchsorted(fitted.upper_knots, x, side="left")
    p0, p1 = np.append(0.0, fitted.lower)[below], np.append(fitted.upper, 1.0)[above]
    known = ~np.isnan(x)
    return np.where(known, p0, np.nan), np.where(known, p1, np.nan)


def merged_log_odds(fitted: VennAbersRange, logits: ArrayLike) -> Array:
    """Return the log-odds of p1 / (1 - p0 + p1): least regret in log loss whatever comes."""
    p0, p1 = range_of(fitted, logits)
    return np.asarray(np.log(p1) - np.log1p(-p0))


def _with_an_event(count: Array, events: Array) -> Array:
    """Return the isotonic fit at each place when one more event falls there, shape (m,).

    The fit is a slope of the lower hull of the cumulative sums. The event moves from place to
    place; each move changes one corner, and only the hull from there on can change with it.

    Parameters
    ----------
    count, events : shape (m,)
        Cases and events among them at each place, by rising score.
    """
    sums = np.stack([np.cumsum(count), np.cumsum(events)], axis=1)
    points: list[Corner] = [(-1.0, -1.0), (0.0, 0.0), *map(tuple, sums.tolist())]
    hull: list[Corner] = []
    for point in reversed(points):
        _push(hull, point)
    found = []
    for cases, events_so_far in points[2:]:
        left, right = hull[-1], hull[-2]
        found.append((right[1] - left[1]) / (right[0] - left[0]))
        moved = (cases - 1.0, events_so_far - 1.0)
        if _turn(left, right, moved) < 0.0:
            hull.pop()
            _push(hull, moved)
    return np.array(found)


def _push(hull: list[Corner], point: Corner) -> None:
    """Add a corner to the left of a lower hull, whose last is the leftmost."""
    while len(hull) > 1 and _turn(point, hull[-1], hull[-2]) <= 0.0:
        hull.pop()
    hull.append(point)


def _turn(start: Corner, middle: Corner, end: Corner) -> float:
    """Return more than 0 where the way from start over middle to end turns left."""
    return (middle[0] - start[0]) * (end[1] - start[1]) - (middle[1] - start[1]) * (
        end[0] - start[0]
    )

"""How far two maps of one logit agree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.explain.paint import Mask
from pipeline.geometry import Geometry

Array = NDArray[np.float64]
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a map with another one.

    Parameters
    ----------
    rank_correlation
        Spearman's, over the tokens that were looked at; None if a map is the same everywhere.
    peak_mm
        Centre of the token that the first map says raises the logit most, LPS; None if none does.
    peak_distance_mm
        From there to the other map's; None if one of them has none.
    """

    rank_correlation: float | None
    peak_mm: Point | None
    peak_distance_mm: float | None


def agreement(
    one: Array, other: Array, usable: Mask, token_grid: tuple[int, int, int], grid: Geometry
) -> Agreement:
    """Compare two maps of token additions.

    Parameters
    ----------
    one, other : shape (N,), log-odds
    usable : shape (N,), bool
        Tokens that were looked at.
    grid
        The model's grid, mm, LPS.
    """
    peak, other_peak = (_peak_mm(map_, usable, token_grid, grid) for map_ in (one, other))
    distance = None
    if peak is not None and other_peak is not None:
        distance = float(np.linalg.norm(np.subtract(peak, other_peak)))
    return Agreement(_rank_correlation(one[usable], other[usable]), peak, distance)


def _rank_correlation(one: Array, other: Array) -> float | None:
    if len(one) < 2:
        return None
    ranks = np.stack([rankdata(one), rankdata(other)])
    if not (ranks.std(axis=1) > 0).all():
        return None
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _peak_mm(
    additions: Array, usable: Mask, token_grid: tuple[int, int, int], grid: Geometry
) -> Point | None:
    seen = np.where(usable, additions, -np.inf)
    if not seen.max() > 0:
        return None
    stride = np.array(grid.shape) / np.array(token_grid)
    token = np.array(np.unravel_index(int(seen.argmax()), token_grid))
    x, y, z = np.round(grid.to_mm(token * stride + (stride - 1) / 2), 3).tolist()
    return x, y, z

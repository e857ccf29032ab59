"""Exact Shapley values of a few players: a gain shared without a remainder."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Subset = tuple[str, ...]


def subsets(players: Iterable[str]) -> tuple[Subset, ...]:
    """Return every subset, the smallest first, each in the order of the players."""
    whole = tuple(players)
    return tuple(some for size in range(len(whole) + 1) for some in combinations(whole, size))


def shapley(values: Mapping[Subset, Array]) -> dict[str, Array]:
    """Share the value of all players among them, less the value of none.

    What a player adds to those before it, averaged over all orders of the players: for n players
    the sum over all S without it of ``|S|! (n - |S| - 1)! / n! (v(S and it) - v(S))``; Shapley, A
    value for n-person games (1953), equation 12.

    Parameters
    ----------
    values
        Of every subset of the players, in the order of :func:`subsets`; all of one shape.

    Returns
    -------
    dict
        By player; they sum to the value of all less the value of none.
    """
    of = {frozenset(subset): value for subset, value in values.items()}
    players = max(values, key=len)
    n = len(players)
    shares = {}
    for player in players:
        others = subsets(one for one in players if one != player)
        shares[player] = sum(
            factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n)
            * (of[frozenset(some) | {player}] - of[frozenset(some)])
            for some in others
        )  # fmt: skip
    return {player: np.asarray(share) for player, share in shares.items()}

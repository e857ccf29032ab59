"""How often conformal sets hold the truth, with exact bounds, and where they fall short."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from pipeline.calibration.reliability import binomial_bounds
from schemas.doubt import Doubt
from schemas.metrics import AnyMetrics, Held

SHORT_P = 0.001
"""Of so few sets that hold the truth, if they held it as often as promised."""


def held_by_answer(
    sets: Sequence[tuple[str, ...]], truth: Sequence[str], answers: Sequence[str]
) -> tuple[Held, ...]:
    """Count the sets that hold the truth, of all cases and of those of each answer.

    Parameters
    ----------
    sets, truth
        Of each case.
    answers
        All that there are, in the order in which they are counted.
    """
    is_held = [one in kept for kept, one in zip(sets, truth, strict=True)]
    own = {
        answer: [flag for flag, one in zip(is_held, truth, strict=True) if one == answer]
        for answer in answers
    }
    return tuple(_held(answer, flags) for answer, flags in (("", is_held), *own.items()) if flags)


def short_sets(
    metrics: AnyMetrics, promised: float, set_on: Mapping[str, Mapping[str, int]]
) -> tuple[Doubt, ...]:
    """Say of which group's cases the sets hold the truth less often than promised.

    Thresholds that were set on n cases hold not ``promised`` of all others but a share that is
    itself drawn from Beta(k, n + 1 - k), k = ceil((n + 1) promised) (Vovk, 2012), so that the count
    among judged cases is beta-binomial.

    Parameters
    ----------
    promised
        Coverage of the cases of each answer.
    set_on
        On how many cases of each answer the thresholds of each group's cases were set; see
        :func:`cases_set_on`.
    """
    return tuple(
        Doubt(
            about="sets",
            words=f"{'' if part.group == 'all' else f'{part.group}: '}the sets hold the truth in "
            f"{one.n_held / one.n_cases:.0%} of {one.n_cases} cases of {one.answer} "
            f"({one.lower:.0%} to {one.upper:.0%}), {promised:.0%} were promised",
        )
        for part in (metrics.whole, *metrics.groups)
        if part.conformal is not None
        for one in part.conformal.held
        if one.answer and chance_of_so_few(one, promised, set_on[part.group][one.answer]) < SHORT_P
    )


def cases_set_on(counts: NDArray[np.int64]) -> list[int]:
    """Return on how many cases of each answer one kind of thresholds would be as sure as these.

    Cases with other modalities have thresholds of their own, whose errors are independent: of
    shares s that were set on n cases each, the variance of the coverage of all is about that of
    one set on 1 / sum(s^2 / n).

    Parameters
    ----------
    counts : shape (n, answers)
        For each case, on how many of each answer its own thresholds were set.
    """
    kinds, n_of_each = np.unique(counts, axis=0, return_counts=True)
    shares = n_of_each / n_of_each.sum()
    sure = 1.0 / (shares[:, None] ** 2 / np.maximum(kinds, 1)).sum(0)
    return [int(one) for one in sure]


def chance_of_so_few(one: Held, promised: float, n_set_on: int) -> float:
    """Return how often so few sets or fewer hold the truth where all is as promised."""
    k = math.ceil((n_set_on + 1) * promised)
    if k > n_set_on:  # too few for a threshold: every set holds
        return 1.0
    return float(betabinom.cdf(one.n_held, one.n_cases, k, n_set_on + 1 - k))


def _held(answer: str, flags: Sequence[bool]) -> Held:
    lower, upper = binomial_bounds(sum(flags), len(flags))
    return Held(
        answer=answer, n_cases=len(flags), n_held=sum(flags), lower=lower, upper=upper
    )  # fmt: skip

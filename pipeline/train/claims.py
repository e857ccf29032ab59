"""How much maps claim of scans that are known to hold nothing: what a map must exceed to count."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.explain import QUIET_LOGIT, claims_of
from pipeline.train.annotations import with_empty_masks
from pipeline.train.examples import Example
from pipeline.train.splits import one_study_each, place_of
from pipeline.train.spoken import shown_classes, speaking_of

CLAIMED_ONCE_IN = 200
"""Scans without a finding, of which one may have a map that points at something. With 100 more than
5 % of the maps that pointed peaked on a decoy of the simulated scans."""
LEAST_SCANS = 99
"""Of fewer nothing is concluded."""
MOST_SCANS = 600
"""So that it takes a minute or two."""


@dataclass(frozen=True, slots=True)
class LeastClaim:
    """What the map of one task must claim at its strongest place before it points at anything.

    Parameters
    ----------
    log_odds
        A further scan without the finding claims more at most once in ``once_in`` times.
    n_without
        Scans behind it; 0 if they were too few to tell.
    once_in
        ``CLAIMED_ONCE_IN``, or as many as the scans can tell.
    """

    log_odds: float = QUIET_LOGIT
    n_without: int = 0
    once_in: int = CLAIMED_ONCE_IN


def least_claims(bundle: Bundle, examples: Sequence[Example]) -> tuple[LeastClaim, ...]:
    """Return for each task what its maps must claim.

    A further scan without the finding claims more than the k-th smallest claim of n with a chance
    of 1 - k / (n + 1); k is the first for which that is 1 / ``CLAIMED_ONCE_IN`` or less, or n where
    there is none. Where there are fewer than ``LEAST_SCANS`` such scans, or it is not known which
    they are, a map must claim ``QUIET_LOGIT``.

    Parameters
    ----------
    examples
        That the network was not trained on. Of each task's scans without the finding one a patient
        counts, and ``MOST_SCANS`` at most, both by hash. A scan is without it where its mask is
        empty, or as :func:`pipeline.train.annotations.with_empty_masks` says.
    """
    protocol, tasks = bundle.protocol, bundle.protocol.tasks
    seen = [example for example in examples if example.image is not None]
    masks = with_empty_masks(
        [example.masks for example in seen], [example.labels for example in seen], tasks
    )
    without = np.array([[bool((mask == 0.0).all()) for mask in own] for own in masks], dtype=bool)
    if not without.any():
        return (LeastClaim(),) * len(tasks)
    of_task = [_drawn(seen, np.flatnonzero(own), protocol.training.seed) for own in without.T]
    asked = sorted(set().union(*of_task))
    inputs = [seen[place].model_input(bundle.table_transform) for place in asked]
    shown = shown_classes(bundle, inputs)
    claims = np.stack([
        claims_of(one, speaking_of(bundle, classes)([one]))
        for one, classes in zip(inputs, shown, strict=True)
    ])  # fmt: skip
    return tuple(
        _least(own[np.isin(asked, list(places))])
        for own, places in zip(claims.T, of_task, strict=True)
    )


def _drawn(seen: Sequence[Example], places: NDArray[np.int64], seed: int) -> set[int]:
    """Return the places of one of these scans a patient, ``MOST_SCANS`` at most."""
    studies = [(seen[place].patient_id, seen[place].study_uid) for place in places]
    drawn = [int(places[number]) for number in one_study_each(studies, seed=seed)]
    drawn.sort(key=lambda place: place_of(f"claims:{seen[place].study_uid}", seed=seed))
    return set(drawn[:MOST_SCANS])


def _least(claims: NDArray[np.float64]) -> LeastClaim:
    if len(claims) < LEAST_SCANS:
        return LeastClaim()
    once_in = min(CLAIMED_ONCE_IN, len(claims) + 1)
    n_above = (len(claims) + 1) // once_in
    highest = float(np.sort(claims)[::-1][n_above - 1])
    return LeastClaim(max(QUIET_LOGIT, highest), len(claims), once_in)

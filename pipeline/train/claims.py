"""How much maps claim of scans that are known to hold nothing: what a map must exceed to count."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.explain import QUIET_LOGIT, claims_of
from pipeline.train.annotations import with_empty_masks
from pipeline.train.examples import Example
from pipeline.train.splits import one_study_each
from pipeline.train.spoken import shown_classes, speaking_of

SHARE_ABOVE = 0.01
MOST_SCANS = 600
"""So that it takes a minute or two."""


@dataclass(frozen=True, slots=True)
class LeastClaim:
    """What the map of one task must claim at its strongest place before it points at anything.

    Parameters
    ----------
    log_odds
        Of scans without the finding at most ``SHARE_ABOVE`` claim as much.
    n_without
        Scans behind it; 0 if they were too few to tell.
    """

    log_odds: float = QUIET_LOGIT
    n_without: int = 0


def least_claims(bundle: Bundle, examples: Sequence[Example]) -> tuple[LeastClaim, ...]:
    """Return for each task what its maps must claim.

    A further scan without the finding claims more than the k-th smallest claim of n with a chance
    of 1 - k / (n + 1); k is the first for which that is ``SHARE_ABOVE`` or less. Where there are
    too few such scans (under 99), or it is not known which they are, a map must claim
    ``QUIET_LOGIT``.

    Parameters
    ----------
    examples
        That the network was not trained on; one scan a patient counts, drawn by hash, and the first
        ``MOST_SCANS`` of them. A scan is without a finding where its mask is empty, or has none and
        the finding's own outcome is 0.
    """
    protocol, tasks = bundle.protocol, bundle.protocol.tasks
    seen = [example for example in examples if example.image is not None]
    masks = with_empty_masks(
        [example.masks for example in seen], [example.labels for example in seen], tasks
    )
    without = np.array([[bool((mask == 0.0).all()) for mask in own] for own in masks], dtype=bool)
    if not without.any():
        return (LeastClaim(),) * len(tasks)
    helpful = np.flatnonzero(without.any(1))
    studies = [(seen[place].patient_id, seen[place].study_uid) for place in helpful]
    asked = helpful[one_study_each(studies, seed=protocol.training.seed)][:MOST_SCANS]
    inputs = [seen[place].model_input(bundle.table_transform) for place in asked]
    shown = shown_classes(bundle, inputs)
    claims = np.stack([
        claims_of(one, speaking_of(bundle, classes)([one]))
        for one, classes in zip(inputs, shown, strict=True)
    ])  # fmt: skip
    return tuple(
        _least(own[is_out]) for own, is_out in zip(claims.T, without[asked].T, strict=True)
    )


def _least(claims: NDArray[np.float64]) -> LeastClaim:
    place = math.ceil((len(claims) + 1) * (1.0 - SHARE_ABOVE))
    if place > len(claims):
        return LeastClaim()
    return LeastClaim(max(QUIET_LOGIT, float(np.sort(claims)[place - 1])), len(claims))

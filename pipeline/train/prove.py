"""The proof of a bundle's maps on labelled or unlabelled cases that nothing was fitted on."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.bundle import Bundle
from pipeline.explain import (
    LEAST_CLAIM,
    MIN_TESTED,
    ProofCase,
    claims_of,
    prove,
)
from pipeline.model.network import FusedNetwork
from pipeline.progress import Progress, silent
from pipeline.tensors import ModelInput
from pipeline.train.claims import least_claims
from pipeline.train.examples import Example
from pipeline.train.scores import BATCH
from pipeline.train.spoken import shown_classes, speaking_of
from schemas.maps import MapProofs

MOST_CASES = 60
"""So that the proof takes a minute or two."""
MOST_CANDIDATES = 10 * MOST_CASES
SEED = 20


def prove_maps(
    bundle: Bundle,
    examples: Sequence[Example],
    others: Sequence[Example] = (),
    *,
    progress: Progress = silent,
) -> MapProofs:
    """Prove the maps of a calibrated bundle, task by task.

    Parameters
    ----------
    examples
        On whom nothing was fitted, such as the test part. Those with an image are taken in the
        order of a hash: of each task its share of ``MOST_CASES`` whose map claims something (at
        least as many as a proof needs), and any others up to that number.
    others
        Whom the network was not trained on, such as the conformal part: they say how much a map
        must claim before it points at anything.
    """
    candidates = _candidates(examples)
    inputs = [example.model_input(bundle.table_transform) for example in candidates]
    shown = shown_classes(bundle, inputs)
    chosen = _chosen([
        claims_of(one, speaking_of(bundle, classes)([one]))
        for one, classes in zip(inputs, shown, strict=True)
    ])  # fmt: skip
    other = redrawn(bundle, [inputs[place] for place in chosen], seed=SEED)
    cases = [
        ProofCase(
            inputs[place], speaking_of(bundle, shown[place]), speaking_of(other, shown[place])
        )
        for place in chosen
    ]
    names = [task.name for task in bundle.protocol.tasks]
    proofs = prove(cases, names, seed=SEED, progress=progress)
    tasks = tuple(
        proof.model_copy(
            update={
                "least_claim": least.log_odds,
                "n_without": least.n_without,
                "once_in": least.once_in,
            }
        )
        for proof, least in zip(proofs.tasks, least_claims(bundle, others), strict=True)
    )
    return proofs.model_copy(update={"tasks": tasks})


def redrawn(bundle: Bundle, inputs: Sequence[ModelInput], *, seed: int) -> Bundle:
    """Return the bundle with every weight drawn anew.

    Each from the normal distribution of its tensor's own mean and spread: a network as it is before
    training adds exactly nothing, so it has no map to compare. Batch statistics are those of the
    given cases.
    """
    generator = torch.Generator().manual_seed(seed)
    networks = tuple(_drawn_anew(network, generator) for network in bundle.networks)
    other = replace(bundle, networks=networks)
    norms = [
        part for network in networks for part in network.modules() if isinstance(part, _BatchNorm)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for start in range(0, len(inputs), BATCH):
        other.unsettled(inputs[start : start + BATCH])
    for norm in norms:
        norm.eval()
    return other


def _drawn_anew(network: FusedNetwork, generator: torch.Generator) -> FusedNetwork:
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in (one for one in other.parameters() if one.numel() > 0):
            spread, mean = torch.std_mean(weight.detach().float(), correction=0)
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(mean + spread * noise.to(weight.device))
    return other


def _candidates(examples: Sequence[Example]) -> list[Example]:
    """Return at most so many examples with an image, as a hash orders them."""
    seen = [example for example in examples if example.image is not None]
    return sorted(seen, key=lambda example: _digest(example.study_uid))[:MOST_CANDIDATES]


def _chosen(claims: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the places of those to ask, by what each one's maps claim in log-odds."""
    if not claims:
        return []
    does_claim = np.stack(claims) >= LEAST_CLAIM
    share = max(MIN_TESTED, MOST_CASES // does_claim.shape[1])
    chosen = {int(place) for task in does_claim.T for place in np.flatnonzero(task)[:share]}
    others = [place for place in range(len(claims)) if place not in chosen]
    return sorted([*chosen, *others[: max(0, MOST_CASES - len(chosen))]])


def _digest(study_uid: str) -> str:
    return hashlib.sha256(f"{SEED}:{study_uid}".encode()).hexdigest()

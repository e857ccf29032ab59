"""A network that learned to see a bright block; the proof of its maps, and of planted ones."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool3d

from pipeline.bundle import Bundle
from pipeline.explain import LEAST_CLAIM, MIN_TESTED, QUIET_LOGIT, claims_of
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import fit_table_transform
from pipeline.progress import silent
from pipeline.tensors import Batch, ModelOutput
from pipeline.train import claims, prove
from pipeline.train.claims import LeastClaim, least_claims
from pipeline.train.examples import Example
from pipeline.train.loop import fit
from pipeline.train.prove import prove_maps, redrawn
from schemas.maps import MapProof
from tests.pipeline.model.networks import TEXT_WIDTH, new_network
from tests.pipeline.train.test_fit import example

N_CASES = 12


def marked(case: Example) -> Example:
    """Return a case with a mask of its block: without one so small a network sees it blurred."""
    assert case.image is not None
    bright = (case.image.voxels > 0.0).float()
    masks = case.masks.copy()
    masks[0] = avg_pool3d(bright, 4)[0].numpy() > 0.25
    return replace(case, masks=masks)


@pytest.fixture(scope="module")
def bundle(request: pytest.FixtureRequest) -> Bundle:
    tiny = request.getfixturevalue("tiny_protocol")
    training = tiny.training.model_copy(
        update={"epochs": 12, "batch_size": 16, "learning_rate": 5e-3, "modality_dropout": 0.0}
    )
    protocol = tiny.model_copy(update={"training": training})
    examples = [marked(example(number)) for number in range(160)]
    transform = fit_table_transform([case.history for case in examples], protocol.table)
    torch.manual_seed(0)
    network = fit(
        new_network(protocol, transform.width), examples[:128], examples[128:], transform,
        protocol, silent,
    )  # fmt: skip
    nothing: Any = None
    encoder: Any = SimpleNamespace(width=TEXT_WIDTH)
    return Bundle(
        protocol, (network,), encoder, transform, calibrators=(), reference=nothing, metrics=(),
        identity=nothing,
    )  # fmt: skip


def proofs(bundle: Bundle) -> dict[str, MapProof]:
    # Odd numbers have a block.
    fresh = [example(number) for number in range(2001, 2001 + 2 * N_CASES, 2)]
    return {proof.task: proof for proof in prove_maps(bundle, fresh).tasks}


def share_that_pass(proof: MapProof) -> float:
    (value,) = [figure.value for figure in proof.figures if figure.name == "deleted"]
    assert value is not None
    return value


def failing(proof: MapProof) -> set[str]:
    return {figure.name for figure in proof.figures if not figure.holds}


def test_what_a_network_learned_to_see_is_proved(bundle: Bundle) -> None:
    found = proofs(bundle)
    lesion = found["lesion"]
    value = {figure.name: figure.value for figure in lesion.figures}
    assert lesion.n_cases == N_CASES
    # So small a network sees a block blurred, so not every bound is reached.
    assert not {"deleted", "own_over_average", "gap"} & failing(lesion), value


def test_a_map_must_claim_more_than_scans_without_the_finding_do(bundle: Bundle) -> None:
    healthy = [example(number) for number in range(3000, 3300, 2)]
    healthy = [
        replace(case, masks=np.stack([np.zeros_like(case.masks[0]), case.masks[1]]))
        for case in healthy
    ]
    lesion, fit = least_claims(bundle, healthy)
    inputs = [case.model_input(bundle.table_transform) for case in healthy]
    claimed = np.array([claims_of(one, bundle.predict([one]))[0] for one in inputs])
    assert lesion.n_without == len(healthy) == 150
    # They are too few to tell more than once in 151, by the largest of them.
    assert lesion.log_odds == pytest.approx(max(claimed.max(), QUIET_LOGIT))
    again = [replace(case, study_uid=f"{case.study_uid}.2") for case in healthy]
    assert least_claims(bundle, [*healthy, *again])[0].n_without == 150
    # Of the other task there is no mask, so nobody knows which scans show nothing.
    assert fit == LeastClaim()


def test_scans_without_one_finding_do_not_crowd_out_those_without_another(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MOST_SCANS", 110)
    nowhere, unknown = (np.full((4, 6, 8), value, np.float32) for value in (0.0, np.nan))
    healthy = [
        replace(
            example(number),
            masks=np.stack([nowhere, unknown] if place < 200 else [unknown, nowhere]),
        )
        for place, number in enumerate(range(3000, 3620, 2))
    ]
    assert [one.n_without for one in least_claims(bundle, healthy)] == [110, 110]


def test_of_too_few_scans_without_the_finding_nothing_follows(bundle: Bundle) -> None:
    healthy = [
        replace(example(number), masks=np.zeros((2, 4, 6, 8), np.float32))
        for number in range(3000, 3196, 2)
    ]
    assert len(healthy) == 98
    assert least_claims(bundle, healthy) == (LeastClaim(), LeastClaim())


def test_planted_maps_of_other_places_are_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, honest = FusedNetwork.forward, proofs(bundle)

    def permuted(self: FusedNetwork, batch: Batch, *, with_cells: bool = False) -> ModelOutput:
        found = whole(self, batch, with_cells=with_cells)
        return replace(found, image=found.image.roll(70, dims=-1))

    monkeypatch.setattr(FusedNetwork, "forward", permuted)
    found = proofs(bundle)["lesion"]
    assert found.status == "failed"
    assert "deleted" in failing(found)
    assert "gap" not in failing(found)
    assert share_that_pass(found) < share_that_pass(honest["lesion"])


def test_every_weight_is_drawn_anew_the_same_for_the_same_seed(bundle: Bundle) -> None:
    inputs = [example(number).model_input(bundle.table_transform) for number in range(8)]
    own = dict(bundle.networks[0].named_parameters())
    first, again, third = (redrawn(bundle, inputs, seed=seed).networks[0] for seed in (1, 1, 2))
    for name, value in first.named_parameters():
        assert torch.equal(value, dict(again.named_parameters())[name]), name
        if own[name].unique().numel() > 1:
            assert not torch.equal(value, own[name]), name
            assert not torch.equal(value, dict(third.named_parameters())[name]), name
    assert not any(part.training for part in first.modules())


def test_candidates_are_few_have_an_image_and_do_not_hang_on_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prove, "MOST_CANDIDATES", 5)
    cases = [example(number) for number in range(12)]
    cases[3] = replace(cases[3], image=None)
    candidates = [case.study_uid for case in prove._candidates(cases)]
    assert len(candidates) == 5
    assert candidates == [case.study_uid for case in prove._candidates(cases[::-1])]
    everyone = [case.study_uid for case in prove._candidates(cases[:5])]
    assert len(everyone) == 4
    assert "1.3" not in everyone


def test_each_task_has_cases_whose_maps_claim_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "MOST_CASES", 20)
    claims = np.zeros((100, 2))
    claims[60:90, 0] = LEAST_CLAIM
    claims[95:, 1] = LEAST_CLAIM
    assert prove._chosen(list(claims)) == [*range(5), *range(60, 70), *range(95, 100)]
    assert prove._chosen(list(claims[:10])) == list(range(10))
    assert prove._chosen([]) == []


def test_many_tasks_have_as_many_cases_as_a_proof_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "MOST_CASES", 20)
    claims = np.kron(np.eye(4), np.full((10, 1), LEAST_CLAIM))
    assert len(prove._chosen(list(claims))) == 4 * MIN_TESTED


@pytest.mark.parametrize(("n", "place"), [(99, 1), (199, 1), (398, 1), (399, 2), (599, 3)])
def test_a_further_scan_claims_more_at_most_once_in_two_hundred_times(n: int, place: int) -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    found = claims._least(values)
    assert found.log_odds == n + 1 - place
    # Of n + 1 exchangeable scans the last is among the highest `place` with this chance.
    assert found.once_in == min(claims.CLAIMED_ONCE_IN, n + 1)
    assert place / (n + 1) <= 1 / found.once_in < (place + 1) / (n + 1)

"""With which weight tokens stand for a finding, before any history is heard."""

import numpy as np
import pytest
import torch

from pipeline.model.readout import FIRST_SHIFT, FIRST_STEEPNESS, FIRST_TURN, FULL, Findings
from pipeline.tensors import ModelInput
from pipeline.train.teacher import features_of
from schemas.protocol import Protocol
from tests.pipeline.model.networks import score, shaken, with_model


def weights_of(presence: torch.Tensor, n_scanned: int) -> torch.Tensor:
    mask = torch.arange(presence.shape[-1]) < n_scanned
    return Findings(1)(presence.view(1, 1, -1), mask.view(1, -1))[0, 0].detach()


def test_weights_sum_to_hills_function_of_the_gates_sum() -> None:
    presence = torch.linspace(-6.0, 6.0, 30)
    amount = torch.sigmoid(presence + FIRST_SHIFT).sum()
    expected = (
        FULL * amount**FIRST_STEEPNESS / (FIRST_TURN**FIRST_STEEPNESS + amount**FIRST_STEEPNESS)
    )
    assert torch.allclose(weights_of(presence, 30).sum(), expected, rtol=1e-5)


def test_a_large_finding_weighs_hardly_more_than_a_small_one_and_traces_weigh_nothing() -> None:
    quiet, shows = torch.full((100,), -7.0), torch.full((100,), 9.0)
    small, large = torch.cat([shows[:12], quiet[12:]]), torch.cat([shows[:48], quiet[48:]])
    sums = [weights_of(one, 100).sum() for one in (quiet, small, large)]
    assert sums[0] < 0.001 * FULL
    assert 0.95 * FULL < sums[1] < sums[2] <= FULL


def test_what_was_not_scanned_weighs_nothing() -> None:
    shows = torch.full((20,), 9.0)
    assert torch.equal(weights_of(shows, 12)[12:], torch.zeros(8))
    assert torch.equal(weights_of(shows, 0), torch.zeros(20))


def test_the_teacher_takes_a_finding_for_there_as_the_network_first_does() -> None:
    presence = torch.linspace(-6.0, 6.0, 30)
    amount = float(torch.sigmoid(presence + FIRST_SHIFT).sum())
    seen, told = np.array([[amount, 0.1, 0.2, 0.3, 6.0, 1.0]]), np.array([[2.0]])
    expected = float(weights_of(presence, 30).sum()) / FULL
    found = features_of(seen, told)[0]
    assert found[-4:] == pytest.approx(2.0 * expected * np.array([1.0, 0.1, 0.2, 0.3]), rel=1e-5)


@pytest.mark.parametrize("fusion", ["cross", "late", "image_only"])
def test_where_nothing_counts_as_there_no_place_is_weighed_anew(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    network.join.products.weight.data.mul_(100.0)
    network.join.findings.log_turn.data.fill_(-20.0)
    full = score(network, other, whole).image
    network.join.findings.log_turn.data.fill_(20.0)
    quiet = score(network, other, whole).image
    network.join.products.weight.data.zero_()
    assert torch.allclose(score(network, other, whole).image, quiet, atol=1e-5)
    assert not torch.allclose(full, quiet, atol=1e-3)

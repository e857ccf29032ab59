from dataclasses import replace

import pytest
import torch

from pipeline.model.image_encoder import looked_share
from pipeline.tensors import ModelInput
from schemas.protocol import Protocol
from tests.pipeline.model.networks import score, shaken


@pytest.fixture
def two_series(protocol: Protocol) -> Protocol:
    rules = tuple(protocol.series[0].model_copy(update={"name": name}) for name in ("t1", "flair"))
    return protocol.model_copy(update={"series": rules})


def pair(whole: ModelInput, *there: bool) -> ModelInput:
    """The image and its negative as two series, of which some may be missing."""
    assert whole.image is not None
    voxels = torch.cat([whole.image.voxels, -whole.image.voxels])
    scanned = whole.image.scanned & torch.tensor(there)[:, None, None, None]
    return replace(whole, image=replace(whole.image, voxels=voxels, scanned=scanned))


def test_a_missing_series_counts_for_nothing(two_series: Protocol, whole: ModelInput) -> None:
    network = shaken(two_series)
    case = pair(whole, True, False)
    assert case.image is not None
    output = score(network, two_series, case)
    voxels = case.image.voxels.clone()
    voxels[1] = 7.0
    other = replace(case, image=replace(case.image, voxels=voxels))
    assert torch.equal(output.logits, score(network, two_series, other).logits)
    assert output.logits.isfinite().all()
    both = score(network, two_series, pair(whole, True, True))
    assert not torch.allclose(output.logits, both.logits, atol=1e-5)


def test_a_token_is_the_mean_of_the_series_that_looked_there(
    two_series: Protocol, whole: ModelInput
) -> None:
    encoder = shaken(two_series).image_encoder.eval()
    image = pair(whole, True, True).image
    assert image is not None
    voxels, looked = image.voxels[None], looked_share(image.scanned[None])
    looked[:, 1, ::2] = 0.0
    looked[:, 0, 1] = 0.0

    def alone(series: int) -> torch.Tensor:
        only = torch.zeros_like(looked)
        only[:, series] = 1.0
        tokens: torch.Tensor = encoder(voxels, only)
        return tokens

    with torch.inference_mode():
        both, first, second = encoder(voxels, looked), alone(0), alone(1)
    torch.testing.assert_close(both[:, 2::2], first[:, 2::2])
    torch.testing.assert_close(both[:, 1], second[:, 1])
    torch.testing.assert_close(both[:, 3::2], (first + second)[:, 3::2] / 2)


def test_each_series_has_a_mark_of_its_own(two_series: Protocol, whole: ModelInput) -> None:
    network = shaken(two_series)
    case = pair(whole, True, True)
    assert case.image is not None
    swapped = replace(case, image=replace(case.image, voxels=case.image.voxels.flip(0)))
    output, other = score(network, two_series, case), score(network, two_series, swapped)
    assert not torch.allclose(output.logits, other.logits, atol=1e-5)

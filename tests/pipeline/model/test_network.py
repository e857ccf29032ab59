from dataclasses import replace

import pytest
import torch

from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.image_encoder import token_positions
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import image_input
from pipeline.tensors import Batch, ModelInput, ModelOutput, TableInput, TextInput
from pipeline.volume import Volume
from schemas.protocol import Protocol

TEXT_WIDTH = 12


def new_network(protocol: Protocol, n_table_features: int) -> FusedNetwork:
    return FusedNetwork(
        protocol,
        n_table_features,
        torch.randn(2, TEXT_WIDTH),
        text_mean=torch.zeros(TEXT_WIDTH),
        text_scale=torch.ones(TEXT_WIDTH),
    )


@pytest.fixture
def network(protocol: Protocol) -> FusedNetwork:
    torch.manual_seed(0)
    network = new_network(protocol, 2)
    for parameter in network.parameters():  # so that no part is zero by its initialisation
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def text(n_tokens: int) -> TextInput:
    random = torch.Generator().manual_seed(n_tokens)
    return TextInput(
        features=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        kinds=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        age_days=torch.full((n_tokens,), 3.0),
        sentences=(),
    )


@pytest.fixture
def whole(volume: Volume, protocol: Protocol) -> ModelInput:
    table = TableInput(torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.tensor([True, True, False]))
    return ModelInput(image_input([volume], protocol), text(7), table)


def score(network: FusedNetwork, protocol: Protocol, *cases: ModelInput) -> ModelOutput:
    batch = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)
    with torch.inference_mode():
        output: ModelOutput = network(batch)
    return output


def test_the_parts_sum_to_the_logit(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)
    for part in (output.image, output.text, output.table):
        assert part.abs().sum() > 1e-4


def test_padding_changes_no_score(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    alone = score(network, protocol, whole)
    longer = replace(whole, text=text(50))
    beside = score(network, protocol, whole, longer)
    assert torch.allclose(alone.logits[0], beside.logits[0], atol=1e-5)
    assert (beside.text[0, :, 7:] == 0).all()


def test_without_its_evidence_the_image_leaves_the_historys_own_logit(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    blind = score(network, protocol, replace(whole, image=None))
    assert torch.allclose(output.logits - output.image.sum(-1), blind.logits, atol=1e-5)
    assert (blind.image == 0).all()


@pytest.mark.parametrize("part", ["image", "text", "table"])
def test_an_absent_modality_adds_exactly_nothing(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput, part: str
) -> None:
    output = score(network, protocol, replace(whole, **{part: None}))
    assert (getattr(output, part) == 0).all()
    assert output.logits.isfinite().all()


def test_a_case_with_nothing_is_left_with_the_bias(
    network: FusedNetwork, protocol: Protocol
) -> None:
    output = score(network, protocol, ModelInput(None, None, None))
    assert torch.equal(output.logits[0], output.bias)


def test_tokens_that_were_not_scanned_add_nothing(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.image is not None
    scanned = torch.zeros_like(whole.image.scanned)
    scanned[:, :8] = True
    output = score(network, protocol, replace(whole, image=replace(whole.image, scanned=scanned)))
    image = output.image[0].reshape(2, *output.token_grid)
    assert (image[:, 2:] == 0).all()
    assert (image[:, :2] != 0).any()


def test_what_the_image_adds_depends_on_the_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    other = score(network, protocol, replace(whole, text=text(9)))
    assert not torch.allclose(output.image, other.image, atol=1e-6)


def test_token_positions_are_the_centres_of_their_voxels_in_mm() -> None:
    shape, spacing = (16, 24, 32), (4.0, 3.0, 2.0)
    affine = torch.tensor([[0, 0, 2.0, 0], [0, 3.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]]).numpy()
    grid = Geometry(affine, shape)
    # The first token covers voxels 0 to 3, so its centre is at index 1.5 on each axis.
    first = grid.to_mm([1.5, 1.5, 1.5]) - grid.centre_mm
    positions = token_positions(shape, spacing)
    assert positions.shape == (4 * 6 * 8, 3)
    assert torch.allclose(positions[0], torch.tensor(first[::-1].copy(), dtype=torch.float32))
    assert torch.allclose(positions.mean(0), torch.zeros(3), atol=1e-4)


@pytest.mark.parametrize("name", ["resnet10", "resnet18", "segresnet"])
def test_every_named_encoder_gives_the_token_grid(
    protocol: Protocol, whole: ModelInput, name: str
) -> None:
    settings = protocol.model.model_copy(update={"image_encoder": name, "image_channels": 8})
    other = protocol.model_copy(update={"model": settings})
    network = new_network(other, 2).eval()
    output = score(network, other, whole)
    assert output.token_grid == (4, 6, 8)
    assert output.image.shape == (1, 2, 4 * 6 * 8)


def test_absent_images_do_not_enter_batch_statistics(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    def mean_after(*cases: ModelInput) -> torch.Tensor:
        norm = network.image_encoder.norm
        norm.reset_running_stats()
        batch: Batch = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)
        network.train()(batch)
        return norm.running_mean.clone()

    blind = replace(whole, image=None)
    assert torch.allclose(mean_after(whole), mean_after(whole, blind), atol=1e-6)

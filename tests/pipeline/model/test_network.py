from dataclasses import replace
from typing import get_args

import pytest
import torch

from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.image_encoder import token_positions
from pipeline.model.network import FusedNetwork
from pipeline.tensors import Batch, ModelInput
from schemas.protocol import Protocol
from schemas.settings import ImageEncoderName
from schemas.task import Task
from tests.pipeline.model.networks import TEXT_WIDTH, new_network, score, shaken, text, with_model


def test_the_parts_sum_to_the_logit(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)
    for part in (output.image, output.text, output.table):
        assert part.abs().sum() > 1e-4


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


@pytest.mark.parametrize("name", get_args(ImageEncoderName))
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


def test_presence_does_not_depend_on_the_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output, changed = (score(network, protocol, replace(whole, text=text(n))) for n in (7, 9))
    assert torch.equal(output.presence, changed.presence)


def test_cases_score_the_same_alone_and_in_a_batch(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    cases = [
        whole, replace(whole, image=None), replace(whole, text=text(30)),
        replace(whole, table=None), replace(whole, text=None),
    ]  # fmt: skip
    together = score(network, protocol, *cases).logits
    alone = torch.cat([score(network, protocol, case).logits for case in cases])
    assert torch.allclose(together, alone, atol=1e-5)


def test_tokens_kept_from_before_score_like_the_voxels_they_came_from(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.image is not None
    batch = collate([whole], protocol, text_width=TEXT_WIDTH, table_width=2)
    tokens, _ = network.see(batch)
    nothing = torch.zeros_like(whole.image.voxels)
    kept = replace(whole.image, voxels=nothing, tokens=tokens[0])
    output = score(network, protocol, whole, replace(whole, image=None))
    again = score(network, protocol, replace(whole, image=kept), replace(whole, image=None))
    assert torch.allclose(output.logits, again.logits, atol=1e-6)


def test_a_multiclass_task_has_evidence_for_each_class(
    protocol: Protocol, whole: ModelInput
) -> None:
    kind = Task(
        name="kind", kind="multiclass", question="Which kind is it?", classes=("a", "b", "c")
    )
    other = protocol.model_copy(update={"tasks": (protocol.tasks[0], kind)})
    output = score(shaken(other), other, whole)
    assert output.logits.shape == (1, 4)
    assert output.image.shape[1] == output.table.shape[1] == output.text.shape[1] == 4
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)


def test_image_and_history_lie_on_the_unit_sphere_of_one_space_or_at_its_centre(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    blind = replace(whole, image=None)
    embedding = score(network, protocol, whole, blind).embedding
    assert embedding.shape == (2, 2, protocol.model.embedding)
    assert embedding.norm(dim=-1).tolist() == [
        pytest.approx([1.0, 1.0], abs=1e-5), pytest.approx([0.0, 1.0], abs=1e-5)
    ]  # fmt: skip


def test_the_history_moves_only_the_tokens_of_highest_presence(
    protocol: Protocol, whole: ModelInput
) -> None:
    other = with_model(protocol, looked_at=5)
    network = shaken(other)
    output, changed = (score(network, other, replace(whole, text=text(n))) for n in (7, 9))
    # Finding nothing is spread evenly over all tokens that were scanned: take that off.
    moved = changed.image[0] - output.image[0]
    moved = moved - moved.median(-1, keepdim=True).values
    scanned = output.image[0].abs().sum(0) > 0
    touched = (moved.abs().sum(0) > 1e-6) & scanned
    assert 1 <= touched.sum() <= 5
    highest = output.presence[0].amax(0).where(scanned, torch.tensor(-torch.inf))
    assert set(touched.nonzero()[:, 0].tolist()) <= set(highest.topk(5).indices.tolist())

"""Training images are moved exactly, with their masks and with what was scanned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from pipeline.preprocess import fit_table_transform
from pipeline.tensors import Batch
from pipeline.train.augment import _pulled, _seen, augmented, moved
from pipeline.train.cases import Cases, packer
from pipeline.train.examples import Example
from schemas.protocol import Protocol
from tests.pipeline.model.networks import TEXT_WIDTH
from tests.pipeline.train.test_fit import example

TOKEN = (1, 2, 4)


def block_case() -> Example:
    """Return a case of which one token is bright, scanned but for one edge, and masked there."""
    case = example(1)
    assert case.image is not None
    voxels = torch.full_like(case.image.voxels, -0.5)
    voxels[0, 4:8, 8:12, 16:20] = 0.5
    scanned = torch.ones_like(case.image.scanned)
    scanned[..., -3:] = False
    masks = np.zeros_like(case.masks)
    masks[0][TOKEN] = 1.0
    masks[1] = np.nan
    image = replace(case.image, voxels=voxels, scanned=scanned)
    return replace(case, image=image, masks=masks)


def with_training(protocol: Protocol, **settings: object) -> Protocol:
    training = protocol.training.model_copy(update={"modality_dropout": 0.0, **settings})
    return protocol.model_copy(update={"training": training})


def seen(protocol: Protocol, n: int) -> tuple[Batch, Batch, Tensor]:
    """Return a batch of one case seen in so many ways, the same moved, and the moved masks."""
    cases = [block_case()] * n
    transform = fit_table_transform([cases[0].history], protocol.table)
    pack = packer(protocol, text_width=TEXT_WIDTH, table_width=transform.width)
    training = Cases(cases, transform, protocol, "image")
    packed = pack([training[number] for number in range(n)])
    batch: Batch = packed["batch"]  # type: ignore[assignment]
    masks: Tensor = packed["masks"]  # type: ignore[assignment]
    return batch, moved(batch), masks


def test_a_shift_moves_voxels_scanned_part_and_masks_alike(protocol: Protocol) -> None:
    batch, after, masks = seen(with_training(protocol), 20)
    assert len(batch["voxels"]) == 20
    assert (after["voxels"][~after["scanned"]] == -1.0).all()
    bright = avg_pool3d(after["voxels"], 4)[:, 0] > 0.0
    assert torch.equal(masks[:, 0] == 1.0, bright)
    assert masks[:, 1].isnan().all()
    places = {tuple(place.tolist()) for place in bright.nonzero()[:, 1:]}
    assert len(places) > 5
    # Where it comes in from outside nothing is known of it.
    assert masks[:, 0].isnan().any()


def test_a_shift_copies_voxels_times_the_gain(protocol: Protocol) -> None:
    batch, after, _ = seen(with_training(protocol), 20)
    gain = batch["gain"].view(-1, 1, 1, 1, 1)
    above = (after["voxels"] + 1.0) / gain
    whole = above[after["scanned"]]
    is_either = torch.isclose(whole, torch.tensor(0.5)) | torch.isclose(whole, torch.tensor(1.5))
    assert is_either.all()
    assert after["scanned"].sum() <= batch["scanned"].sum()


def test_a_turn_keeps_lengths_in_mm_and_its_mask_on_the_finding(protocol: Protocol) -> None:
    turned = with_training(protocol, rotation_degrees=20.0)
    half_mm = torch.tensor(turned.grid.size[::-1]) * torch.tensor(turned.grid.spacing_mm[::-1]) / 2
    batch, after, masks = seen(turned, 20)
    in_mm = batch["motion"][:, :3, :3] * half_mm[:, None] / half_mm
    unit = torch.eye(3).expand(20, 3, 3)
    assert torch.allclose(in_mm @ in_mm.mT, unit, atol=1e-5)
    is_turned = (in_mm - unit).abs().amax((1, 2)) > 0.1
    assert 0.2 < is_turned.float().mean() < 0.8
    marked = masks[:, 0] == 1.0
    for number in marked.flatten(1).any(1).nonzero()[:, 0]:
        bright = avg_pool3d(after["voxels"][number], 4)[0]
        where = marked[number].nonzero().float().mean(0)
        peak = torch.tensor(np.unravel_index(int(bright.argmax()), bright.shape))
        assert (where - peak).abs().max() <= 1.0


def test_a_scale_keeps_its_bounds(protocol: Protocol) -> None:
    batch, _, _ = seen(with_training(protocol, scaling=0.2), 20)
    scales = 1 / batch["motion"][:, :3, :3].diagonal(dim1=1, dim2=2)
    assert torch.allclose(scales, scales[:, :1].expand(-1, 3))
    assert ((scales >= 0.8) & (scales <= 1.2)).all()
    assert scales.max() - scales.min() > 0.1
    assert 0.2 < (scales == 1.0).all(1).float().mean() < 0.8


def test_a_flip_mirrors_voxels_masks_and_what_was_scanned(protocol: Protocol) -> None:
    batch, after, masks = seen(with_training(protocol, flips=("L", "S")), 200)
    signs = batch["motion"][:, :3, :3].diagonal(dim1=1, dim2=2)
    assert torch.equal(batch["motion"][:, :3, :3].abs(), torch.eye(3).expand(200, 3, 3))
    assert {tuple(own.tolist()) for own in signs} == {
        (s, 1.0, left) for s in (-1.0, 1.0) for left in (-1.0, 1.0)
    }
    bright = avg_pool3d(after["voxels"], 4)[:, 0] > 0.0
    assert torch.equal(masks[:, 0] == 1.0, bright)
    unshifted = (batch["motion"][:, :3, 3] == 0.0).all(1).nonzero()[:, 0].tolist()
    assert {tuple(signs[number].tolist()) for number in unshifted} > {(1.0, 1.0, -1.0)}
    for number in unshifted:
        axes = [1 + axis for axis in range(3) if signs[number, axis] < 0]
        assert torch.equal(after["scanned"][number], batch["scanned"][number].flip(axes))


def test_cases_that_are_not_trained_on_stay_as_they_are(protocol: Protocol) -> None:
    transform = fit_table_transform([block_case().history], protocol.table)
    pack = packer(protocol, text_width=TEXT_WIDTH, table_width=transform.width)
    packed = pack([Cases([block_case()], transform, protocol, None)[0]])
    batch: Batch = packed["batch"]  # type: ignore[assignment]
    assert "motion" not in batch
    assert moved(batch) is batch


def test_a_patient_drawn_twice_is_seen_in_two_ways(protocol: Protocol) -> None:
    batch, _, _ = seen(with_training(protocol), 2)
    assert "image_of" not in batch
    assert not torch.equal(batch["motion"][0], batch["motion"][1])


@pytest.mark.parametrize("unknown", [0.0, 1.0])
def test_unknown_masks_stay_unknown(protocol: Protocol, unknown: float) -> None:
    case = block_case()
    masks = torch.from_numpy(case.masks.copy())
    masks[0] = unknown
    transform = fit_table_transform([case.history], protocol.table)
    random = np.random.default_rng(1)
    for _ in range(5):
        _, marks, _ = augmented(case.model_input(transform), masks, random, protocol)
        known = marks[0][~marks[0].isnan()]
        assert (known == unknown).all()
        assert marks[1].isnan().all()


def test_what_is_copied_is_what_interpolating_at_voxel_centres_gives() -> None:
    random = torch.Generator().manual_seed(3)
    volumes = torch.rand(3, 2, 8, 12, 16, generator=random)
    matrices = torch.eye(4).repeat(3, 1, 1)
    matrices[0, :3, 3] = torch.tensor([8 / 8, -8 / 12, 0.0])
    matrices[1, :3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    matrices[1, :3, 3] = torch.tensor([-8 / 8, 8 / 12, 8 / 16])
    matrices[2, :3, 3] = torch.tensor([-2.0, 0.0, 0.0])
    copied = _seen(volumes, matrices)
    assert torch.allclose(copied, _pulled(volumes, matrices, "bilinear"), atol=1e-5)
    assert copied[0].any()
    assert copied[1].any()
    assert not copied[2].any()

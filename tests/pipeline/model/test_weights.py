from pathlib import Path

import pytest
import torch
from monai.networks.nets import SwinUNETR, resnet
from safetensors.torch import load_file, save_file

from pipeline.errors import CheckpointError
from pipeline.model.backbones import MedicalNetStages, SwinStages, new_stages
from pipeline.model.weights import load_encoder_weights
from schemas.settings import ImageEncoderName


def new_encoder(channels: int = 4) -> MedicalNetStages:
    return MedicalNetStages(channels, (1, 1, 1, 1), "basic")


def save(path: Path, encoder: torch.nn.Module, *, prefix: str = "", drop: int = 0) -> str:
    state = encoder.state_dict()
    names = sorted(name for name in state if "num_batches" not in name)[drop:]
    save_file({prefix + name: state[name].clone() for name in names}, path)
    return str(path)


def test_weights_under_anothers_prefix_are_found(tmp_path: Path) -> None:
    theirs, ours = new_encoder(), new_encoder()
    path = save(tmp_path / "w.safetensors", theirs, prefix="module.")
    assert load_encoder_weights(ours, path) == 1.0
    assert torch.equal(ours.conv1.weight, theirs.conv1.weight)
    voxels = torch.randn(1, 1, 16, 16, 16)
    for mine, other in zip(ours.eval()(voxels), theirs.eval()(voxels), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("name", "depth", "shortcut", "channels"),
    [
        ("medicalnet10", "resnet10", "B", 64),
        ("medicalnet18", "resnet18", "A", 64),
        ("medicalnet50", "resnet50", "B", 64),
    ],
)
def test_every_weight_of_a_published_resnet_is_found(
    tmp_path: Path, name: ImageEncoderName, depth: str, shortcut: str, channels: int
) -> None:
    # In the form in which MONAI itself loads MedicalNet's files.
    theirs = getattr(resnet, depth)(
        spatial_dims=3, n_input_channels=1, feed_forward=False,
        bias_downsample=False, shortcut_type=shortcut,
    )  # fmt: skip
    ours = new_stages(name, channels, (16, 16, 16))
    path = save(tmp_path / "w.safetensors", theirs, prefix="module.")
    assert load_encoder_weights(ours, path) == 1.0
    weights = {f"module.{key}": value for key, value in ours.state_dict().items()}
    saved = load_file(path)
    of_both = saved.keys() & weights.keys()
    assert {key for key in weights if not key.endswith("num_batches_tracked")} == of_both
    assert all(torch.equal(saved[key], weights[key]) for key in of_both)


def test_every_weight_of_swinunetrs_encoder_is_found(tmp_path: Path) -> None:
    theirs = SwinUNETR(in_channels=1, out_channels=2, feature_size=24, num_heads=(1, 2, 4, 8))
    ours = new_stages("swinunetr", 24, (32, 32, 32))
    path = save(tmp_path / "w.safetensors", theirs.swinViT, prefix="module.")
    assert load_encoder_weights(ours, path) == 1.0


def test_swin_weights_are_found_under_their_older_names(tmp_path: Path) -> None:
    theirs, ours = SwinStages(4), SwinStages(4)
    state = {
        "module." + name.replace(".mlp.linear", ".mlp.fc"): value.clone()
        for name, value in theirs.state_dict().items()
    }
    save_file(state, tmp_path / "w.safetensors")
    assert load_encoder_weights(ours, str(tmp_path / "w.safetensors")) == 1.0
    name = "layers1.0.blocks.0.mlp.linear1.weight"
    assert torch.equal(ours.state_dict()[name], theirs.state_dict()[name])


def test_a_file_with_fewer_than_95_in_100_of_the_weights_is_refused_untouched(
    tmp_path: Path,
) -> None:
    theirs, ours = new_encoder(), new_encoder()
    before = ours.conv1.weight.clone()
    n_weights = sum("num_batches" not in name for name in theirs.state_dict())
    few, many = int(0.06 * n_weights) + 1, int(0.04 * n_weights)
    with pytest.raises(CheckpointError, match="at least 95%"):
        load_encoder_weights(ours, save(tmp_path / "few.safetensors", theirs, drop=few))
    assert torch.equal(ours.conv1.weight, before)
    assert load_encoder_weights(ours, save(tmp_path / "m.safetensors", theirs, drop=many)) < 1.0


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", new_encoder(8))
    with pytest.raises(CheckpointError, match="image_channels"):
        load_encoder_weights(new_encoder(4), path)


@pytest.mark.parametrize("name", ["resnet_10.pth", "missing.safetensors", "bad.safetensors"])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, name: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"\x80\x04pickle")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_encoder_weights(new_encoder(), str(tmp_path / name))

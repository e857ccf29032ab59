from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import CheckpointError
from pipeline.model.backbones import MedicalNetStages, SwinStages
from pipeline.model.weights import load_encoder_weights


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

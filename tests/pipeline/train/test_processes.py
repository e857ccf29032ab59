import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.bundle import load_bundle
from pipeline.errors import UsageError
from pipeline.model.backbones import new_stages
from pipeline.train import trainer
from pipeline.train.trainer import cases_at_once
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.train.several_processes import trained, whole_training

ROOT = Path(__file__).parents[3]


def torchrun(module: str, *arguments: str) -> None:
    """Run a module in two processes on this machine's CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", str(port), "-m", module, *arguments,
    ]  # fmt: skip
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, check=True, env=environment, timeout=600)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns(tiny_protocol: Protocol, tmp_path: Path) -> None:
    training = tiny_protocol.training.model_copy(
        update={
            "epochs": 2, "batch_size": 16, "learning_rate": 5e-3, "freeze_image": True,
            "sparsity": 1e-4, "accumulate": 2, "learned_task_weights": True,
        }
    )  # fmt: skip
    image = tmp_path / "image.safetensors"
    save_file(new_stages("resnet10", tiny_protocol.model.image_channels, (16, 16, 16)).state_dict(),
              image)  # fmt: skip
    model = tiny_protocol.model.model_copy(update={"dropout": 0.0, "image_weights": str(image)})
    protocol = tiny_protocol.model_copy(update={"training": training, "model": model})
    (tmp_path / "protocol.json").write_text(protocol.model_dump_json())
    torchrun("tests.pipeline.train.several_processes", str(tmp_path))
    shared = load_file(tmp_path / "weights.safetensors")
    for name, value in trained(protocol).items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-5)
    # The first alone wrote the bundle, and it is that of one process.
    bundle = load_bundle(tmp_path / "bundle")
    alone = whole_training(protocol, tmp_path / "alone")
    weights = bundle.networks[0].state_dict()
    for name, value in alone.networks[0].state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)
    assert not (tmp_path / "bundle.training").exists()


def test_steps_that_the_processes_cannot_share_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = TrainingSettings(batch_size=16, accumulate=2)
    assert cases_at_once(settings) == 8
    monkeypatch.setattr(trainer, "n_processes", lambda: 2)
    assert cases_at_once(settings) == 4
    monkeypatch.setattr(trainer, "n_processes", lambda: 3)
    with pytest.raises(UsageError, match="16 must be a multiple of 6"):
        cases_at_once(settings)

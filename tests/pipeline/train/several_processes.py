"""Trainings that torchrun starts in two processes; run by test_processes."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.bundle import Bundle
from pipeline.model.text_encoder import load_text_encoder
from pipeline.preprocess import fit_table_transform
from pipeline.progress import silent
from pipeline.train import train_on
from pipeline.train.checkpoints import Work
from pipeline.train.loop import fit
from pipeline.train.processes import is_first, n_processes, of_first, processes
from schemas.protocol import Protocol
from schemas.settings import SplitRule
from tests.pipeline.model.networks import new_network
from tests.pipeline.train.test_fit import example
from tests.pipeline.train.test_train_on import SPLITS, told

N_TRAIN, N_VALIDATION = 32, 16


def trained(protocol: Protocol, work: Work | None = None) -> dict[str, torch.Tensor]:
    """Return the weights; steps of 16 cases."""
    cases = [example(number) for number in range(N_TRAIN + N_VALIDATION)]
    transform = fit_table_transform([case.history for case in cases], protocol.table)
    torch.manual_seed(0)
    network = new_network(protocol, transform.width)
    both = cases[:N_TRAIN], cases[N_TRAIN:]
    return fit(network, *both, transform, protocol, silent, work=work).state_dict()


def whole_training(protocol: Protocol, out: Path) -> Bundle:
    """Part, train, calibrate, prove and write a bundle."""
    training = protocol.training.model_copy(update={"splits": SplitRule.model_validate(SPLITS)})
    asked = protocol.model_copy(update={"training": training})
    encoder = load_text_encoder(asked.model)
    return train_on([told(number, encoder.width) for number in range(160)], asked, encoder, out)


def main(folder: Path) -> None:
    """Train alike, with the image branch first (whose batch norms see half a batch), and wholly."""
    assert n_processes() == 2
    protocol = Protocol.model_validate_json((folder / "protocol.json").read_text())
    weights = trained(protocol, Work(folder / "work"))
    if is_first():
        save_file(weights, folder / "weights.safetensors")
    training = protocol.training.model_copy(update={"image_epochs": 1, "freeze_image": False})
    other = trained(protocol.model_copy(update={"training": training}))
    assert all(torch.equal(value, of_first(value)) for value in other.values())
    bundle = whole_training(protocol, folder / "bundle")
    assert bundle.identity.sha256
    processes().destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

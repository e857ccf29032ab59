"""A tiny training; run by test_resume as a process of its own, which kills itself on the way."""

import os
import signal
import sys
from pathlib import Path

import torch

from pipeline.model.network import FusedNetwork
from pipeline.preprocess import fit_table_transform
from pipeline.progress import Progress
from pipeline.train.checkpoints import Work
from pipeline.train.ensemble import fit_members
from schemas.protocol import Protocol
from tests.pipeline.model.networks import new_network
from tests.pipeline.train.test_fit import example


def train(
    protocol: Protocol, progress: Progress, work: Work | None = None
) -> tuple[FusedNetwork, ...]:
    """Train on cases whose outcomes the image and the table decide."""
    cases = [example(number) for number in range(48)]
    transform = fit_table_transform([case.history for case in cases], protocol.table)

    def new(own: Protocol) -> FusedNetwork:
        torch.manual_seed(own.training.seed)
        return new_network(own, transform.width)

    parts = {"train": cases[:32], "validation": cases[32:]}
    return fit_members(new, parts, transform, protocol, progress, work=work)  # type: ignore[arg-type]


def main(folder: Path, member: str, step: int) -> None:
    protocol = Protocol.model_validate_json((folder / "protocol.json").read_text())

    def kill(what: str, done: int, _total: int) -> None:
        if what == f"member {member} of 2: training" and done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    train(protocol, kill, Work(folder / "work"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

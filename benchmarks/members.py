"""Three networks trained beside each other, against one after the other.

    python -m benchmarks.members [PATIENTS] [ROUNDS]

Both ways train on the same simulated patients, an epoch of the image branch and one of fusing, in
turn in one run; beside each other each has a thread of its own, one after the other all threads.
Writes benchmarks/results/members.json: the ratio of their times.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Figure, write_figures
from benchmarks.simulated import design_for, simulated
from flows.progress import progress_bars
from pipeline.model.text_encoder import load_text_encoder
from pipeline.preprocess import fit_table_transform
from pipeline.progress import silent
from pipeline.protocol import read_protocol
from pipeline.train.beside import is_worth_it
from pipeline.train.ensemble import fit_members
from pipeline.train.train import new_network
from schemas.protocol import Protocol

if TYPE_CHECKING:
    from pipeline.train.examples import Example
    from schemas.settings import PartName

PROTOCOL = Path("data_samples/protocols/brain_mr.yaml")
SEED = 41
MEMBERS = 3
VALIDATION_SHARE = 0.1


def main(n_patients: int, n_rounds: int) -> None:
    """Train, time, compare, write."""
    protocol = read_protocol(PROTOCOL)
    encoder = load_text_encoder(protocol.model)
    design = design_for(protocol, seed=SEED)
    with progress_bars(quiet=False) as progress:
        drawn = simulated(design, protocol, encoder, n_patients, progress=progress)
    cases = [case.example for case in drawn]
    n_validation = int(VALIDATION_SHARE * len(cases))
    parts: Mapping[PartName, Sequence[Example]] = {
        "validation": cases[:n_validation],
        "train": cases[n_validation:],
    }
    histories = [case.history for case in parts["train"]]
    transform = fit_table_transform(histories, protocol.table, protocol.concepts)

    def train(n_members: int, seed: int) -> None:
        asked = _short(protocol, n_members, seed)
        fit_members(
            lambda own: new_network(own, encoder, transform, parts["train"]),
            parts, transform, asked, silent,
        )  # fmt: skip

    if not is_worth_it(MEMBERS):
        sys.exit("nothing to compare: this process may not fork, or has one thread or many")
    ratios = [_ratio(train) for _ in range(n_rounds)]
    figure = Figure(
        f"{MEMBERS} members on {torch.get_num_threads()} threads: time beside each other over one "
        f"after the other, median of {n_rounds} rounds",
        median(ratios), None, None, None,
        f"python -m benchmarks.members {n_patients} {n_rounds}",
    )  # fmt: skip
    write_figures(RESULTS / "members.json", [figure])
    print(f"{figure.name}: {figure.value:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _ratio(train: Callable[[int, int], None]) -> float:
    beside = _seconds([lambda: train(MEMBERS, 0)])
    return beside / _seconds([lambda seed=seed: train(1, seed) for seed in range(MEMBERS)])  # type: ignore[misc]


def _seconds(jobs: Sequence[Callable[[], None]]) -> float:
    started = time.perf_counter()
    for job in jobs:
        job()
    return time.perf_counter() - started


def _short(protocol: Protocol, n_members: int, seed: int) -> Protocol:
    training = protocol.training.model_copy(
        update={
            "ensemble": n_members, "seed": seed, "image_epochs": 1, "epochs": 1,
            "teacher_share": 0.0,
        }
    )  # fmt: skip
    return protocol.model_copy(update={"training": training})


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ("500", "2"))))

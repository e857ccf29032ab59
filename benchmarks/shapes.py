"""The image branch alone on real shapes: AdrenalMNIST3D, whose test part is not touched.

    python -m benchmarks.shapes [--data FILE.npz] [--seeds 0 1 2] [--epochs N]

Trains the image branch as every bundle's training does first (`training.image_epochs`), on the
train arrays, and judges what it says by itself on the validation arrays, on which nothing is
chosen: a tenth of the train arrays stops the training, and step size, turns, scaling and flips were
chosen on a quarter of the train arrays. The mean of all seeds' log-odds is judged as well: what a
bundle of several networks answers.
Writes benchmarks/results/shapes.json and shapes.md.
"""

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import flows  # noqa: F401  sets the environment's defaults
from flows.progress import progress_bars
from pipeline.calibration.statistics import auroc, patient_weights
from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress
from pipeline.tensors import ImageInput
from pipeline.train.examples import Example
from pipeline.train.loop import fit_image
from schemas.history import History, TableValue
from schemas.protocol import Protocol

DATA = Path("../shared/dicom/adrenalmnist3d_trainval/adrenalmnist3d_trainval.npz")
RESULTS = Path(__file__).parent / "results"
SMALL_COHORT = {
    "learning_rate": 1e-3, "rotation_degrees": 20.0, "scaling": 0.15, "flips": ("L", "P", "S"),
}  # fmt: skip
"""A thousand shapes are learned by heart unless each is seen otherwise again and again."""
STOP_SHARE, MULTIPLE, TEXT_WIDTH, AT_LEAST, AIM = 0.1, 8, 8, 0.84, 0.88


def main() -> None:
    """Read, train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--channels", type=int, default=8)
    options = parser.parse_args()
    with np.load(options.data, allow_pickle=False) as arrays:
        parts = {
            part: _examples(arrays[f"{part}_images"], arrays[f"{part}_labels"], part)
            for part in ("train", "val")
        }
    rows: list[dict[str, object]] = []
    said = []
    truth = np.array([case.labels[0] for case in parts["val"]], dtype=np.float64)
    with progress_bars(quiet=False) as progress:
        for seed in options.seeds:
            size = parts["val"][0].image.voxels.shape[1]  # type: ignore[union-attr]
            protocol = _protocol(size, seed, options.epochs, options.channels)
            started = time.monotonic()
            said.append(_answers(protocol, parts["train"], parts["val"], progress))
            minutes = (time.monotonic() - started) / 60
            rows.append(_judged(truth, said[-1]) | {"seed": f"{seed}", "minutes": minutes})
            print(rows[-1], flush=True)
    together = {"seed": "all together", "minutes": sum(float(str(row["minutes"])) for row in rows)}
    rows.append(_judged(truth, np.mean(said, axis=0)) | together)
    print(rows[-1], flush=True)
    command = (
        f"python -m benchmarks.shapes --data {options.data} --seeds "
        f"{' '.join(map(str, options.seeds))} --epochs {options.epochs} "
        f"--channels {options.channels}"
    )
    _write(rows, command)


def _examples(images: NDArray[np.uint8], labels: NDArray[np.uint8], part: str) -> list[Example]:
    size = -(-images.shape[1] // MULTIPLE) * MULTIPLE
    before = (size - images.shape[1]) // 2
    after = size - images.shape[1] - before
    padded = np.pad(images, [(0, 0), *[(before, after)] * 3])
    voxels = torch.from_numpy(padded.astype(np.float32) / 127.5 - 1.0)
    # The schema asks for one column; nothing is ever recorded in it.
    history = History(
        at=datetime(2000, 1, 1, tzinfo=UTC), values=(TableValue(name="none", value=None),)
    )
    grid = Geometry(np.eye(4)[[2, 1, 0, 3]], (size, size, size))
    return [
        Example(
            study_uid=f"{part}{number}",
            patient_id=f"{part}{number}",
            fingerprints=(),
            image=ImageInput(own[None], torch.ones_like(own[None], dtype=torch.bool), grid),
            text=None,
            history=history,
            labels=label.astype(np.float32),
            masks=np.full((1, size // 4, size // 4, size // 4), np.nan, np.float32),
            quantities={},
        )
        for number, (own, label) in enumerate(zip(voxels, labels, strict=True))
    ]


def _protocol(size: int, seed: int, epochs: int, channels: int) -> Protocol:
    return Protocol.model_validate({
        "name": "adrenal_shapes",
        "title": "Adrenal shapes",
        "series": [{"name": "shape", "modality": "CT"}],
        "grid": {"spacing_mm": [1.0] * 3, "size": [size] * 3},
        "intensity": {"kind": "window", "low": 0.0, "high": 1.0},
        "look_back_days": 1,
        "table": [{"name": "none", "kind": "flag"}],
        "tasks": [{"name": "mass", "question": "Does the shape of the gland show a mass?"}],
        "model": {"fusion": "image_only", "image_channels": channels},
        "training": {"seed": seed, "image_epochs": epochs, "patience": epochs} | SMALL_COHORT,
    })  # fmt: skip


def _judged(truth: NDArray[np.float64], logits: NDArray[np.float64]) -> dict[str, object]:
    values = auroc(truth, logits, patient_weights(np.arange(len(truth)).astype(str)))
    low, high = np.nanpercentile(values[1:], [2.5, 97.5]).tolist()
    return {"auroc": float(values[0]), "low": low, "high": high, "n": len(truth)}


def _answers(
    protocol: Protocol, train: list[Example], test: list[Example], progress: Progress
) -> NDArray[np.float64]:
    """Train one network; return its log-odds, shape (n,)."""
    order = np.random.default_rng(protocol.training.seed).permutation(len(train))
    n_stop = int(STOP_SHARE * len(train))
    stop, rest = [train[i] for i in order[:n_stop]], [train[i] for i in order[n_stop:]]
    transform = fit_table_transform([case.history for case in rest], protocol.table)
    torch.manual_seed(protocol.training.seed)
    network = FusedNetwork(
        protocol, transform.width, torch.randn(1, TEXT_WIDTH),
        text_mean=torch.zeros(TEXT_WIDTH), text_scale=torch.ones(TEXT_WIDTH),
    )  # fmt: skip
    fit_image(network, rest, stop, transform, protocol, progress)
    network.cpu().eval()
    return _logits(network, test, transform, protocol)


@torch.inference_mode()
def _logits(
    network: FusedNetwork, cases: list[Example], transform: TableTransform, protocol: Protocol
) -> NDArray[np.float64]:
    logits = []
    for case in cases:
        batch = collate(
            [case.model_input(transform)], protocol, text_width=TEXT_WIDTH,
            table_width=transform.width,
        )  # fmt: skip
        logits.append(float(network(batch).image_alone[0, 0]))
    return np.array(logits)


def _write(rows: list[dict[str, object]], command: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    values = [
        {"name": f"AdrenalMNIST3D, validation AUROC, seed {row['seed']}", "value": row["auroc"],
         "interval": [row["low"], row["high"]], "at_least": AT_LEAST, "aim": AIM,
         "command": command}
        for row in rows
    ]  # fmt: skip
    (RESULTS / "shapes.json").write_text(json.dumps(values, indent=1) + "\n")
    lines = [
        "# The image branch alone on real shapes (AdrenalMNIST3D)",
        "",
        f"`{command}`, {platform.machine()}, 2 cores, torch {version('torch')}. Trained on the "
        "train arrays, stopped on a tenth of them, judged on the validation arrays; 95 % "
        "intervals by bootstrap.",
        "",
        "| seed | AUROC | shapes | minutes |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['seed']} | {row['auroc']:.3f} ({row['low']:.3f} to {row['high']:.3f}) "
        f"| {row['n']} | {row['minutes']:.1f} |"
        for row in rows
    ]
    (RESULTS / "shapes.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

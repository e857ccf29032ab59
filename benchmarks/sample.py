"""Make data_samples/ anew: the sample cohort, and the bundle trained on other simulated patients.

    python -m benchmarks.sample          (make sample)
    python -m benchmarks.sample --protocol FILE --out FOLDER     (a bundle of it, no more)

The patients of the training (seed 41) are drawn straight into the model's input, without a detour
over DICOM files, and kept in the user's cache; the sample's (seed 167) are other patients. The
first form writes benchmarks/results/sample.json: the minutes from the drawn patients to the bundle,
calibrated, judged and its maps proved, and those of drawing or reading them.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Figure, write_figures
from benchmarks.simulated import Simulated, design_for, simulated, with_some_masks
from flows.progress import progress_bars
from pipeline.model.text_encoder import load_text_encoder
from pipeline.phantom import write_cohort
from pipeline.protocol import read_protocol
from pipeline.train import train_on
from pipeline.train.examples import Example
from pipeline.train.fingerprints import fingerprints_of
from schemas.protocol import Protocol
from schemas.settings import SplitRule

SAMPLES = Path("data_samples")
WORLD = "brain_mr"
PROTOCOL = SAMPLES / "protocols" / f"{WORLD}.yaml"
SAMPLE_CASES, SAMPLE_SEED = 8, 167
TRAINING_CASES, TRAINING_SEED = 16_000, 41
SPLITS = SplitRule(train=0.495, validation=0.0375, calibration=0.28, conformal=0.157)
"""Leaves 3 % to the card's own judgement: `benchmarks.truth` judges on other patients. The
calibration part is large, so that chance in it moves a slope little."""
MOST = (60.0, 20.0)
"""Minutes of training that are allowed, and those wished for."""


def main() -> None:
    """Write the sample, or the one bundle that is asked for."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        minutes = _train(options.protocol, options.patients, bundle)
        if options.out is not None:
            shutil.copytree(bundle, options.out)
            return
        for old in (SAMPLES / WORLD, SAMPLES / "bundles" / WORLD):
            shutil.rmtree(old, ignore_errors=True)
        sample = design_for(read_protocol(PROTOCOL), seed=SAMPLE_SEED)
        write_cohort(SAMPLES / WORLD, design=sample, n_cases=SAMPLE_CASES)
        shutil.copytree(bundle, SAMPLES / "bundles" / WORLD)
        _record(options.patients, *minutes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", type=Path, default=PROTOCOL)
    parser.add_argument("--patients", type=int, default=TRAINING_CASES)
    parser.add_argument("--out", type=Path, help="where to write a bundle and nothing else")
    options = parser.parse_args()
    if options.protocol != PROTOCOL and options.out is None:
        parser.error(f"the sample is of {WORLD}; say with --out where to write another bundle")
    return options


def _train(protocol_file: Path, n_patients: int, out: Path) -> tuple[float, float]:
    """Write a bundle; return the minutes of drawing or reading the patients, and of training."""
    started = time.monotonic()
    protocol = _protocol(protocol_file)
    with progress_bars(quiet=False) as progress:
        encoder = load_text_encoder(protocol.model)
        design = design_for(protocol, seed=TRAINING_SEED)
        cases = simulated(design, protocol, encoder, n_patients, progress=progress)
        settings = protocol.training
        examples = with_some_masks(
            [_example(case) for case in cases], settings.annotation_share, seed=settings.seed
        )
        drawn = time.monotonic()
        train_on(examples, protocol, encoder, out, progress=progress)
    return (drawn - started) / 60, (time.monotonic() - drawn) / 60


def _record(n_patients: int, drawing: float, training: float) -> None:
    size = f"{n_patients} simulated patients, {torch.get_num_threads()} threads"
    command = "make sample"
    figures = [
        Figure(f"training to the shipped bundle, {size}, minutes", training, None, *MOST, command),
        Figure(f"drawing or reading them before that, {size}, minutes", drawing, None, None, None,
               command),
    ]  # fmt: skip
    write_figures(RESULTS / "sample.json", figures)
    for figure in figures:
        print(f"{figure.name}: {figure.value:.1f}")


def _protocol(file: Path) -> Protocol:
    protocol = read_protocol(file)
    training = protocol.training.model_copy(update={"splits": SPLITS})
    return protocol.model_copy(update={"training": training})


def _example(case: Simulated) -> Example:
    """Return what training reads, with the fingerprints that the leak guard compares."""
    image = case.example.image
    if image is None:
        return case.example
    return replace(case.example, fingerprints=fingerprints_of(image))


if __name__ == "__main__":
    main()

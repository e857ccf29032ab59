"""Make data_samples/ anew: the sample cohort, and the bundle trained on other simulated patients.

    python -m benchmarks.sample          (make sample)

The patients of the training (seed 41) are drawn straight into the model's input, without a detour
over DICOM files, and kept in the user's cache; the sample's (seed 167) are other patients.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.simulated import Simulated, simulated
from flows.progress import progress_bars
from pipeline.model.text_encoder import load_text_encoder
from pipeline.phantom import WORLDS, Design, write_cohort
from pipeline.protocol import read_protocol
from pipeline.train import train_on
from pipeline.train.examples import Example
from pipeline.train.fingerprints import fingerprint_of
from schemas.protocol import Protocol
from schemas.settings import SplitRule

SAMPLES = Path("data_samples")
WORLD = "brain_mr"
SAMPLE_CASES, SAMPLE_SEED = 8, 167
TRAINING_CASES, TRAINING_SEED = 6000, 41
SPLITS = SplitRule(train=0.7, validation=0.08, calibration=0.1, conformal=0.08)
"""Leaves 4 % to the card's own judgement: `benchmarks.truth` judges on other patients."""


def main() -> None:
    """Write cohort and bundle."""
    protocol = _protocol()
    with tempfile.TemporaryDirectory() as scratch, progress_bars(quiet=False) as progress:
        encoder = load_text_encoder(protocol.model)
        design = Design(world=WORLDS[WORLD], seed=TRAINING_SEED)
        cases = simulated(design, protocol, encoder, TRAINING_CASES, progress=progress)
        examples = [_example(case) for case in cases]
        train_on(examples, protocol, encoder, Path(scratch) / "bundle", progress=progress)
        for old in (SAMPLES / WORLD, SAMPLES / "bundles" / WORLD):
            shutil.rmtree(old, ignore_errors=True)
        sample = Design(world=WORLDS[WORLD], seed=SAMPLE_SEED)
        write_cohort(SAMPLES / WORLD, design=sample, n_cases=SAMPLE_CASES)
        shutil.copytree(Path(scratch) / "bundle", SAMPLES / "bundles" / WORLD)


def _protocol() -> Protocol:
    protocol = read_protocol(SAMPLES / "protocols" / f"{WORLD}.yaml")
    training = protocol.training.model_copy(update={"splits": SPLITS})
    return protocol.model_copy(update={"training": training})


def _example(case: Simulated) -> Example:
    """Return what training reads, with the fingerprint that the leak guard compares."""
    image = case.example.image
    if image is None:
        return case.example
    return replace(case.example, fingerprint=fingerprint_of(image.voxels[0].numpy()))


if __name__ == "__main__":
    main()

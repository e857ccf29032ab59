"""Make data_samples/ anew: the sample cohort, and the bundle trained on another simulated cohort.

    python -m benchmarks.sample          (make sample)

The sample's patients (seed 167) are none of the training's (seed 20).
"""

import shutil
import tempfile
from pathlib import Path

import flows  # noqa: F401  sets the environment's defaults
from flows.progress import progress_bars
from pipeline.phantom import WORLDS, Design, write_cohort
from pipeline.protocol import read_protocol
from pipeline.train import train_bundle

SAMPLES = Path("data_samples")
WORLD = "brain_mr"
SAMPLE_CASES, SAMPLE_SEED = 8, 167
TRAINING_CASES, TRAINING_SEED = 2500, 20


def main() -> None:
    """Write cohort and bundle."""
    protocol = read_protocol(SAMPLES / "protocols" / f"{WORLD}.yaml")
    with tempfile.TemporaryDirectory() as scratch, progress_bars(quiet=False) as progress:
        cohort = Path(scratch) / "cohort"

        def report(done: int, total: int) -> None:
            progress("simulating", done, total)

        training = Design(world=WORLDS[WORLD], seed=TRAINING_SEED)
        write_cohort(cohort, design=training, n_cases=TRAINING_CASES, on_progress=report)
        train_bundle(cohort, protocol, Path(scratch) / "bundle", progress=progress)
        for old in (SAMPLES / WORLD, SAMPLES / "bundles" / WORLD):
            shutil.rmtree(old, ignore_errors=True)
        sample = Design(world=WORLDS[WORLD], seed=SAMPLE_SEED)
        write_cohort(SAMPLES / WORLD, design=sample, n_cases=SAMPLE_CASES)
        shutil.copytree(Path(scratch) / "bundle", SAMPLES / "bundles" / WORLD)


if __name__ == "__main__":
    main()

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from prefect.testing.utilities import prefect_test_harness

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data_samples" / "brain_mr"
BUNDLE = ROOT / "data_samples" / "bundles" / "brain_mr"


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A Prefect server of the tests' own."""
    with prefect_test_harness(server_startup_timeout=240):
        yield


ANSWERED = (0, 1, 3)
"""Studies by number; that of number 2 lies outside what the shipped bundle was trained on."""


@pytest.fixture
def bundle() -> Path:
    return BUNDLE


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three studies of the sample cohort that the bundle answers, to be changed at will."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    everyone = sorted(path.name for path in (SAMPLE / "dicom").iterdir())
    patients = [everyone[number] for number in ANSWERED]
    for patient in patients:
        shutil.copytree(SAMPLE / "dicom" / patient, folder / "dicom" / patient)
    for name in ("tabular.csv", "notes.csv"):
        frame = pd.read_csv(SAMPLE / name, dtype=str, keep_default_na=False)
        frame[frame["patient_id"].isin(patients)].to_csv(folder / name, index=False)
    return folder

"""An independent reader must put the same values at the same places."""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from pipeline.geometry import LPS_TO_RAS
from pipeline.ingest import discover, load_volume
from tests.series_factory.slices import ORIENTATIONS, Case, Modality, save

PROGRAM = shutil.which("dcm2niix") or shutil.which(
    "dcm2niix", path=str(Path(sys.executable).parent)
)
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="the package dcm2niix is not installed")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dcm2niix_sees_the_same_volume(
    tmp_path: Path, orientation: str, modality: Modality
) -> None:
    dicom, out = tmp_path / "dicom", tmp_path / "out"
    out.mkdir()
    save(Case(orientation, modality).slices(), dicom)
    assert PROGRAM is not None
    command = [PROGRAM, "-z", "n", "-b", "n", "-f", "volume", "-o", str(out), str(dicom)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("*.nii")
    theirs = nibabel.as_closest_canonical(nibabel.load(path))
    (series,) = discover(dicom).studies[0].series
    volume = load_volume(dicom, series)
    affine = (LPS_TO_RAS @ volume.geometry.affine)[:, [2, 1, 0, 3]]
    ours = nibabel.as_closest_canonical(
        nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine)
    )
    assert np.abs(ours.affine - theirs.affine).max() < 1e-3
    assert np.array_equal(ours.get_fdata(), theirs.get_fdata())

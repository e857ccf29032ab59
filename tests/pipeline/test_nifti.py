from pathlib import Path

import nibabel
import numpy as np
import pytest

from pipeline.errors import IngestError
from pipeline.geometry import Geometry
from pipeline.nifti import load_nifti, save_nifti

AFFINE = np.array([[0, 0.1, 2.0, -10], [0, 3.0, -0.07, -20], [4.0, 0, 0, -30], [0, 0, 0, 1.0]])


def test_a_voxel_is_at_the_same_place_in_the_file(tmp_path: Path) -> None:
    geometry = Geometry(AFFINE, (4, 5, 6))
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = 7.0
    save_nifti(tmp_path / "a.nii.gz", array, geometry)
    image = nibabel.load(tmp_path / "a.nii.gz")
    (found,) = np.argwhere(image.get_fdata() == 7.0)
    ras = image.affine @ [*found, 1.0]
    assert np.allclose(ras[:3] * [-1, -1, 1], geometry.to_mm([1, 2, 3]), atol=1e-4)


def test_lps_to_ras_and_back_changes_nothing(tmp_path: Path) -> None:
    geometry = Geometry(AFFINE, (4, 5, 6))
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    array[0, 0, 0] = np.nan
    save_nifti(tmp_path / "a.nii.gz", array, geometry)
    again, place = load_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(again, array, equal_nan=True)
    assert place.matches(geometry, atol_mm=1e-4)


def test_what_is_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"no")
    with pytest.raises(IngestError, match=r"a\.nii\.gz"):
        load_nifti(tmp_path / "a.nii.gz")


def test_a_file_of_either_handedness_keeps_its_voxels_where_they_are(tmp_path: Path) -> None:
    for number, sign in enumerate((-1.0, 1.0)):
        affine = np.diag([2.0 * sign, 3.0, 4.0, 1.0])
        affine[:3, 3] = [5.0, 6.0, 7.0]
        voxels = np.zeros((6, 5, 4), np.float32)
        voxels[1, 2, 3] = 9.0
        path = tmp_path / f"{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
        array, geometry = load_nifti(path)
        (found,) = np.argwhere(array == 9.0)
        ras = geometry.to_mm(found) * [-1, -1, 1]
        assert np.allclose(ras, (affine @ [1, 2, 3, 1])[:3], atol=1e-4)

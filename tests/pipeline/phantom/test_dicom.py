import hashlib
import shutil
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipeline.errors import GeometryError
from pipeline.geometry import LPS_TO_RAS, Geometry
from pipeline.phantom.dicom import SeriesHeader, uid_from, write_series

# The package puts its program beside the interpreter, which need not be on the search path.
DCM2NIIX = shutil.which("dcm2niix") or shutil.which(
    "dcm2niix", path=str(Path(sys.executable).parent)
)

SHAPE = (5, 6, 8)
AXES = {
    "axial": [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    "sagittal": [[-1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "coronal": [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
}
ROTATION = Rotation.from_euler("xyz", [12.0, -7.0, 20.0], degrees=True).as_matrix()


def header(modality: Literal["CT", "MR"] = "MR", **changes: str) -> SeriesHeader:
    values = {
        "patient_id": "P0001",
        "study_uid": uid_from("test", "study"),
        "series_uid": uid_from("test", "series"),
        "frame_of_reference_uid": uid_from("test", "frame"),
        "description": "T1",
        "body_part": "HEAD",
    }
    return SeriesHeader(
        modality=modality,
        acquired_at=datetime(2021, 3, 4, 9, 5, 7),
        patient_birth_date=date(1960, 1, 31),
        patient_sex="F",
        **(values | changes),
    )


def grid(plane: str, *, is_oblique: bool = False) -> Geometry:
    """A grid of slices 4 mm apart, rows 2.5 mm, columns 1.5 mm."""
    affine = np.eye(4)
    turn = ROTATION if is_oblique else np.eye(3)
    affine[:3, :3] = turn @ np.array(AXES[plane], float).T * [4.0, 2.5, 1.5]
    affine[:3, 3] = [-31.25, 12.5, 77.125]
    return Geometry(affine, SHAPE)


def array(modality: str) -> NDArray[np.float32]:
    values = np.random.default_rng(3).integers(0, 2000, SHAPE).astype(np.float32)
    return values - 1000 if modality == "CT" else values


EVERY_GRID = [
    pytest.param(plane, is_oblique, id=f"{plane}{'-oblique' if is_oblique else ''}")
    for plane in AXES
    for is_oblique in (False, True)
]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is absent")
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dciodvfy_finds_no_error(tmp_path: Path, modality: Literal["CT", "MR"]) -> None:
    oblique = grid("axial", is_oblique=True)
    for path in write_series(tmp_path, array(modality), oblique, header(modality)):
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert f"{modality}Image" in said.stderr
        assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


@pytest.mark.skipif(DCM2NIIX is None, reason="dcm2niix is absent")
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize(("plane", "is_oblique"), EVERY_GRID)
def test_dcm2niix_puts_each_value_at_the_same_millimetre(
    tmp_path: Path, plane: str, is_oblique: bool, modality: Literal["CT", "MR"]
) -> None:
    geometry = grid(plane, is_oblique=is_oblique)
    write_series(tmp_path / "dicom", array(modality), geometry, header(modality))
    command = [DCM2NIIX, "-f", "out", "-z", "n", "-o", tmp_path, tmp_path / "dicom"]
    subprocess.run(command, capture_output=True, check=True)
    image = nibabel.load(tmp_path / "out.nii")
    ours = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3)
    theirs = nibabel.affines.apply_affine(
        np.linalg.inv(image.affine),
        nibabel.affines.apply_affine(LPS_TO_RAS, geometry.to_mm(ours)),
    )
    back = nibabel.affines.apply_affine(LPS_TO_RAS @ image.affine, np.rint(theirs))
    assert np.abs(back - geometry.to_mm(ours)).max() < 1e-3
    values = image.get_fdata()[tuple(np.rint(theirs).astype(int).T)]
    np.testing.assert_array_equal(values, array(modality).ravel())


def test_pixel_spacing_is_between_rows_then_between_columns(tmp_path: Path) -> None:
    first = pydicom.dcmread(write_series(tmp_path, array("MR"), grid("coronal"), header())[0])
    assert [float(value) for value in first.PixelSpacing] == [2.5, 1.5]
    assert [float(value) for value in first.ImageOrientationPatient] == [1, 0, 0, 0, 0, -1]
    assert [float(value) for value in first.ImagePositionPatient] == [-31.25, 12.5, 77.125]


def test_ct_values_come_back_as_hounsfield_units(tmp_path: Path) -> None:
    paths = write_series(tmp_path, array("CT"), grid("axial"), header("CT"))
    read = [pydicom.dcmread(path) for path in paths]
    values = [item.pixel_array * item.RescaleSlope + item.RescaleIntercept for item in read]
    np.testing.assert_array_equal(np.array(values, dtype=np.float32), array("CT"))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    def digests(name: str) -> list[str]:
        paths = write_series(tmp_path / name, array("MR"), grid("axial"), header())
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    assert digests("one") == digests("two")


def test_every_slice_has_its_own_instance_uid(tmp_path: Path) -> None:
    paths = write_series(tmp_path, array("MR"), grid("axial"), header())
    uids = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths}
    assert len(uids) == SHAPE[0]
    assert all(uid.is_valid for uid in uids)


def test_unknown_birth_date_and_sex_are_empty(tmp_path: Path) -> None:
    unknown = SeriesHeader(
        patient_id="P2",
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        acquired_at=datetime(2021, 3, 4),
    )
    item = pydicom.dcmread(write_series(tmp_path, array("CT"), grid("axial"), unknown)[0])
    assert (item.PatientBirthDate, item.PatientSex) == ("", "")


@pytest.mark.parametrize("value", [-1.0, 65536.0, np.nan])
def test_values_that_do_not_fit_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="MR values must lie between 0 and 65535"):
        write_series(tmp_path, np.full(SHAPE, value, np.float32), grid("axial"), header())


def test_skewed_pixels_are_refused(tmp_path: Path) -> None:
    affine = grid("axial").affine.copy()
    affine[0, 1] = 0.5
    with pytest.raises(GeometryError, match="right angle"):
        write_series(tmp_path, array("MR"), Geometry(affine, SHAPE), header())


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="differ in shape"):
        write_series(tmp_path, array("MR")[1:], grid("axial"), header())

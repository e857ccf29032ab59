"""Slices in memory, painted with a field that is known at every millimetre."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds
from scipy.spatial.transform import Rotation

from pipeline.geometry import Geometry
from pipeline.phantom.dicom import uid_from

Modality = Literal["CT", "MR"]
Slices = list[Dataset]

SHAPE = (9, 10, 14)
SPACING_MM = (2.5, 1.25, 0.75)
CENTRE_MM = np.array([4.0, -6.0, 11.0])
# Value per mm along left, back and head: a linear field, so that interpolation keeps it exactly.
SLOPE = np.array([3.0, -2.0, 5.0])
STEP = 1 / 32

_AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T
_OBLIQUE = Rotation.from_euler("xyz", [14.0, -9.0, 23.0], degrees=True).as_matrix()


def _turned(degrees: float) -> NDArray[np.float64]:
    """The patient turned about the long axis, the table where it was."""
    return Rotation.from_euler("z", degrees, degrees=True).as_matrix()


# Columns: directions of the slice, row and column index, LPS.
ORIENTATIONS = {
    "axial": _AXIAL,
    "feet-first": np.array([[0, 0, -1], [0, 1, 0], [-1, 0, 0]], float).T,
    "sagittal": np.array([[-1, 0, 0], [0, 0, -1], [0, 1, 0]], float).T,
    "coronal": np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]], float).T,
    "decubitus left": _turned(90.0) @ _AXIAL,
    "decubitus right": _turned(-90.0) @ _AXIAL,
    "prone": _turned(180.0) @ _AXIAL,
    "oblique": _OBLIQUE @ _AXIAL,
    "double oblique sagittal": _OBLIQUE @ np.array([[-1, 0, 0], [0, 0, -1], [0, 1, 0]], float).T,
}


@dataclass(frozen=True, slots=True)
class Case:
    """What a defect is put into."""

    orientation: str
    modality: Modality = "CT"
    shape: tuple[int, int, int] = SHAPE
    spacing_mm: tuple[float, float, float] = SPACING_MM

    def slices(self) -> Slices:
        """A good series in the order of its slices."""
        return slices_of(grid_of(self), self.modality)


def grid_of(case: Case) -> Geometry:
    """The grid of a case, around ``CENTRE_MM``."""
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[case.orientation] * case.spacing_mm
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ ((np.array(case.shape) - 1) / 2)
    return Geometry(affine, case.shape)


def field(position_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value at places in mm, LPS, shape (..., 3)."""
    values: NDArray[np.float64] = (position_mm - CENTRE_MM) @ SLOPE
    return values


def slices_of(grid: Geometry, modality: Modality = "CT") -> Slices:
    """One dataset a slice of a grid, painted."""
    made = []
    axes = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    for index in range(grid.shape[0]):
        one = _blank(modality, index)
        one.ImageOrientationPatient = _decimals([*axes[:, 2], *axes[:, 1]])
        one.ImagePositionPatient = _decimals(grid.to_mm((index, 0, 0)))
        one.PixelSpacing = _decimals(grid.spacing_mm[1:])
        one.SliceThickness = format_number_as_ds(grid.spacing_mm[0])
        one.Rows, one.Columns = grid.shape[1:]
        made.append(paint(one))
    return made


def paint(one: Dataset) -> Dataset:
    """Give a slice the field's values at the places that its own header states."""
    across = np.array(one.ImageOrientationPatient[:3], float) * float(one.PixelSpacing[1])
    down = np.array(one.ImageOrientationPatient[3:], float) * float(one.PixelSpacing[0])
    row, column = np.indices((one.Rows, one.Columns))[..., None]
    place = np.array(one.ImagePositionPatient, float) + row * down + column * across
    slope, intercept = float(one.RescaleSlope), float(one.RescaleIntercept)
    stored = np.rint((field(place) - intercept) / slope)
    assert np.abs(stored).max() < 2**15
    one.PixelData = stored.astype("<i2").tobytes()
    return one


def moved(one: Dataset, by_mm: Sequence[float] | NDArray[np.float64]) -> Dataset:
    """Shift a slice in the patient and paint it anew."""
    one.ImagePositionPatient = _decimals(np.array(one.ImagePositionPatient, float) + by_mm)
    return paint(one)


def normal_of(one: Dataset) -> NDArray[np.float64]:
    """The slice normal, LPS."""
    cosines = np.array(one.ImageOrientationPatient, float)
    return np.cross(cosines[:3], cosines[3:])


def again(one: Dataset, name: str, **values: object) -> Dataset:
    """A copy under a SOP Instance UID of its own, with other values."""
    copied = deepcopy(one)
    copied.SOPInstanceUID = uid_from(one.SOPInstanceUID, name)
    put(copied, **values)
    return copied


def put(slices: Dataset | Iterable[Dataset], **values: object) -> None:
    """Set elements by keyword; None removes one."""
    for one in [slices] if isinstance(slices, Dataset) else slices:
        for keyword, value in values.items():
            if value is None:
                delattr(one, keyword)
            else:
                setattr(one, keyword, value)


def save(slices: Iterable[Dataset], folder: Path, *, seed: int = 0) -> list[Path]:
    """Write slices under names and in an order that say nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = list(slices)
    numbers = np.random.default_rng(seed).permutation(len(written))
    paths = []
    for number, one in zip(numbers, written, strict=True):
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
        path = folder / f"{number:03d}"
        dcmwrite(path, one, enforce_file_format=True)
        paths.append(path)
    return paths


def _blank(modality: Modality, index: int) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    one.SOPInstanceUID = uid_from("factory", modality, index)
    one.StudyInstanceUID = uid_from("factory", "study")
    one.SeriesInstanceUID = uid_from("factory", "series", modality)
    one.FrameOfReferenceUID = uid_from("factory", "frame")
    one.PatientID, one.PatientName, one.PatientBirthDate = "P1", "NOBODY^AT^ALL", "19700102"
    one.Modality = modality
    one.StudyDate = one.SeriesDate = one.AcquisitionDate = "20210304"
    one.StudyTime = one.SeriesTime = one.AcquisitionTime = "090507"
    one.InstanceNumber, one.AcquisitionNumber = index + 1, 1
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.RescaleSlope, one.RescaleIntercept = format_number_as_ds(STEP), "0"
    if modality == "CT":
        one.RescaleType, one.KVP, one.ConvolutionKernel = "HU", "120", "B31f"
    else:
        one.EchoTime, one.InversionTime, one.FlipAngle = "12", "900", "70"
    return one


def _decimals(values: Iterable[float]) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]

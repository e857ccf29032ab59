"""DICOM out: one array on a grid becomes the files of one CT or MR series."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from pipeline.errors import GeometryError
from pipeline.geometry import Geometry

CT_INTERCEPT_HU = -1024
_STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage}
_PIXEL_TYPE = {"CT": np.dtype("<i2"), "MR": np.dtype("<u2")}

Stored = NDArray[np.integer[Any]]
"""Pixels as DICOM keeps them: 16 bits, signed for CT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What a series says about itself beside its pixels and its grid."""

    patient_id: str
    """Patient ID (0010,0020)."""
    study_uid: str
    """Study Instance UID (0020,000D)."""
    series_uid: str
    """Series Instance UID (0020,000E)."""
    frame_of_reference_uid: str
    """Frame of Reference UID (0020,0052)."""
    modality: Literal["CT", "MR"]
    """Modality (0008,0060)."""
    acquired_at: datetime
    """Study, series, acquisition and content date and time; the scanner's local time."""
    patient_sex: Literal["F", "M", "O", ""] = ""
    """Patient's Sex (0010,0040)."""
    patient_birth_date: date | None = None
    """Patient's Birth Date (0010,0030)."""
    patient_name: str = "PHANTOM"
    """Patient's Name (0010,0010)."""
    patient_position: Literal["HFS", "FFS", "HFP", "FFP"] = "HFS"
    """Patient Position (0018,5100)."""
    series_number: int = 1
    """Series Number (0020,0011)."""
    study_description: str = ""
    """Study Description (0008,1030)."""
    description: str = ""
    """Series Description (0008,103E)."""
    body_part: str = ""
    """Body Part Examined (0018,0015)."""
    manufacturer: str = "Synopt"
    """Manufacturer (0008,0070)."""
    model_name: str = "Phantom"
    """Manufacturer's Model Name (0008,1090)."""
    station_name: str = ""
    """Station Name (0008,1010)."""
    is_localizer: bool = False
    """Whether Image Type (0008,0008) says so."""


def uid_from(*parts: str | int) -> str:
    """Make a UID under 2.25 that depends on the parts alone (PS3.5 B.2)."""
    return f"2.25.{uuid5(NAMESPACE_OID, '/'.join(map(str, parts))).int}"


def write_series(
    folder: Path, array: NDArray[np.float32], geometry: Geometry, header: SeriesHeader
) -> list[Path]:
    """Write a volume as CT Image or MR Image objects, one file a slice, Explicit VR Little Endian.

    Parameters
    ----------
    folder
        Made if absent; files are named ``IM0001.dcm`` and on, in the order of the slices.
    array : shape (slices, rows, columns)
        HU for CT; for MR any unit from 0 to 65535. Rounded to whole numbers.
    geometry : mm, LPS
        Becomes Image Position (0020,0032), Image Orientation (0020,0037) and Pixel Spacing
        (0028,0030).
    header
        Everything else. Its frame of reference is written, not the geometry's.

    Returns
    -------
    list of Path
        One for each slice, in order. The same input gives the same bytes.

    Raises
    ------
    GeometryError
        If shapes differ, or rows and columns are not at a right angle, which DICOM cannot say.
    ValueError
        If a value cannot be stored in 16 bits.
    """
    if array.shape != geometry.shape:
        msg = f"array {array.shape} and geometry {geometry.shape} differ in shape"
        raise GeometryError(msg)
    stored = _stored_values(array, header.modality)
    shared = _shared_attributes(header)
    _set_plane(shared, geometry)
    _set_pixel_format(shared, stored, header.modality)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, frame in enumerate(stored):
        _set_slice(shared, index, geometry, frame)
        path = folder / f"IM{index + 1:04d}.dcm"
        dcmwrite(path, shared, enforce_file_format=True)
        paths.append(path)
    return paths


def _stored_values(array: NDArray[np.float32], modality: str) -> Stored:
    offset = CT_INTERCEPT_HU if modality == "CT" else 0
    dtype = _PIXEL_TYPE[modality]
    rounded = np.rint(array.astype(np.float64)) - offset
    bounds = np.iinfo(dtype)
    if not bool(((rounded >= bounds.min) & (rounded <= bounds.max)).all()):
        msg = (
            f"{modality} values must lie between {bounds.min + offset} and "
            f"{bounds.max + offset}, got {array.min()} to {array.max()}"
        )
        raise ValueError(msg)
    return rounded.astype(dtype)


def _shared_attributes(header: SeriesHeader) -> Dataset:
    """Everything but geometry and pixels (PS3.3 A.3 and A.4, Type 1 and 2, some Type 3)."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.ImplementationClassUID = UID(uid_from("synopt", "phantom"))
    item.file_meta.ImplementationVersionName = "SYNOPT_PHANTOM"
    item.SOPClassUID = _STORAGE[header.modality]
    _set_patient_and_study(item, header)
    _set_series(item, header)
    if header.modality == "CT":
        _set_ct(item)
    else:
        _set_mr(item)
    if header.is_localizer:
        item.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return item


def _set_patient_and_study(item: Dataset, header: SeriesHeader) -> None:
    birth = header.patient_birth_date
    item.PatientName = header.patient_name
    item.PatientID = header.patient_id
    item.PatientBirthDate = birth.strftime("%Y%m%d") if birth else ""
    item.PatientSex = header.patient_sex
    item.StudyInstanceUID = header.study_uid
    item.StudyID = "1"
    item.AccessionNumber = ""
    item.ReferringPhysicianName = ""
    if header.study_description:
        item.StudyDescription = header.study_description
    for moment in ("Study", "Series", "Acquisition", "Content"):
        setattr(item, f"{moment}Date", header.acquired_at.strftime("%Y%m%d"))
        setattr(item, f"{moment}Time", header.acquired_at.strftime("%H%M%S"))


def _set_series(item: Dataset, header: SeriesHeader) -> None:
    item.Modality = header.modality
    item.SeriesInstanceUID = header.series_uid
    item.SeriesNumber = header.series_number
    item.AcquisitionNumber = 1
    item.PatientPosition = header.patient_position
    item.FrameOfReferenceUID = header.frame_of_reference_uid
    item.PositionReferenceIndicator = ""
    item.Manufacturer = header.manufacturer
    item.ManufacturerModelName = header.model_name
    for keyword, value in (
        ("SeriesDescription", header.description),
        ("BodyPartExamined", header.body_part),
        ("StationName", header.station_name),
    ):
        if value:
            setattr(item, keyword, value)


def _set_ct(item: Dataset) -> None:
    item.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    item.KVP = "120"
    item.RescaleIntercept = str(CT_INTERCEPT_HU)
    item.RescaleSlope = "1"
    item.RescaleType = "HU"
    item.WindowCenter = "40"
    item.WindowWidth = "400"


def _set_mr(item: Dataset) -> None:
    item.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    item.ScanningSequence = "SE"
    item.SequenceVariant = "NONE"
    item.ScanOptions = ""
    item.MRAcquisitionType = "2D"
    item.RepetitionTime = "500"
    item.EchoTime = "12"
    item.EchoTrainLength = "1"


def _set_plane(item: Dataset, geometry: Geometry) -> None:
    spacing = geometry.spacing_mm
    direction = geometry.affine[:3, :3] / np.array(spacing)
    along_row, along_column = direction[:, 2], direction[:, 1]
    if not abs(float(along_row @ along_column)) <= 1e-4:
        msg = "rows and columns must be at a right angle to be written as DICOM"
        raise GeometryError(msg)
    item.ImageOrientationPatient = _decimals([*along_row, *along_column])
    item.PixelSpacing = _decimals(spacing[1:])
    item.SliceThickness = format_number_as_ds(spacing[0])
    if item.Modality == "MR":
        item.SpacingBetweenSlices = format_number_as_ds(spacing[0])


def _set_pixel_format(item: Dataset, stored: Stored, modality: str) -> None:
    item.SamplesPerPixel = 1
    item.PhotometricInterpretation = "MONOCHROME2"
    item.Rows, item.Columns = stored.shape[1:]
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
    item.PixelRepresentation = int(stored.dtype.kind == "i")
    if modality == "MR":
        top = max(float(np.percentile(stored, 99.5)), 2.0)
        item.WindowCenter, item.WindowWidth = _decimals([top / 2.0, top])


def _set_slice(
    item: Dataset,
    index: int,
    geometry: Geometry,
    frame: Stored,
) -> None:
    item.SOPInstanceUID = uid_from(item.SeriesInstanceUID, index + 1)
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.InstanceNumber = index + 1
    item.ImagePositionPatient = _decimals(geometry.to_mm((index, 0, 0)))
    item.PixelData = frame.tobytes()


def _decimals(values: Iterable[float]) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]

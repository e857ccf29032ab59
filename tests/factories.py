"""Real DICOM of an analytic phantom, and the defects that real archives put into it.

The phantom is a ball of known value at a known place in millimetres, so that every claim about
space has an answer. Files are written by ``pipeline.phantom.dicom`` and changed with pydicom.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from pipeline.geometry import Geometry
from pipeline.phantom.dicom import SeriesHeader, uid_from, write_series
from pipeline.volume import Volume

SHAPE = (12, 36, 40)
SPACING_MM = (2.5, 1.25, 0.75)
BALL_MM = (3.0, -4.0, 7.0)
RADIUS_MM = 4.0
INSIDE, OUTSIDE = 700.0, 100.0
# Directions of the slice, row and column index, LPS.
PLANES = {
    "axial": [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    "axial-feet-first": [[0, 0, -1], [0, 1, 0], [-1, 0, 0]],
    "sagittal": [[-1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "coronal": [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
}
OBLIQUE = Rotation.from_euler("xyz", [12.0, -7.0, 20.0], degrees=True).as_matrix()

Modality = Literal["CT", "MR"]
Edit = Callable[[Dataset], None]


def grid(
    plane: str = "axial",
    *,
    is_oblique: bool = False,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> Geometry:
    """A grid centred on a point 2 mm from the ball along each axis."""
    affine = np.eye(4)
    turn = OBLIQUE if is_oblique else np.eye(3)
    affine[:3, :3] = turn @ np.array(PLANES[plane], float).T * spacing_mm
    middle = (np.array(shape) - 1) / 2
    affine[:3, 3] = np.array(BALL_MM) + 2.0 - affine[:3, :3] @ middle
    return Geometry(affine, shape)


def ball(geometry: Geometry) -> NDArray[np.float32]:
    """Values of the phantom on a grid; the edge is soft, so that its centre can be measured."""
    index = np.stack(np.indices(geometry.shape), axis=-1)
    distance = np.linalg.norm(geometry.to_mm(index) - BALL_MM, axis=-1)
    share = 1 / (1 + np.exp((distance - RADIUS_MM) / 0.6))
    return np.rint(OUTSIDE + (INSIDE - OUTSIDE) * share).astype(np.float32)


def ball_centre_mm(volume: Volume) -> NDArray[np.float64]:
    """Where a volume shows the ball: its centre of mass, shape (3,), mm, LPS."""
    weight = volume.array.astype(np.float64) - OUTSIDE
    index = np.stack(np.indices(volume.array.shape), axis=-1)
    centre: NDArray[np.float64] = (volume.geometry.to_mm(index) * weight[..., None]).sum(
        axis=(0, 1, 2)
    ) / weight.sum()
    return centre


def header(modality: Modality = "CT", **changes: str | int | datetime) -> SeriesHeader:
    values: dict[str, Any] = {
        "patient_id": "P0001",
        "patient_name": "NOBODY^AT^ALL",
        "study_uid": uid_from("test", "study"),
        "series_uid": uid_from("test", "series"),
        "frame_of_reference_uid": uid_from("test", "frame"),
        "acquired_at": datetime(2021, 3, 4, 9, 5, 7),
        "description": "ball",
    }
    return SeriesHeader(modality=modality, **(values | changes))


def write_ball(
    folder: Path,
    plane: str = "axial",
    *,
    modality: Modality = "CT",
    is_oblique: bool = False,
    **changes: str | int | datetime,
) -> list[Path]:
    """Write the phantom as one series, in the order of its slices."""
    geometry = grid(plane, is_oblique=is_oblique)
    return write_series(folder, ball(geometry), geometry, header(modality, **changes))


def edit(paths: Path | Iterable[Path], change: Edit) -> None:
    """Change files in place."""
    for path in [paths] if isinstance(paths, Path) else paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def put(paths: Path | Iterable[Path], **values: object) -> None:
    """Set elements by keyword in place; None removes one."""

    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    edit(paths, change)


def copy_as(path: Path, target: Path, **values: object) -> Path:
    """Write a changed copy of a file, under a SOP Instance UID of its own."""
    target.write_bytes(path.read_bytes())
    uid = uid_from("copy", target.name)

    def change(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid

    edit(target, change)
    put(target, **values)
    return target


def move(path: Path, by_mm: Sequence[float]) -> None:
    """Shift one slice's Image Position, mm, LPS."""
    position = pydicom.dcmread(path).ImagePositionPatient
    put(
        path,
        ImagePositionPatient=[
            f"{a + b:.6f}" for a, b in zip(map(float, position), by_mm, strict=True)
        ],
    )


def write_enhanced(paths: Sequence[Path], target: Path) -> Path:
    """Gather classic CT files into one Enhanced CT file, with as few groups as ingest needs."""
    slices = [pydicom.dcmread(path) for path in paths]
    whole = slices[0]
    uid = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = uid
    whole.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(whole, "PixelSpacing")]
    shared.PixelValueTransformationSequence = [
        _item(whole, "RescaleSlope", "RescaleIntercept", "RescaleType")
    ]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for one in slices:
        groups = Dataset()
        groups.PlanePositionSequence = [_item(one, "ImagePositionPatient")]
        groups.PlaneOrientationSequence = [_item(one, "ImageOrientationPatient")]
        kind = Dataset()
        kind.FrameType = one.ImageType
        groups.CTImageFrameTypeSequence = [kind]
        whole.PerFrameFunctionalGroupsSequence.append(groups)
    whole.PixelData = b"".join(one.PixelData for one in slices)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(whole, keyword)
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(whole, keyword)
    whole.save_as(target)
    return target


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, getattr(source, keyword))
    return item

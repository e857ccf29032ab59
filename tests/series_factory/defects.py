"""Every defect that the factory can put into a series, with the code that must name it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from pipeline.phantom.dicom import uid_from
from schemas.issue import IssueCode
from tests.series_factory.slices import (
    SHAPE,
    SPACING_MM,
    Modality,
    Slices,
    again,
    moved,
    normal_of,
    paint,
    put,
)

N = SHAPE[0]


@dataclass(frozen=True, slots=True)
class Defect:
    """One way in which a series can be at fault."""

    name: str
    change: Callable[[Slices], object]
    code: IssueCode
    reads: tuple[int, ...] = ()
    """Slices of each volume that must be read all the same; none where all must be refused."""
    modality: Modality = "CT"


def _set(index: int | slice, **values: object) -> Callable[[Slices], None]:
    def change(slices: Slices) -> None:
        put(slices[index], **values)

    return change


def _without(*indices: int) -> Callable[[Slices], None]:
    def change(slices: Slices) -> None:
        for index in sorted(indices, reverse=True):
            del slices[index]

    return change


def _shifted(by: Callable[[int, Dataset], Any]) -> Callable[[Slices], None]:
    """Move every slice by what a function of its number and itself gives, mm."""

    def change(slices: Slices) -> None:
        for index, one in enumerate(slices):
            moved(one, by(index, one))

    return change


def _along(steps: Callable[[int], float]) -> Callable[[Slices], None]:
    return _shifted(lambda index, one: steps(index) * SPACING_MM[0] * normal_of(one))


def _down(one: Dataset) -> np.ndarray:
    return np.array(one.ImageOrientationPatient[3:], float)


def _tilt(degrees: float) -> Callable[[Slices], None]:
    step = SPACING_MM[0] * np.tan(np.radians(degrees))
    return _shifted(lambda index, one: index * step * _down(one))


def _tilt_and_gap(slices: Slices) -> None:
    _tilt(12.0)(slices)
    del slices[4]


def _stray(**values: object) -> Callable[[Slices], None]:
    return _set(-1, **values)


def _repainted(index: int, **values: object) -> Callable[[Slices], None]:
    def change(slices: Slices) -> None:
        put(slices[index], **values)
        paint(slices[index])

    return change


def _added(**values: object) -> Callable[[Slices], None]:
    """One more image, like the fifth but for the values."""

    def change(slices: Slices) -> None:
        slices.append(again(slices[4], "added", **values))

    return change


def _twice(**values: object) -> Callable[[Slices], None]:
    """All images once more, with other values."""

    def change(slices: Slices) -> None:
        slices += [again(one, "twice", **values) for one in slices]

    return change


def _localizer(slices: Slices) -> None:
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    cosines = [float(value) for value in slices[0].ImageOrientationPatient]
    turned = [*cosines[:3], *normal_of(slices[0])]
    slices.append(again(slices[0], "scout", ImageType=kind, ImageOrientationPatient=turned))


def _other_size(slices: Slices) -> None:
    slices[-1].Rows -= 2
    paint(slices[-1])


def _other_content(slices: Slices) -> None:
    copied = again(slices[4], "other")
    copied.SOPInstanceUID = slices[4].SOPInstanceUID
    copied.PixelData = bytes(len(copied.PixelData))
    slices.append(copied)


def _turned_in_plane(slices: Slices) -> None:
    cosines = [float(value) for value in slices[4].ImageOrientationPatient]
    put(slices[4], ImageOrientationPatient=[*cosines[3:], *(-value for value in cosines[:3])])


def _turned_around(slices: Slices) -> None:
    cosines = [float(value) for value in slices[-1].ImageOrientationPatient]
    put(slices[-1], ImageOrientationPatient=[*(-value for value in cosines[:3]), *cosines[3:]])


def _slightly_turned(slices: Slices) -> None:
    """By half a degree: more than the headers' rounding, less than the eye sees."""
    cosines = np.array(slices[4].ImageOrientationPatient, float).reshape(2, 3)
    angle = np.radians(0.5)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    put(slices[4], ImageOrientationPatient=[f"{value:.9f}" for value in (turn @ cosines).ravel()])


def _skewed(slices: Slices) -> None:
    for one in slices:
        cosines = np.array(one.ImageOrientationPatient, float)
        put(one, ImageOrientationPatient=[*cosines[:3], *(cosines[3:] + 0.4 * cosines[:3])])


def _not_unit(slices: Slices) -> None:
    for one in slices:
        cosines = np.array(one.ImageOrientationPatient, float)
        put(one, ImageOrientationPatient=[*(cosines * 1.02)])


def _mirrored(slices: Slices) -> None:
    put(slices[4], ImagePositionPatient=[-float(v) for v in slices[4].ImagePositionPatient])


def _whole_millimetres(slices: Slices) -> None:
    """Positions rounded along the normal, as some archives did."""
    for one in slices:
        normal = normal_of(one)
        depth = float(np.array(one.ImagePositionPatient, float) @ normal)
        moved(one, (round(depth) - depth) * normal)


def _overlapping(slices: Slices) -> None:
    """A second scan of the same spacing that begins two slices before the first one ends."""
    step = (N - 2) * SPACING_MM[0]
    second = [
        moved(again(one, "second", AcquisitionNumber=2), step * normal_of(one)) for one in slices
    ]
    slices += second


def _packages(slices: Slices) -> None:
    for index, one in enumerate(slices):
        put(one, AcquisitionNumber=index % 2 + 1)
    slices.append(again(slices[4], "again", AcquisitionNumber=2))


def _two_planes(slices: Slices) -> None:
    """The same scan once more, turned by a right angle about its rows."""
    for one in list(slices):
        cosines = [float(value) for value in one.ImageOrientationPatient]
        normal = [float(value) for value in normal_of(one)]
        other = again(one, "turned", ImageOrientationPatient=[*cosines[:3], *normal])
        depth = SPACING_MM[0] * (slices.index(one) - N // 2)
        other.ImagePositionPatient = [
            f"{a - depth * n + depth * c:.6f}"
            for a, n, c in zip(
                map(float, one.ImagePositionPatient), normal, cosines[3:], strict=True
            )
        ]
        slices.append(paint(other))


def _alternating(**values: object) -> Callable[[Slices], None]:
    def change(slices: Slices) -> None:
        put(slices[::2], **values)

    return change


def _trigger_times(slices: Slices) -> None:
    put(slices, TriggerTime="0")
    slices += [again(one, "beat", TriggerTime="0") for one in slices]
    for index, one in enumerate(slices):
        put(one, TriggerTime=str(37 * index))


def _conflict_in_one_echo(slices: Slices) -> None:
    """Two echoes; the same instance of the second one has two contents."""
    slices += [again(one, "echo", EchoTime="80") for one in slices]
    copied = again(slices[-1], "conflict")
    copied.SOPInstanceUID = slices[-1].SOPInstanceUID
    copied.PixelData = bytes(len(copied.PixelData))
    slices.append(copied)


_PHASE = ["ORIGINAL", "PRIMARY", "P"]
_MPR = ["DERIVED", "SECONDARY", "MPR"]
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
_OTHER = uid_from("factory", "other")

# The defects of the comparison with other readers come first.
DEFECTS = (
    Defect("a slice is missing", _without(4), IssueCode.GEOMETRY_IRREGULAR),
    Defect("gantry tilt", _tilt(16.5), IssueCode.GEOMETRY_TILTED, (N,)),
    Defect("irregular spacing", _along(lambda i: 0.04 * i * i), IssueCode.GEOMETRY_IRREGULAR),
    Defect("a localizer inside the series", _localizer, IssueCode.SERIES_LOCALIZER, (N,)),
    Defect("two acquisitions, same positions", _twice(AcquisitionNumber=2),
           IssueCode.SERIES_SPLIT, (N, N)),
    Defect("one slice lacks its position", _set(4, ImagePositionPatient=None),
           IssueCode.GEOMETRY_MISSING),
    Defect("one slice of other pixel spacing", _repainted(-1, PixelSpacing=["1.25", "0.8"]),
           IssueCode.GEOMETRY_MIXED),
    Defect("one slice of another frame of reference", _stray(FrameOfReferenceUID=_OTHER),
           IssueCode.IDENTITY_CONFLICT),
    Defect("one slice of another patient", _stray(PatientID="P2"), IssueCode.IDENTITY_CONFLICT),
    Defect("two slices are missing side by side", _without(4, 5), IssueCode.GEOMETRY_IRREGULAR),
    Defect("the last but one is missing", _without(N - 2), IssueCode.GEOMETRY_IRREGULAR),
    Defect("every second of one half is missing", _without(1, 3), IssueCode.GEOMETRY_IRREGULAR),
    Defect("two slabs with a gap between them", _along(lambda i: 0.4 * (i > 4)),
           IssueCode.GEOMETRY_IRREGULAR),
    Defect("a slice has slipped along", _along(lambda i: 0.3 * (i == 4)),
           IssueCode.GEOMETRY_IRREGULAR),
    Defect("a slice has slipped sideways", _shifted(lambda i, one: (i == 4) * _down(one)),
           IssueCode.GEOMETRY_IRREGULAR),
    Defect("the stack is bent", _shifted(lambda i, one: 0.05 * i * i * _down(one)),
           IssueCode.GEOMETRY_IRREGULAR),
    Defect("a position with its signs turned", _mirrored, IssueCode.GEOMETRY_IRREGULAR),
    Defect("positions in whole millimetres", _whole_millimetres, IssueCode.GEOMETRY_IRREGULAR),
    Defect("jitter within the bound", _along(lambda i: 0.02 * (i == 4)),
           IssueCode.GEOMETRY_IRREGULAR, (N,)),
    Defect("tilt the other way", _tilt(-25.0), IssueCode.GEOMETRY_TILTED, (N,)),
    Defect("a tilt of half a degree", _tilt(0.5), IssueCode.GEOMETRY_TILTED, (N,)),
    Defect("more tilt than a gantry can", _tilt(41.0), IssueCode.GEOMETRY_TILTED),
    Defect("tilt and a missing slice", _tilt_and_gap, IssueCode.GEOMETRY_IRREGULAR),
    Defect("a slice twice under two UIDs", _added(), IssueCode.SERIES_AMBIGUOUS),
    Defect("all slices at one position",
           _shifted(lambda i, one: -i * SPACING_MM[0] * normal_of(one)),
           IssueCode.SERIES_AMBIGUOUS),
    Defect("one UID, two contents", _other_content, IssueCode.INSTANCE_CONFLICT),
    Defect("one UID, two contents in one of two echoes", _conflict_in_one_echo,
           IssueCode.INSTANCE_CONFLICT, (N,), "MR"),
    Defect("a slice turned in its plane", _turned_in_plane, IssueCode.GEOMETRY_MIXED),
    Defect("a slice turned around", _turned_around, IssueCode.GEOMETRY_MIXED),
    Defect("a slice turned by half a degree", _slightly_turned, IssueCode.GEOMETRY_MIXED),
    Defect("a slice of another size", _other_size, IssueCode.GEOMETRY_MIXED),
    Defect("a slice with its pixel spacings exchanged",
           _repainted(4, PixelSpacing=["0.75", "1.25"]), IssueCode.GEOMETRY_MIXED),
    Defect("one slice lacks its orientation", _set(4, ImageOrientationPatient=None),
           IssueCode.GEOMETRY_MISSING),
    Defect("no slice has a pixel spacing", _set(slice(None), PixelSpacing=None),
           IssueCode.GEOMETRY_MISSING),
    Defect("a pixel spacing of 0", _set(4, PixelSpacing=["0", "0.75"]),
           IssueCode.GEOMETRY_MISSING),
    Defect("a position of two numbers", _set(4, ImagePositionPatient=["1", "2"]),
           IssueCode.GEOMETRY_MISSING),
    Defect("a position beyond any scanner", _set(4, ImagePositionPatient=["1e9", "2", "3"]),
           IssueCode.GEOMETRY_MISSING),
    Defect("axes not at a right angle", _skewed, IssueCode.GEOMETRY_MISSING),
    Defect("axes longer than 1", _not_unit, IssueCode.GEOMETRY_MISSING),
    Defect("one slice lacks its frame of reference", _stray(FrameOfReferenceUID=None),
           IssueCode.IDENTITY_CONFLICT),
    Defect("one slice of another birth date", _stray(PatientBirthDate="19500101"),
           IssueCode.IDENTITY_CONFLICT),
    Defect("one slice lacks its Patient ID", _stray(PatientID=""), IssueCode.IDENTITY_CONFLICT),
    Defect("one slice of another study", _stray(StudyInstanceUID=_OTHER),
           IssueCode.IDENTITY_CONFLICT),
    Defect("one slice of another echo", _stray(EchoTime="80"), IssueCode.SERIES_MIXED, (), "MR"),
    Defect("two echoes in turn", _alternating(EchoTime="80"), IssueCode.SERIES_MIXED, (), "MR"),
    Defect("two kernels in turn", _alternating(ConvolutionKernel="B70f"), IssueCode.SERIES_MIXED),
    Defect("one slice of another kernel", _stray(ConvolutionKernel="B70f"),
           IssueCode.SERIES_MIXED),
    Defect("one phase image among magnitudes", _stray(ImageType=_PHASE), IssueCode.SERIES_MIXED,
           (), "MR"),
    Defect("one slice of another b-value", lambda s: (put(s, DiffusionBValue=0.0),
           put(s[-1], DiffusionBValue=1000.0)), IssueCode.SERIES_MIXED, (), "MR"),
    Defect("one slice of another time", lambda s: (put(s, TemporalPositionIdentifier=1),
           put(s[-1], TemporalPositionIdentifier=2)), IssueCode.SERIES_MIXED, (), "MR"),
    Defect("one slice of another inversion time", _stray(InversionTime="2500"),
           IssueCode.SERIES_MIXED, (N,), "MR"),
    Defect("one slice of another acquisition", _stray(AcquisitionNumber=2),
           IssueCode.SERIES_MIXED, (N,)),
    Defect("one slice of another tube voltage", _stray(KVP="80"), IssueCode.SERIES_MIXED, (N,)),
    Defect("one slice of another day", _stray(AcquisitionDate="20210309"),
           IssueCode.SERIES_MIXED, (N,)),
    Defect("a secondary capture inside", _added(SOPClassUID=_SECONDARY),
           IssueCode.SERIES_DERIVED, (N,)),
    Defect("a reformatted image inside", _added(ImageType=_MPR), IssueCode.SERIES_DERIVED, (N,)),
    Defect("a projection inside",
           _added(ImageType=["ORIGINAL", "PRIMARY", "PROJECTION IMAGE"]),
           IssueCode.SERIES_DERIVED, (N,)),
    Defect("an image in colour inside", _added(SamplesPerPixel=3), IssueCode.SERIES_UNSUPPORTED,
           (N,)),
    Defect("an image of another modality inside", _added(Modality="PT"),
           IssueCode.SERIES_UNSUPPORTED, (N,)),
    Defect("a slice cut short", lambda s: setattr(s[4], "PixelData", s[4].PixelData[:-40]),
           IssueCode.PIXELS_UNREADABLE),
    Defect("a slice without pixels", _set(4, PixelData=None), IssueCode.PIXELS_UNREADABLE),
    Defect("absurd rows and columns", _set(slice(None), Rows=60000, Columns=60000),
           IssueCode.PIXELS_UNREADABLE),
    Defect("CT without a rescale", _set(slice(None), RescaleSlope=None, RescaleIntercept=None),
           IssueCode.PIXELS_UNSCALED),
    Defect("one slice without its intercept", _set(4, RescaleIntercept=None),
           IssueCode.PIXELS_UNSCALED),
    Defect("CT in another unit", _set(slice(None), RescaleType="US"), IssueCode.PIXELS_UNSCALED),
    Defect("a rescale slope of 0", _set(4, RescaleSlope="0"), IssueCode.PIXELS_UNSCALED),
    Defect("an impossible high bit", _set(slice(None), HighBit=13), IssueCode.SERIES_UNREADABLE),
    Defect("two slices", _without(*range(2, N)), IssueCode.SERIES_TOO_SHORT),
    Defect("two echoes, same positions", _twice(EchoTime="80"), IssueCode.SERIES_SPLIT, (N, N),
           "MR"),
    Defect("magnitude and phase, same positions", _twice(ImageType=_PHASE),
           IssueCode.SERIES_SPLIT, (N, N), "MR"),
    Defect("two b-values, same positions", _twice(DiffusionBValue=1000.0),
           IssueCode.SERIES_SPLIT, (N, N), "MR"),
    Defect("two times, same positions", _twice(TemporalPositionIdentifier=2),
           IssueCode.SERIES_SPLIT, (N, N), "MR"),
    Defect("two kernels, same positions", _twice(ConvolutionKernel="B70f"),
           IssueCode.SERIES_SPLIT, (N, N)),
    Defect("two scans that overlap", _overlapping, IssueCode.SERIES_SPLIT, (N, N)),
    Defect("two planes in one series", _two_planes, IssueCode.GEOMETRY_MIXED, (N, N)),
    Defect("packages of an interleaved scan, one slice twice", _packages,
           IssueCode.SERIES_AMBIGUOUS),
    Defect("heart beats that nothing groups", _trigger_times, IssueCode.SERIES_AMBIGUOUS, (), "MR"),
    Defect("empty Series Instance UIDs", _set(slice(None), SeriesInstanceUID=""),
           IssueCode.UID_MISSING, (N,)),
    Defect("compressed with loss", _set(slice(None), LossyImageCompression="01"),
           IssueCode.PIXELS_LOSSY, (N,)),
)  # fmt: skip

"""Series without a fault, in forms that have misled readers: none may raise an issue."""

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from tests.series_factory.slices import Slices, paint, put

Form = Callable[[Slices], Slices]


def plain(slices: Slices) -> Slices:
    return slices


def lying_numbers(slices: Slices) -> Slices:
    """Everything that tempts a reader to order or space slices by it is wrong."""
    for index, one in enumerate(slices):
        put(
            one,
            InstanceNumber=(index * 5) % len(slices),
            SliceLocation=str(-index * 7),
            SliceThickness="9",
            SpacingBetweenSlices="-1",
            PatientPosition="FFDL",
            GantryDetectorTilt="20",
        )
    return slices


def rounded_positions(slices: Slices) -> Slices:
    """Three decimals, as many scanners write."""
    for one in slices:
        one.ImagePositionPatient = [f"{float(value):.3f}" for value in one.ImagePositionPatient]
        one.ImageOrientationPatient = [
            f"{float(value):.6f}" for value in one.ImageOrientationPatient
        ]
    return slices


def own_rescale(slices: Slices) -> Slices:
    for index, one in enumerate(slices):
        put(one, RescaleSlope=f"{(index + 1) / 64:.8g}", RescaleIntercept=str(-3 * index))
        paint(one)
    return slices


def varying_exposure(slices: Slices) -> Slices:
    """What differs from slice to slice in a sound scan."""
    for index, one in enumerate(slices):
        put(one, XRayTubeCurrent=100 + 10 * index, AcquisitionNumber=index + 1)
        put(one, TriggerTime=str(31 * index), AcquisitionTime=f"0905{index:02d}")
    return slices


def without_frame_of_reference(slices: Slices) -> Slices:
    put(slices, FrameOfReferenceUID=None)
    return slices


def enhanced(slices: Slices) -> Slices:
    """One Enhanced CT or MR file, its frames in another order."""
    whole = slices[0]
    order = np.random.default_rng(1).permutation(len(slices))
    put(whole, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{'2' if whole.Modality == 'CT' else '4'}.1")
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(whole, "PixelSpacing")]
    shared.PlaneOrientationSequence = [_item(whole, "ImageOrientationPatient")]
    shared.PixelValueTransformationSequence = [_item(whole, "RescaleSlope", "RescaleIntercept")]
    frames = []
    for index in order:
        groups = Dataset()
        groups.PlanePositionSequence = [_item(slices[index], "ImagePositionPatient")]
        frames.append(groups)
    whole.PixelData = b"".join(slices[index].PixelData for index in order)
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = frames
    whole.NumberOfFrames = len(slices)
    put(whole, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None)
    put(whole, RescaleSlope=None, RescaleIntercept=None)
    return [whole]


def legacy_converted(slices: Slices) -> Slices:
    """The same as a Legacy Converted Enhanced file, with the classic values of each frame."""
    numbers = [one.AcquisitionNumber for one in slices]
    (whole,) = enhanced(slices)
    put(whole, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{'2.2' if whole.Modality == 'CT' else '4.4'}")
    for groups, number in zip(whole.PerFrameFunctionalGroupsSequence, numbers, strict=True):
        item = Dataset()
        item.AcquisitionNumber = number
        groups.UnassignedPerFrameConvertedAttributesSequence = [item]
    return [whole]


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, getattr(source, keyword))
    return item


GOOD: tuple[Form, ...] = (
    plain,
    lying_numbers,
    rounded_positions,
    own_rescale,
    varying_exposure,
    without_frame_of_reference,
    enhanced,
    legacy_converted,
)

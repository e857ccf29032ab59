"""The frames of an image: one of a classic file, many of an enhanced one or a mosaic."""

from collections.abc import Iterable

from pydicom.dataset import Dataset

from pipeline.ingest.elements import (
    count_of,
    item_of,
    items_of,
    number_of,
    plane_numbers,
    text_of,
    words_of,
)
from pipeline.ingest.instance import Fault, Frame, Plane, Vector
from pipeline.ingest.kept import Header, kept, uid_of
from pipeline.ingest.mosaic import mosaic_planes
from pipeline.ingest.pixel_format import is_enhanced, is_lossy, kind_of
from pipeline.ingest.traits import (
    ENHANCED_GROUPS,
    TRAIT_KEYWORDS,
    TRAIT_TAGS,
    classic_traits,
    component_of,
    dimension_names,
    enhanced_traits,
)
from schemas.issue import IssueCode

_PLANE_KEYWORDS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_SLICE_KEYWORDS = (
    *("Modality", "ImageType", "Rows", "Columns", "LossyImageCompression"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
    *TRAIT_KEYWORDS,
)
FRAME_KEYWORDS = (
    *_PLANE_KEYWORDS,
    *_SLICE_KEYWORDS,
    *("FrameOfReferenceUID", "DimensionIndexSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_GROUPS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "MRImageFrameTypeSequence", "CTImageFrameTypeSequence"),
    *ENHANCED_GROUPS,
)
_UNSCALED = Fault(IssueCode.PIXELS_UNSCALED, "CT without a rescale to HU")
_HALF_SCALED = Fault(IssueCode.PIXELS_UNSCALED, "without a valid rescale slope and intercept")
_BY_TABLE = Fault(IssueCode.PIXELS_UNSCALED, "with a Modality LUT, which is not read")
_NOT_HU = Fault(IssueCode.PIXELS_UNSCALED, "CT in another unit than HU")
_ORTHONORMAL_TOLERANCE = 1e-3


def frames_of(
    header: Header, set_aside: Fault | None, faults: tuple[Fault, ...]
) -> tuple[Frame, ...]:
    """Describe every frame of an image; ``faults`` are those of the image as a whole."""
    if set_aside is not None:
        return (_plain(header, set_aside),)
    match _kind(header):
        case "enhanced":
            return _enhanced(header.dataset, faults)
        case "mosaic":
            return _mosaic(header, faults)
    return (_classic(header, faults),)


@kept("SOPClassUID", "PerFrameFunctionalGroupsSequence", "ImageType")
def _kind(dataset: Dataset) -> str:
    if is_enhanced(dataset):
        return "enhanced"
    return "mosaic" if "MOSAIC" in words_of(dataset, "ImageType") else "classic"


def plane_of(
    position: Dataset | None, orientation: Dataset | None, measures: Dataset | None
) -> Plane | None:
    """Return where a slice lies, None if that is missing or its axes are not at a right angle."""
    numbers = plane_numbers(position, orientation, measures)
    if numbers is None:
        return None
    origin, cosines, spacing = numbers
    a, b, c, x, y, z = cosines
    off = (a * a + b * b + c * c - 1, x * x + y * y + z * z - 1, a * x + b * y + c * z)
    if not all(abs(value) <= _ORTHONORMAL_TOLERANCE for value in off):
        return None
    return Plane(_vector(origin), (a, b, c), (x, y, z), (spacing[0], spacing[1]))


@kept("Rows", "Columns")
def _plain(dataset: Dataset, set_aside: Fault) -> Frame:
    return Frame(
        rows=count_of(dataset, "Rows"),
        columns=count_of(dataset, "Columns"),
        plane=None,
        rescale=None,
        set_aside=set_aside,
    )


def _classic(header: Header, faults: tuple[Fault, ...]) -> Frame:
    found = _slice(header)
    return Frame(  # `replace` takes three times as long
        rows=found.rows,
        columns=found.columns,
        frame_of_reference_uid=uid_of(header, "FrameOfReferenceUID"),
        plane=_classic_plane(header),
        rescale=found.rescale,
        component=found.component,
        traits=found.traits,
        set_aside=found.set_aside,
        faults=faults + found.faults,
    )


@kept(*_PLANE_KEYWORDS)
def _classic_plane(dataset: Dataset) -> Plane | None:
    return plane_of(dataset, dataset, dataset)


@kept(*_SLICE_KEYWORDS, tags=TRAIT_TAGS)
def _slice(dataset: Dataset) -> Frame:
    """Describe a classic image but for its place and the faults of its pixels.

    Its frame of reference, of which every series has its own, is part of its place.
    """
    image_type = words_of(dataset, "ImageType")
    rescale = _rescale(dataset)
    return Frame(
        rows=count_of(dataset, "Rows"),
        columns=count_of(dataset, "Columns"),
        plane=None,
        rescale=rescale,
        component=component_of(text_of(dataset, "ComplexImageComponent"), image_type),
        traits=classic_traits(dataset),
        set_aside=kind_of(image_type, is_lossy=is_lossy(dataset)),
        faults=_scale_faults(dataset, dataset, rescale),
    )


def _mosaic(header: Header, faults: tuple[Fault, ...]) -> tuple[Frame, ...]:
    whole = _classic(header, faults)
    tiles = None if whole.plane is None else mosaic_planes(header.dataset, whole.plane)
    if tiles is None:
        phrase = "a Siemens mosaic whose slice positions cannot be proved"
        return (_plain(header, Fault(IssueCode.SERIES_UNREADABLE, phrase)),)
    return tuple(
        Frame(
            number=number,
            rows=tile.rows,
            columns=tile.columns,
            frame_of_reference_uid=whole.frame_of_reference_uid,
            plane=tile.plane,
            rescale=whole.rescale,
            component=whole.component,
            traits=whole.traits,
            set_aside=whole.set_aside,
            faults=whole.faults,
            tile_origin=tile.origin,
        )
        for number, tile in enumerate(tiles, start=1)
    )


def _enhanced(dataset: Dataset, faults: tuple[Fault, ...]) -> tuple[Frame, ...]:
    shared = item_of(dataset, "SharedFunctionalGroupsSequence")
    per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    n_frames = count_of(dataset, "NumberOfFrames") or 1
    if len(per_frame) != n_frames:
        phrase = f"with {n_frames} frames but functional groups of {len(per_frame)}"
        fault = Fault(IssueCode.SERIES_UNREADABLE, phrase)
        return (_plain(Header.of(dataset), fault),)
    rest = {key: item_of(shared, key) for key in _GROUPS}
    dimensions = dimension_names(dataset)
    frames = []
    for number, own in enumerate(per_frame, start=1):
        groups = {key: item_of(own, key) or rest[key] for key in _GROUPS}
        frames.append(_enhanced_frame(dataset, groups, number, faults, dimensions))
    return tuple(frames)


def _enhanced_frame(
    dataset: Dataset,
    groups: dict[str, Dataset | None],
    number: int,
    faults: tuple[Fault, ...],
    dimensions: tuple[str, ...],
) -> Frame:
    kind = groups["MRImageFrameTypeSequence"] or groups["CTImageFrameTypeSequence"] or Dataset()
    frame_type = words_of(kind, "FrameType") or words_of(dataset, "ImageType")
    transformation = groups["PixelValueTransformationSequence"] or Dataset()
    rescale = _rescale(transformation)
    return Frame(
        number=number,
        rows=count_of(dataset, "Rows"),
        columns=count_of(dataset, "Columns"),
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID"),
        plane=plane_of(
            groups["PlanePositionSequence"],
            groups["PlaneOrientationSequence"],
            groups["PixelMeasuresSequence"],
        ),
        rescale=rescale,
        component=component_of(text_of(kind, "ComplexImageComponent"), frame_type),
        traits=enhanced_traits(groups, frame_type, dimensions),
        set_aside=kind_of(frame_type, is_lossy=is_lossy(dataset)),
        faults=faults + _scale_faults(dataset, transformation, rescale),
    )


def _rescale(item: Dataset) -> tuple[float, float] | None:
    slope, intercept = number_of(item, "RescaleSlope"), number_of(item, "RescaleIntercept")
    return None if slope is None or intercept is None or slope == 0 else (slope, intercept)


def _scale_faults(
    dataset: Dataset, item: Dataset, rescale: tuple[float, float] | None
) -> tuple[Fault, ...]:
    if items_of(dataset, "ModalityLUTSequence"):
        return (_BY_TABLE,)
    if rescale is None and ("RescaleSlope" in item or "RescaleIntercept" in item):
        return (_HALF_SCALED,)
    if text_of(dataset, "Modality").upper() != "CT":
        return ()
    if rescale is None:
        return (_UNSCALED,)
    return () if text_of(item, "RescaleType").upper() in ("", "HU") else (_NOT_HU,)


def _vector(values: Iterable[float]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z

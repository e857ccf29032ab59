"""Whether an image is one that ingest reads, told from its header before a pixel is decoded."""

from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID

from pipeline.ingest.codecs import is_decodable
from pipeline.ingest.elements import count_of, number_of, text_of, words_of
from pipeline.ingest.header_walk import UNDEFINED
from pipeline.ingest.instance import Fault
from pipeline.ingest.kept import Header, kept
from pipeline.ingest.pixel_data import PixelData
from schemas.issue import IssueCode

MAX_VOXELS = 2**29
"""Larger volumes (2 GiB as float32) are refused before anything is decoded."""

PIXEL_KEYWORDS = (
    *("SOPClassUID", "Modality", "ImageType", "PerFrameFunctionalGroupsSequence"),
    *("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
)
_CLASSIC = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"}
_ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR",
}
_COLOUR = {"PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
# JPEG 2000 Part 1, HTJ2K and JPEG-LS near-lossless may hold either; Lossy Image Compression tells.
_LOSSY = {
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"),
    *("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"),
}


_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MPR", "MPR_VRT", "VOLUME_RENDERING"}
_ITEM = b"\xfe\xff\x00\xe0"
_END_OF_ITEMS = b"\xfe\xff\xdd\xe0"


def ends_early(stream: BinaryIO, offset: int, n_bytes: int) -> bool:
    """Say whether encapsulated pixel data (PS3.5 A.4) lacks its end.

    Parameters
    ----------
    stream
        The file, or its first bytes: what lies beyond them is taken on trust.
    offset
        Where the first item begins.
    n_bytes
        Size of the whole file.
    """
    while True:
        stream.seek(offset)
        item = stream.read(8)
        if len(item) < 8:
            return offset + 8 > n_bytes
        if item[:4] != _ITEM:
            return item[:4] != _END_OF_ITEMS
        offset += 8 + int.from_bytes(item[4:], "little")


def image_faults(
    header: Header, pixels: PixelData, n_bytes: int
) -> tuple[Fault | None, tuple[Fault, ...]]:
    """Say why an image is no slice of a volume, and what else is wrong with it."""
    claim = _claim(header, pixels.syntax)
    if claim.set_aside is not None:
        return claim.set_aside, ()
    is_in_fragments = pixels.is_present and pixels.length == UNDEFINED
    how_stored = _decodable(pixels.syntax, pixels.is_present, pixels.is_integer, is_in_fragments)
    found = (how_stored, *claim.faults, _complete(pixels, n_bytes, claim.n_bytes))
    return None, tuple(fault for fault in found if fault is not None)


def kind_of(image_type: tuple[str, ...], *, is_lossy: bool) -> Fault | None:
    """Say by Image Type (0008,0008) or Frame Type (0008,9007) why a frame is no primary slice.

    An image compressed with loss must call itself DERIVED (PS3.3 C.7.6.1.1.5) and stays a slice.
    """
    if {"LOCALIZER", "SCOUT"} & set(image_type):
        return Fault(IssueCode.SERIES_LOCALIZER, "a localizer")
    if image_type[:1] == ("DERIVED",) and not (is_lossy and image_type[1:2] == ("PRIMARY",)):
        return Fault(IssueCode.SERIES_DERIVED, "derived, not the scanner's primary image")
    if _PROJECTIONS & set(image_type[2:]):
        return Fault(IssueCode.SERIES_DERIVED, "a projection or a reformatted image")
    return None


def is_lossy(dataset: Dataset) -> bool:
    """Say whether Lossy Image Compression (0028,2110) is 01."""
    return text_of(dataset, "LossyImageCompression") == "01"


def is_enhanced(dataset: Dataset) -> bool:
    """Say whether an image carries its geometry in functional groups."""
    return text_of(dataset, "SOPClassUID") in _ENHANCED or (
        "PerFrameFunctionalGroupsSequence" in dataset
    )


def class_name(sop_class: str) -> str:
    """Return the standard's name of a SOP class, empty if the standard has none.

    What a file holds in the place of a UID is never shown.
    """
    name = UID(sop_class).name
    return name if name != sop_class else ""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a header says of its pixels."""

    set_aside: Fault | None
    faults: tuple[Fault | None, ...]
    n_bytes: int
    """Of all values, not compressed."""


@kept(*PIXEL_KEYWORDS)
def _claim(dataset: Dataset, syntax: UID) -> _Claim:
    faults = (_sizes(dataset), _lossy(dataset, syntax), _inverted(dataset))
    n_bytes = n_voxels(dataset) * count_of(dataset, "BitsAllocated") // 8
    return _Claim(_foreign(dataset), faults, n_bytes)


def _foreign(dataset: Dataset) -> Fault | None:
    modality = text_of(dataset, "Modality").upper()
    sop_class = text_of(dataset, "SOPClassUID")
    name = class_name(sop_class)
    if "Secondary Capture" in name:
        return Fault(IssueCode.SERIES_DERIVED, "a secondary capture")
    is_read = sop_class in _CLASSIC or sop_class in _ENHANCED
    if modality not in ("CT", "MR"):
        shown = modality if modality.isalpha() and len(modality) <= 8 else "unknown"
        is_lost = is_read and not modality
        return Fault(_kind(is_fault=is_lost), f"of modality {shown}; CT and MR are read")
    if sop_class and not is_read:
        return Fault(_kind(is_fault=not name), f"of a class not read: {name or 'unknown'}")
    if (count_of(dataset, "SamplesPerPixel") or 1) != 1:
        return Fault(IssueCode.SERIES_UNSUPPORTED, "in colour")
    return _several_frames(dataset)


def _kind(*, is_fault: bool) -> IssueCode:
    """Tell what may well be CT or MR from another kind of image."""
    return IssueCode.SERIES_UNREADABLE if is_fault else IssueCode.SERIES_UNSUPPORTED


def _several_frames(dataset: Dataset) -> Fault | None:
    if count_of(dataset, "NumberOfFrames") <= 1 or is_enhanced(dataset):
        return None
    kind = kind_of(words_of(dataset, "ImageType"), is_lossy=is_lossy(dataset))
    phrase = "of several frames without functional groups"
    return kind or Fault(IssueCode.SERIES_UNREADABLE, phrase)


@lru_cache
def _decodable(
    syntax: UID, is_present: bool, is_integer: bool, is_in_fragments: bool
) -> Fault | None:
    if not is_decodable(syntax):
        return Fault(IssueCode.SERIES_UNREADABLE, "in a transfer syntax that is not read")
    if is_present and not is_integer:
        return Fault(IssueCode.SERIES_UNREADABLE, "of floating point values")
    if is_present and syntax.is_encapsulated != is_in_fragments:
        phrase = "whose pixel data is not stored as its transfer syntax says"
        return Fault(IssueCode.PIXELS_UNREADABLE, phrase)
    return None


def _sizes(dataset: Dataset) -> Fault | None:
    photometric = text_of(dataset, "PhotometricInterpretation")
    allocated, stored = count_of(dataset, "BitsAllocated"), count_of(dataset, "BitsStored")
    high = number_of(dataset, "HighBit")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Fault(_kind(is_fault=photometric not in _COLOUR), "not in grey values")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        return Fault(IssueCode.PIXELS_UNREADABLE, "without a valid number of bits")
    if high is not None and high != stored - 1:
        return Fault(IssueCode.SERIES_UNREADABLE, "with High Bit other than Bits Stored - 1")
    if not n_voxels(dataset):
        return Fault(IssueCode.PIXELS_UNREADABLE, "without rows or columns")
    if n_voxels(dataset) > MAX_VOXELS:
        return Fault(IssueCode.PIXELS_UNREADABLE, f"larger than {MAX_VOXELS} voxels by the header")
    return None


def n_voxels(dataset: Dataset) -> int:
    """Voxels that the header claims."""
    n_frames = count_of(dataset, "NumberOfFrames") or 1
    return count_of(dataset, "Rows") * count_of(dataset, "Columns") * n_frames


def _complete(pixels: PixelData, n_bytes: int, n_claimed: int) -> Fault | None:
    if not pixels.is_present:
        return Fault(IssueCode.PIXELS_UNREADABLE, "without pixel data; the file may be cut short")
    if pixels.is_cut:
        return Fault(IssueCode.PIXELS_UNREADABLE, "with pixel data that is cut short")
    if pixels.offset is None or pixels.length == UNDEFINED:
        return None
    n_there = pixels.length if pixels.is_deflated else n_bytes - pixels.offset
    if min(n_there, pixels.length) < n_claimed:
        return Fault(IssueCode.PIXELS_UNREADABLE, "with less pixel data than the header says")
    return None


def _lossy(dataset: Dataset, syntax: UID) -> Fault | None:
    flag = text_of(dataset, "LossyImageCompression")
    if flag == "01" or (syntax in _LOSSY and flag != "00"):
        return Fault(IssueCode.PIXELS_LOSSY, "compressed with loss", is_error=False)
    return None


def _inverted(dataset: Dataset) -> Fault | None:
    is_mr = words_of(dataset, "Modality") == ("MR",)
    if is_mr and text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        phrase = "MONOCHROME1 (shown with black and white exchanged); values are kept as stored"
        return Fault(IssueCode.PIXELS_INVERTED, phrase, is_error=False)
    return None

"""One file's bytes become an Instance, or the reason for which it is none."""

import io
import re
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RawDataStorage

from pipeline.ingest.about import ABOUT_KEYWORDS, about_of
from pipeline.ingest.elements import acquired_at, text_of
from pipeline.ingest.frames import ENHANCED_KEYWORDS, frames_of
from pipeline.ingest.instance import Instance, Unread
from pipeline.ingest.mosaic import MOSAIC_TAGS
from pipeline.ingest.pixel_format import (
    PIXEL_KEYWORDS,
    PixelData,
    class_name,
    ends_early,
    image_faults,
)
from pipeline.ingest.quiet import quiet
from pipeline.ingest.traits import TRAIT_KEYWORDS, TRAIT_TAGS
from pipeline.ingest.uids import derived_uid, usable_uid
from schemas.issue import Issue, IssueCode, Severity

_IDENTITY_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "PatientID", "PatientBirthDate", "Modality"),
    *("SeriesDescription", "SeriesNumber", "StudyID", "AccessionNumber"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"),
    *("SeriesDate", "SeriesTime", "StudyDate", "StudyTime"),
)
_PLANE_KEYWORDS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_KEYWORDS = (
    *_IDENTITY_KEYWORDS,
    *_PLANE_KEYWORDS,
    *PIXEL_KEYWORDS,
    *TRAIT_KEYWORDS,
    *ABOUT_KEYWORDS,
    *ENHANCED_KEYWORDS,
)
_TAGS = [*(int(Tag(keyword)) for keyword in _KEYWORDS), *TRAIT_TAGS, *MOSAIC_TAGS]
_PIXEL_TAGS = {tag_for_keyword(f"{kind}PixelData") for kind in ("", "Float", "DoubleFloat")}
_PREAMBLE_BYTES = 128
_EXPLICIT_VR = re.compile(rb"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class FileBytes:
    """The beginning of a file, and what is known of the rest."""

    file: str
    head: bytes
    n_bytes: int
    sha256: str


def looks_like_dicom(head: bytes) -> bool:
    """Say whether a file may be DICOM: by its prefix, or, without one, by its first element."""
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return True
    if len(head) < 16 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    is_explicit = _EXPLICIT_VR.fullmatch(head[4:6]) is not None
    return is_explicit or int.from_bytes(head[4:8], "little") <= 1024


def read_header(source: FileBytes) -> Instance | Unread:
    """Parse a header, or say why the file is no image. Never raises on what a file holds."""
    if not looks_like_dicom(source.head):
        return _unread(source, IssueCode.FILE_NOT_DICOM, Severity.INFO, "not a DICOM file")
    try:
        with quiet():
            return _read(source)
    except Exception as error:  # an untrusted file may fail in any way
        why = f"the header cannot be read ({type(error).__name__})"
        return _unread(source, IssueCode.FILE_UNREADABLE, Severity.WARNING, why)


def parse_dataset(head: bytes, n_bytes: int) -> tuple[Dataset, PixelData]:
    """Read the elements that ingest needs, and where the pixel data lies.

    Raises
    ------
    Exception
        Of many kinds, if the bytes are no DICOM header.
    """
    stream = io.BytesIO(head)
    dataset = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_TAGS)
    return dataset, _pixel_data(dataset, stream, n_bytes)


def instance_of(
    dataset: Dataset, pixels: PixelData, *, file: str, sha256: str, n_bytes: int
) -> Instance:
    """Keep what matters of a parsed header. Call it, like ``parse_dataset``, under ``quiet``."""
    set_aside, faults = image_faults(dataset, pixels, n_bytes)
    meta_uid = text_of(dataset.file_meta, "MediaStorageSOPInstanceUID")
    raw = {
        "StudyInstanceUID": text_of(dataset, "StudyInstanceUID"),
        "SeriesInstanceUID": text_of(dataset, "SeriesInstanceUID"),
        "SOPInstanceUID": text_of(dataset, "SOPInstanceUID") or meta_uid,
    }
    uids = {keyword: usable_uid(uid) for keyword, uid in raw.items()}
    return Instance(
        file=file,
        sha256=sha256,
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        sop_uid=uids["SOPInstanceUID"] or derived_uid("instance", sha256),
        replaced_uids=tuple(key for key, uid in raw.items() if not uid or uid != uids[key]),
        patient_id=text_of(dataset, "PatientID"),
        birth_date=text_of(dataset, "PatientBirthDate"),
        study_hint=_texts(dataset, "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
        series_hint=_texts(dataset, "SeriesNumber", "SeriesDescription", "SeriesTime"),
        modality=_modality(dataset),
        description=text_of(dataset, "SeriesDescription")[:128],
        about=about_of(dataset),
        acquired_at=acquired_at(dataset),
        frames=frames_of(dataset, set_aside, faults),
    )


def _read(source: FileBytes) -> Instance | Unread:
    dataset, pixels = parse_dataset(source.head, source.n_bytes)
    if not is_image(dataset, pixels):
        sop_class = text_of(dataset, "SOPClassUID") or _meta_class(dataset)
        if not sop_class:
            return _nameless(source)
        name = class_name(sop_class)
        severity = Severity.INFO if name else Severity.WARNING
        why = f"no image: {name or 'a DICOM object of unknown class'}"
        unread = _unread(source, IssueCode.FILE_NOT_IMAGE, severity, why)
        study = usable_uid(text_of(dataset, "StudyInstanceUID"))
        return Unread(file=unread.file, issue=unread.issue, sha256=source.sha256, study_uid=study)
    return instance_of(
        dataset, pixels, file=source.file, sha256=source.sha256, n_bytes=source.n_bytes
    )


def _nameless(source: FileBytes) -> Unread:
    if source.head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        why = "the header does not say what the file holds; it may be cut short"
        return _unread(source, IssueCode.FILE_UNREADABLE, Severity.WARNING, why)
    return _unread(source, IssueCode.FILE_NOT_DICOM, Severity.INFO, "not a DICOM file")


def is_image(dataset: Dataset, pixels: PixelData) -> bool:
    """Say whether an object is, or by its class should be, an image."""
    sop_class = UID(text_of(dataset, "SOPClassUID") or _meta_class(dataset))
    if sop_class == RawDataStorage:
        return False
    should_be = class_name(sop_class).endswith("Image Storage")
    return pixels.is_present or should_be or (not sop_class and "Rows" in dataset)


def syntax_of(dataset: Dataset) -> UID:
    """Return the transfer syntax, or, of a file that does not say, the one it was read as."""
    syntax = UID(text_of(dataset.file_meta, "TransferSyntaxUID"))
    if syntax:
        return syntax
    is_little = dataset.original_encoding[1] is not False
    return ImplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _pixel_data(dataset: Dataset, stream: io.BytesIO, n_bytes: int) -> PixelData:
    syntax = syntax_of(dataset)
    if syntax.is_transfer_syntax and syntax.is_deflated:
        return PixelData(syntax, is_present=True, offset=None)
    start = stream.tell()
    order: Literal["little", "big"] = "big" if dataset.original_encoding[1] is False else "little"
    head = stream.read(12)
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
    has_long_vr = _EXPLICIT_VR.fullmatch(head[4:6]) is not None
    offset = start + (12 if has_long_vr else 8)
    is_encapsulated = head[8:12] == b"\xff\xff\xff\xff"
    return PixelData(
        syntax,
        is_present=tag in _PIXEL_TAGS,
        offset=offset,
        is_cut=is_encapsulated and ends_early(stream.getvalue(), offset, n_bytes),
    )


def _modality(dataset: Dataset) -> Literal["CT", "MR", "OTHER"]:
    match text_of(dataset, "Modality").upper():
        case "CT":
            return "CT"
        case "MR":
            return "MR"
    return "OTHER"


def _meta_class(dataset: Dataset) -> str:
    return text_of(dataset.file_meta, "MediaStorageSOPClassUID")


def _texts(dataset: Dataset, *keywords: str) -> tuple[str, ...]:
    return tuple(text_of(dataset, keyword) for keyword in keywords)


def _unread(source: FileBytes, code: IssueCode, severity: Severity, message: str) -> Unread:
    issue = Issue(code=code, severity=severity, message=message)
    return Unread(file=source.file, issue=issue)

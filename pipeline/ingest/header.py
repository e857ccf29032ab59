"""One file's bytes become an Instance, or the reason for which it is none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from pydicom.dataset import Dataset

from pipeline.ingest.about import ABOUT_KEYWORDS, about_of
from pipeline.ingest.dicomdir import DIRECTORY_KEYWORD, referenced_files
from pipeline.ingest.elements import MOMENT_KEYWORDS, acquired_at, tag_of, text_of
from pipeline.ingest.frames import FRAME_KEYWORDS, frames_of
from pipeline.ingest.header_walk import EXPLICIT_VR, PREAMBLE_BYTES
from pipeline.ingest.instance import Instance, Unread
from pipeline.ingest.kept import Header, kept, uid_of
from pipeline.ingest.mosaic import MOSAIC_TAGS
from pipeline.ingest.parse import parse_header
from pipeline.ingest.pixel_data import PixelData
from pipeline.ingest.pixel_format import PIXEL_KEYWORDS, class_name, image_faults
from pipeline.ingest.traits import TRAIT_TAGS
from pipeline.ingest.uids import derived_uid, usable_uid
from schemas.issue import Issue, IssueCode, Severity

_SHARED_KEYWORDS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID"),
    *("Manufacturer", "ManufacturerModelName"),
    *("SeriesDescription", "SeriesNumber", "SeriesTime"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
)
_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID"),
    *_SHARED_KEYWORDS,
    *MOMENT_KEYWORDS,
    *PIXEL_KEYWORDS,
    *FRAME_KEYWORDS,
    *ABOUT_KEYWORDS,
    *("SpecificCharacterSet", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    DIRECTORY_KEYWORD,
)
_SEXES = ("M", "F", "O")
_WANTED: Final = frozenset({*map(int, map(tag_of, _KEYWORDS)), *TRAIT_TAGS, *MOSAIC_TAGS})
# Objects that have, or may have, Pixel Data or an image's name all the same.
_NEVER_IMAGES = ("Raw Data", "Segmentation", "Parametric Map", "Presentation State", "RT Dose")
# By words of the standard's name of the SOP class, the first that fits.
_KINDS = {
    "Radiation Dose SR": "a dose sheet",
    " SR": "a report",
    "Report": "a report",
    "Encapsulated PDF": "an encapsulated PDF",
    "Encapsulated": "an encapsulated document",
    "Key Object": "a list of key images",
    "Raw Data": "raw data",
    "Presentation State": "a presentation state",
    "Segmentation": "a segmentation",
    "Parametric Map": "a parametric map",
    "Registration": "a registration",
    "Fiducials": "fiducials",
    "Real World Value": "a mapping of values",
    "Spectroscopy": "spectroscopy",
    "Waveform": "a waveform",
    "ECG": "a waveform",
    "RT ": "a radiotherapy object",
    "Media Storage Directory": "a directory (DICOMDIR)",
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file beside its header."""

    file: str
    n_bytes: int
    sha256: str
    """Of the whole file; may be empty where the header has a SOP Instance UID."""
    has_prefix: bool = True
    """Whether it says that it is DICOM."""


def has_prefix(head: bytes) -> bool:
    """Say whether a file says that it is DICOM."""
    return head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM"


def looks_like_dicom(head: bytes) -> bool:
    """Say whether a file may be DICOM: by its prefix, or, without one, by its first element."""
    if has_prefix(head):
        return True
    if len(head) < 16 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    is_explicit = EXPLICIT_VR.fullmatch(head[4:6]) is not None
    return is_explicit or int.from_bytes(head[4:8], "little") <= 1024


def read_elements(head: bytes) -> tuple[Header, PixelData]:
    """Read the elements that ingest needs, and where the pixel data lies, under ``quiet``.

    Raises
    ------
    Exception
        Of many kinds, if the bytes are no DICOM header.
    """
    return parse_header(head, _WANTED)


def describe(header: Header, pixels: PixelData, facts: FileFacts) -> Instance | Unread:
    """Keep what matters of a parsed header, or say why the file is no image, under ``quiet``."""
    if _is_image(header, has_pixels=pixels.is_present):
        return instance_of(header, pixels, facts)
    sop_class = _class_of(header.dataset)
    if not sop_class and not facts.has_prefix:
        return unread(facts.file, IssueCode.FILE_NOT_DICOM, Severity.INFO, "not a DICOM file")
    if not sop_class:
        why = "the header does not say what the file holds; it may be cut short"
        return unread(facts.file, IssueCode.FILE_UNREADABLE, Severity.WARNING, why)
    what = kind_of_object(sop_class)
    severity = Severity.INFO if what else Severity.WARNING
    why = f"no image: {what or 'a DICOM object of unknown class'}"
    issue = Issue(code=IssueCode.FILE_NOT_IMAGE, severity=severity, message=why)
    study = usable_uid(text_of(header.dataset, "StudyInstanceUID"))
    return Unread(
        file=facts.file,
        issue=issue,
        sha256=facts.sha256,
        study_uid=study,
        references=referenced_files(header.dataset),
    )


def sop_uid_of(header: Header) -> str:
    """Return the SOP Instance UID as the header has it, empty if it has none."""
    return uid_of(header, "SOPInstanceUID") or uid_of(header, "MediaStorageSOPInstanceUID")


def instance_of(header: Header, pixels: PixelData, facts: FileFacts) -> Instance:
    """Keep what matters of the parsed header of an image, under ``quiet``."""
    set_aside, faults = image_faults(header, pixels, facts.n_bytes)
    raw_uid, moment = sop_uid_of(header), _moment(header)
    uid = usable_uid(raw_uid)
    replaced, begun = _shared(header)
    replaced += () if uid and uid == raw_uid else ("SOPInstanceUID",)
    return begun(
        file=facts.file,
        sha256=facts.sha256,
        sop_uid=uid or derived_uid("instance", facts.sha256),
        replaced_uids=replaced,
        acquired_at=None if moment is None else moment.at,
        is_day_only=moment is not None and moment.is_day_only,
        utc_offset_minutes=None if moment is None else moment.utc_offset_minutes,
        about=about_of(header),
        frames=frames_of(header, set_aside, faults),
    )


_moment = kept(*MOMENT_KEYWORDS)(acquired_at)


@kept(*_SHARED_KEYWORDS)
def _shared(dataset: Dataset) -> tuple[tuple[str, ...], Callable[..., Instance]]:
    """Begin to describe the files of a series by what they have in common.

    Returns
    -------
    replaced, begun
        Keywords of UIDs that were replaced, and what makes an instance of all else.
    """
    sex = text_of(dataset, "PatientSex").upper()
    raw = {key: text_of(dataset, key) for key in ("StudyInstanceUID", "SeriesInstanceUID")}
    uids = {keyword: usable_uid(uid) for keyword, uid in raw.items()}
    replaced = tuple(key for key, uid in raw.items() if not uid or uid != uids[key])
    return replaced, partial(
        Instance,
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        patient_id=text_of(dataset, "PatientID"),
        birth_date=text_of(dataset, "PatientBirthDate"),
        sex=sex if sex in _SEXES else "",
        issuer=text_of(dataset, "IssuerOfPatientID"),
        study_hint=_texts(dataset, "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
        series_hint=_texts(dataset, "SeriesNumber", "SeriesDescription", "SeriesTime"),
        modality=_modality(dataset),
        description=text_of(dataset, "SeriesDescription")[:128],
        scanner=_scanner(dataset),
    )


@kept("SOPClassUID", "MediaStorageSOPClassUID", "Rows")
def _is_image(dataset: Dataset, *, has_pixels: bool) -> bool:
    """Say whether an object is, or by its class should be, an image."""
    sop_class = _class_of(dataset)
    name = class_name(sop_class)
    if any(word in name for word in _NEVER_IMAGES):
        return False
    should_be = name.endswith("Image Storage")
    return has_pixels or should_be or (not sop_class and "Rows" in dataset)


def kind_of_object(sop_class: str) -> str:
    """Say in plain words, with the standard's name, what an object is; empty if unknown."""
    name = class_name(sop_class)
    kind = next((kind for word, kind in _KINDS.items() if word in name), "")
    return f"{kind}, {name}" if kind else name


def _modality(dataset: Dataset) -> Literal["CT", "MR", "OTHER"]:
    match text_of(dataset, "Modality").upper():
        case "CT":
            return "CT"
        case "MR":
            return "MR"
    return "OTHER"


def _class_of(dataset: Dataset) -> str:
    own = text_of(dataset, "SOPClassUID")
    return own or text_of(dataset.file_meta, "MediaStorageSOPClassUID")


def _texts(dataset: Dataset, *keywords: str) -> tuple[str, ...]:
    return tuple(text_of(dataset, keyword) for keyword in keywords)


def _scanner(dataset: Dataset) -> str:
    parts = (text_of(dataset, "Manufacturer"), text_of(dataset, "ManufacturerModelName"))
    return " ".join(part for part in parts if part)[:64]


def unread(file: str, code: IssueCode, severity: Severity, message: str) -> Unread:
    """Say why a file is no image."""
    return Unread(file=file, issue=Issue(code=code, severity=severity, message=message))

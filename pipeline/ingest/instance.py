"""What ingest keeps of one file's header: an Instance and its Frames."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pipeline.ingest.about import About
from schemas.issue import Issue, IssueCode

Vector = tuple[float, float, float]
Component = Literal["", "magnitude", "phase", "real", "imaginary"]


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one slice lies, as its own header says.

    Parameters
    ----------
    position : mm, LPS
        Image Position (Patient) (0020,0032): the centre of the first voxel.
    along_row, along_column : unit length, LPS
        The two halves of Image Orientation (Patient) (0020,0037): the directions in which the
        column index and the row index grow.
    spacing_mm
        Pixel Spacing (0028,0030): between rows, between columns.
    """

    position: Vector
    along_row: Vector
    along_column: Vector
    spacing_mm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame cannot be used, or only with less trust."""

    code: IssueCode
    phrase: str
    """Completes the sentence "n of m images: ..."; never names a patient."""
    is_error: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One slice as its header describes it."""

    number: int = 1
    """Frame number inside the instance, from 1; of a mosaic, the tile's."""
    rows: int
    columns: int
    frame_of_reference_uid: str = ""
    plane: Plane | None
    """None if position, orientation or pixel spacing is missing or invalid."""
    rescale: tuple[float, float] | None
    """Slope and intercept; None if absent."""
    component: Component = ""
    """Which part of a complex MR image."""
    traits: tuple[tuple[str, str], ...] = ()
    """What may tell images at one position apart: (name, value), most telling first."""
    set_aside: Fault | None = None
    """Why it is no slice of a volume: a localizer, derived, in colour."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with it as a slice."""
    tile_origin: tuple[int, int] | None = None
    """Row and column of its first voxel inside a mosaic; None if the whole image is the slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One DICOM file that holds an image."""

    file: str = field(repr=False)
    sha256: str
    study_uid: str
    series_uid: str
    sop_uid: str
    replaced_uids: tuple[str, ...] = ()
    """Keywords of the UIDs that were empty or malformed."""
    patient_id: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(default="", repr=False)
    """Patient's Sex (0010,0040): M, F or O; empty if unknown or malformed."""
    issuer: str = field(default="", repr=False)
    """Issuer of Patient ID (0010,0021): two hospitals may give the same ID to two patients."""
    study_hint: tuple[str, ...] = field(default=(), repr=False)
    """Groups files into studies where the Study Instance UID is empty."""
    series_hint: tuple[str, ...] = field(default=(), repr=False)
    """Groups files into series where the Series Instance UID is empty."""
    modality: Literal["CT", "MR", "OTHER"]
    description: str = field(default="", repr=False)
    scanner: str = ""
    """Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090)."""
    about: About = field(default_factory=About)
    """What its words help to choose it by."""
    acquired_at: datetime | None = None
    is_day_only: bool = False
    """Whether only the day of the acquisition is known."""
    utc_offset_minutes: int | None = None
    """What ``acquired_at`` is ahead of UTC; None if unknown."""
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame and the instance that holds it."""

    instance: Instance
    frame: Frame


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that is no image, and why."""

    file: str = field(repr=False)
    issue: Issue
    sha256: str = ""
    study_uid: str = ""
    references: tuple[str, ...] = field(default=(), repr=False)
    """Files that a DICOMDIR lists, as paths below its own folder."""

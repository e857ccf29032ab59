"""What ingest found in a heap of files: studies, their series, and what was left aside."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.issue import Issue, has_errors


class FrameSource(FrozenModel):
    """Where one slice of a volume came from."""

    file: str = Field(repr=False)
    """Path below the ingested folder, with forward slashes; in an archive `archive!/member`."""
    sop_instance_uid: str
    """SOP Instance UID (0008,0018)."""
    frame: int = Field(default=1, ge=1)
    """Frame number inside the instance, from 1."""


Affine = tuple[tuple[float, float, float, float], ...]


class Resampling(FrozenModel):
    """How slices lie that form no right or no regular grid, and the grid they are brought to.

    Slice ``i`` of the frames lies at ``places[i]`` of a stack whose axes may be sheared: its
    ``affine_lps`` takes (place, row, column) to mm.
    """

    affine_lps: Affine
    """4x4, of the stack as it was scanned, mm, LPS."""
    places: tuple[float, ...]
    """Of each frame, in steps of the stack, growing; the first is 0."""
    source_shape: tuple[int, int, int]
    """Frames, rows, columns as scanned."""
    target_affine_lps: Affine
    """4x4, of the volume to make: right-angled, its slices in the planes of the scanned ones."""
    target_shape: tuple[int, int, int]
    """Slices, rows, columns of the volume to make."""
    tilt_deg: float = Field(ge=0)
    """Angle between the way along the slices and their normal; 0 where it is too small to count."""
    largest_gap_mm: float = Field(gt=0)
    """Between neighbouring slices, along the normal."""


class Series(FrozenModel):
    """The frames of one DICOM series, or of one part of it, in spatial order."""

    series_uid: str
    """Series Instance UID (0020,000E), or a stable UID derived from the content."""
    source_uid: str = ""
    """Series Instance UID in the files, if the series was split and `series_uid` is a part's."""
    part: str = Field(default="", repr=False)
    """What tells this part of a split series apart: `echo time 4.6`, say."""
    traits: tuple[tuple[str, str], ...] = Field(default=(), repr=False)
    """The same as (name, value) for each header value that tells parts apart."""
    component: Literal["", "magnitude", "phase", "real", "imaginary"] = ""
    """Which part of a complex MR image; empty if unknown or not complex."""
    study_uid: str
    """Study Instance UID (0020,000D), or a stable UID derived from the content."""
    patient_sha256: str = Field(default="", repr=False)
    """Hash of Patient ID and birth date in the first file; all files of a usable series agree."""
    modality: Literal["CT", "MR", "OTHER"]
    """Modality (0008,0060)."""
    description: str = Field(default="", repr=False)
    """Series Description (0008,103E); may be missing or wrong."""
    body_part: str = Field(default="", repr=False)
    """Body Part Examined (0018,0015); may be missing or wrong."""
    kernel: str = Field(default="", repr=False)
    """Convolution Kernel (0018,1210) of CT; empty if unknown."""
    contrast_agent: bool | None = None
    """Whether Contrast/Bolus Agent (0018,0010) names one; None if the headers do not say."""
    frame_of_reference_uid: str = ""
    """Frame of Reference UID (0020,0052)."""
    acquired_at: datetime | None = None
    """Acquisition time without a time zone, in the scanner's local time."""
    n_frames: int = Field(ge=0)
    """Frames found."""
    frames: tuple[FrameSource, ...] = Field(default=(), repr=False)
    """In order along the slice normal; empty if the series was refused before it was ordered."""
    files: tuple[str, ...] = Field(default=(), repr=False)
    """All files that it was found in, sorted, also of a refused series."""
    shape: tuple[int, int, int] | None = None
    """Slices, rows, columns of its volume; None if refused."""
    affine_lps: Affine | None = None
    """4x4, (slice, row, column) index of its volume to mm in DICOM's LPS; None if refused."""
    resampling: Resampling | None = None
    """How its volume is made from the frames if these are not its slices as they stand; of a
    refused series, how it could be made if the protocol allows it."""
    issues: tuple[Issue, ...] = ()
    """Reasons for which it was refused or doubted."""

    @property
    def is_usable(self) -> bool:
        """Whether a volume may be loaded from it."""
        return self.shape is not None and not has_errors(self.issues)


class Study(FrozenModel):
    """One DICOM study of one patient."""

    study_uid: str
    """Study Instance UID, or a stable UID derived from the content."""
    patient_id: str = Field(repr=False)
    """Patient ID (0010,0020), stripped; empty if unknown."""
    issuer: str = Field(default="", repr=False)
    """Issuer of Patient ID (0010,0021); empty if unknown."""
    sex: Literal["M", "F", "O", ""] = Field(default="", repr=False)
    """Patient's Sex (0010,0040); empty if unknown."""
    birth_year: int | None = Field(default=None, repr=False)
    """Year of Patient's Birth Date (0010,0030); None if unknown."""
    acquired_at: datetime | None = None
    """The earliest acquisition time of its usable series, else of any."""
    is_day_only: bool = False
    """Whether only the day of the acquisition is known; `acquired_at` is then its start."""
    utc_offset_minutes: int | None = None
    """What `acquired_at` is ahead of UTC; None if the headers do not say."""
    scanner: str = Field(default="", repr=False)
    """Manufacturer and model; empty if unknown or mixed."""
    series: tuple[Series, ...]
    """All series found, usable or not."""
    issues: tuple[Issue, ...] = ()
    """Faults of the study as a whole."""
    content_sha256: str
    """Hash over the bytes of all its files, whatever their names or order."""


class SkippedFile(FrozenModel):
    """A file that is part of no series."""

    file: str = Field(repr=False)
    """Path below the ingested folder."""
    issue: Issue
    """Why."""


class Inventory(FrozenModel):
    """All that was found below one folder."""

    studies: tuple[Study, ...]
    """Sorted by study UID."""
    skipped: tuple[SkippedFile, ...] = ()
    """Sorted by path."""

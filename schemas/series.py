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


class Series(FrozenModel):
    """The frames of one DICOM series, or of one part of it, in spatial order."""

    series_uid: str
    """Series Instance UID (0020,000E), or a stable UID derived from the content."""
    source_uid: str = ""
    """Series Instance UID in the files, if the series was split and `series_uid` is a part's."""
    part: str = ""
    """What tells this part of a split series apart: `echo time 4.6`, say."""
    component: Literal["", "magnitude", "phase", "real", "imaginary"] = ""
    """Which part of a complex MR image; empty if unknown or not complex."""
    study_uid: str
    """Study Instance UID (0020,000D), or a stable UID derived from the content."""
    modality: Literal["CT", "MR", "OTHER"]
    """Modality (0008,0060)."""
    description: str = Field(default="", repr=False)
    """Series Description (0008,103E); may be missing or wrong."""
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
    """Slices, rows, columns; None if refused."""
    affine_lps: tuple[tuple[float, float, float, float], ...] | None = None
    """4x4, (slice, row, column) index to mm in DICOM's LPS; None if refused."""
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
    acquired_at: datetime | None = None
    """The earliest acquisition time of its usable series, else of any."""
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

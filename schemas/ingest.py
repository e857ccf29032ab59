"""What `synopt ingest` found and wrote: the content of series.json."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.issue import Issue, IssueCode
from schemas.series import FrameSource, SkippedFile


class SeriesGeometry(FrozenModel):
    """Where the voxels of a written volume are."""

    shape: tuple[int, int, int]
    """Slices, rows, columns."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows, columns."""
    affine_lps: tuple[tuple[float, float, float, float], ...]
    """4x4, (slice, row, column) index to mm in DICOM's LPS; the NIfTI file is in RAS."""
    frame_of_reference_uid: str
    """Frame of Reference UID (0020,0052); empty if unknown."""


class IngestedSeries(FrozenModel):
    """One series found, or one part of it."""

    series_uid: str
    """Series Instance UID, or a stable UID derived from the content."""
    source_uid: str
    """Series Instance UID in the files, if the series was split; else empty."""
    part: str
    """What tells this part of a split series apart."""
    study_uid: str
    """Study Instance UID, or a stable UID derived from the content."""
    modality: Literal["CT", "MR", "OTHER"]
    """Modality (0008,0060)."""
    description: str = Field(repr=False)
    """Series Description (0008,103E); may be missing or wrong."""
    acquired_at: datetime | None
    """Acquisition time without a time zone, in the scanner's local time."""
    status: Literal["read", "set aside", "refused"]
    """`set aside`: no slices of a volume by what the images are; `refused`: for a fault, or CT or
    MR that this version cannot read."""
    codes: tuple[IssueCode, ...]
    """Of its issues, sorted, each once."""
    issues: tuple[Issue, ...]
    """All that was found wrong or doubtful."""
    n_frames: int = Field(ge=0)
    """Frames found."""
    files: tuple[str, ...] = Field(repr=False)
    """All its files, sorted; a member of an archive is `archive!/member`."""
    slices: tuple[FrameSource, ...] = Field(repr=False)
    """Where each slice of the volume came from, in its order; empty if none was written."""
    geometry: SeriesGeometry | None
    """None if no volume was written."""
    unit: Literal["HU", "scanner"] | None
    """Of the voxel values; None if no volume was written."""
    volume: str | None
    """Path of the NIfTI file beside series.json; None if none was written."""
    volume_sha256: str | None
    """Hash of that file."""


class IngestedStudy(FrozenModel):
    """One study found."""

    study_uid: str
    """Study Instance UID, or a stable UID derived from the content."""
    acquired_at: datetime | None
    """The earliest acquisition time of its usable series, else of any."""
    content_sha256: str
    """Hash over the bytes of all its files, whatever their names or order."""
    issues: tuple[Issue, ...]
    """Faults of the study as a whole."""


class IngestReport(FrozenModel):
    """Everything that was found below one folder. It names no patient."""

    synopt_version: str
    """Version of the program."""
    studies: tuple[IngestedStudy, ...]
    """Sorted by study UID."""
    series: tuple[IngestedSeries, ...]
    """Sorted by study UID, then series UID."""
    skipped: tuple[SkippedFile, ...]
    """Files that are part of no series, sorted by path."""

    @property
    def n_refused(self) -> int:
        """Series that were refused for a fault."""
        return sum(item.status == "refused" for item in self.series)

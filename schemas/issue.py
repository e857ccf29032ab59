"""Faults and doubts about patient data: values that travel to the report, not exceptions."""

from collections.abc import Iterable
from enum import StrEnum

from schemas.base import FrozenModel


class Severity(StrEnum):
    """How much an issue weighs."""

    INFO = "info"
    """Worth knowing; the result stands."""
    WARNING = "warning"
    """The result stands, with less trust."""
    ERROR = "error"
    """No result may be drawn from what the issue names."""


class IssueCode(StrEnum):
    """Every issue that Synopt can raise; the docstring of each is its documentation."""

    FILE_UNREADABLE = "file-unreadable"
    """A file could not be opened or parsed."""
    FILE_NOT_DICOM = "file-not-dicom"
    """A file is not DICOM; it was skipped."""
    FILE_NOT_IMAGE = "file-not-image"
    """A DICOM object holds no image: a report, a dose sheet, raw data, a directory."""
    FILE_MISSING = "file-missing"
    """A DICOMDIR lists a file that is not there: the copy may be incomplete."""
    ARCHIVE_UNREADABLE = "archive-unreadable"
    """An archive or a member of it is damaged, encrypted, or of a kind that is not opened."""
    ARCHIVE_REFUSED = "archive-refused"
    """An archive or a member is beyond a bound: size, depth, number, a name that leads out."""
    FILE_DUPLICATE = "file-duplicate"
    """The same SOP instance was found twice with the same content; it was read once."""
    INSTANCE_CONFLICT = "instance-conflict"
    """One SOP Instance UID carries two different contents."""
    IDENTITY_CONFLICT = "identity-conflict"
    """One study or series mixes patients, studies or frames of reference."""
    SERIES_LOCALIZER = "series-localizer"
    """The images are a localizer (scout)."""
    SERIES_DERIVED = "series-derived"
    """The images are derived or secondary, not the scanner's primary ones."""
    SERIES_TOO_SHORT = "series-too-short"
    """Fewer slices than a volume needs."""
    SERIES_UNSUPPORTED = "series-unsupported"
    """A kind of image that this version does not read."""
    SERIES_AMBIGUOUS = "series-ambiguous"
    """Several images at one position (echoes, phases, repetitions) that were not told apart."""
    SERIES_SPLIT = "series-split"
    """One DICOM series holds several volumes; this is one of them."""
    GEOMETRY_MISSING = "geometry-missing"
    """A slice lacks its position, orientation or pixel spacing."""
    GEOMETRY_MIXED = "geometry-mixed"
    """Slices of one series differ in orientation, size or pixel spacing."""
    GEOMETRY_IRREGULAR = "geometry-irregular"
    """Slices are missing or unevenly spaced along the normal."""
    GEOMETRY_TILTED = "geometry-tilted"
    """Slice positions run oblique to the slice normal (gantry tilt)."""
    GEOMETRY_MISMATCH = "geometry-mismatch"
    """The built affine does not carry voxels back to the positions in the headers."""
    PIXELS_UNREADABLE = "pixels-unreadable"
    """Pixel data could not be decoded, or its size contradicts the header."""
    PIXELS_UNSCALED = "pixels-unscaled"
    """CT values that the header does not take to HU, or a rescale that is not valid."""
    PIXELS_INVERTED = "pixels-inverted"
    """An MR image is stored to be shown with black and white exchanged; values kept as stored."""
    PIXELS_LOSSY = "pixels-lossy"
    """Pixel data was compressed with loss."""
    UID_MISSING = "uid-missing"
    """A UID is empty (de-identified data); a stable one was derived from the content."""
    PATIENT_UNKNOWN = "patient-unknown"
    """The study has no Patient ID, so no history can be paired with it."""
    TIME_UNKNOWN = "time-unknown"
    """The study has no acquisition time, so no dated history can be used."""
    SERIES_MISSING = "series-missing"
    """No series of the study fits a named series of the protocol."""
    HISTORY_MISSING = "history-missing"
    """Nothing was recorded about the patient at or before the scan."""
    VALUE_MISSING = "value-missing"
    """A table column has no value at or before the scan."""
    VALUE_IMPLAUSIBLE = "value-implausible"
    """A table value is outside its plausible range or cannot be read; it was set missing."""
    NOTES_MISSING = "notes-missing"
    """No note was written at or before the scan, within the look-back."""
    RECORDS_AFTER_SCAN = "records-after-scan"
    """Records dated after the scan exist and were not read."""
    RECORDS_UNDATED = "records-undated"
    """Records without a time exist and were not read, since they may be from after the scan."""
    OUT_OF_DISTRIBUTION = "out-of-distribution"
    """The case is unlike those that the bundle was trained on."""
    NOTHING_TO_READ = "nothing-to-read"
    """Neither an image nor a history is there to assess."""
    ASSESSMENT_FAILED = "assessment-failed"
    """The assessment of this study stopped on a fault of the program; the log has the traceback."""


class Issue(FrozenModel):
    """One fault or doubt; the message never holds a name, a birth date or note text."""

    code: IssueCode
    """What kind of fault."""
    severity: Severity
    """How much it weighs."""
    message: str
    """One sentence: what, the value, the bound, and what to do."""


def has_errors(issues: Iterable[Issue]) -> bool:
    """Say whether any issue forbids a result."""
    return any(issue.severity is Severity.ERROR for issue in issues)

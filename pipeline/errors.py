"""What callers may catch. A message says what, the value, the bound and what to do; never who."""

from schemas.issue import IssueCode


class PipelineError(Exception):
    """Any fault that Synopt explains in one sentence."""


class UsageError(PipelineError):
    """What the user asked for cannot be done: a missing folder, a wrong field, no permission."""


class IngestError(PipelineError):
    """Image files cannot become a volume.

    Parameters
    ----------
    message
        What, the value, the bound.
    code
        Of the issue that this becomes.
    """

    def __init__(self, message: str, code: IssueCode = IssueCode.PIXELS_UNREADABLE) -> None:
        super().__init__(message)
        self.code = code


class GeometryError(PipelineError):
    """Positions do not describe one regular grid."""


class CheckpointError(PipelineError):
    """A bundle or a pretrained weight file is incomplete, altered or of another kind."""


class CalibrationError(PipelineError):
    """A calibrator cannot be fitted or would turn the ranking around."""

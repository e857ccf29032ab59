"""What callers may catch. A message says what, the value, the bound and what to do; never who."""

from collections.abc import Sequence

from schemas.issue import IssueCode


class PipelineError(Exception):
    """Any fault that Synopt explains in one sentence."""


class UsageError(PipelineError):
    """What the user asked for cannot be done: a missing folder, a wrong field, no permission."""


class RecordsError(UsageError):
    """Record files cannot be read; all their faults together.

    Parameters
    ----------
    faults
        Every fault in words. The message shows the first ``SHOWN`` and counts the others.
    """

    SHOWN = 10

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        more = len(self.faults) - self.SHOWN
        end = f"; and {more} more faults" if more > 0 else ""
        super().__init__("; ".join(self.faults[: self.SHOWN]) + end)


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


class LeakError(PipelineError):
    """A training cohort in which answers reach where they must not be known."""

"""What FHIR and OMOP deliver: the same two frames as a cohort's own files, and the faults."""

from dataclasses import dataclass, field

import pandas as pd

from schemas.issue import Issue, IssueCode, Severity
from schemas.series import SkippedFile

TABLE = ("patient_id", "recorded_at", "available_at", "name", "text", "unit", "source", "row")
NOTES = ("patient_id", "written_at", "available_at", "kind", "text", "source", "row")
MAX_FAULTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """All that a source records about its patients, as text.

    Parameters
    ----------
    table, notes
        ``TABLE`` and ``NOTES``, from which `Records.from_frames` makes the records.
    faults
        What could not be read, and why.
    contradicted
        Patient IDs that stand for different people; none of their records is delivered.
    """

    table: pd.DataFrame
    notes: pd.DataFrame
    faults: tuple[SkippedFile, ...] = ()
    contradicted: frozenset[str] = frozenset()


@dataclass(slots=True)
class FaultList:
    """Faults of a source; beyond ``MAX_FAULTS`` they are counted, not kept."""

    kept: list[SkippedFile] = field(default_factory=list)
    n_more: int = 0

    def add(
        self, file: str, message: str, *, code: IssueCode = IssueCode.RECORD_UNREADABLE
    ) -> None:
        """Keep a fault; neither text may hold a patient's data."""
        if len(self.kept) >= MAX_FAULTS:
            self.n_more += 1
            return
        issue = Issue(code=code, severity=Severity.WARNING, message=message)
        self.kept.append(SkippedFile(file=file, issue=issue))

    def all(self) -> tuple[SkippedFile, ...]:
        """Return what was kept, and how many more there were."""
        if not self.n_more:
            return tuple(self.kept)
        issue = Issue(
            code=IssueCode.RECORD_UNREADABLE, severity=Severity.WARNING,
            message=f"{self.n_more} more records could not be read; mend those named first",
        )  # fmt: skip
        return (*self.kept, SkippedFile(file=self.kept[-1].file, issue=issue))

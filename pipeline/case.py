"""One study, ready to be read: its volumes and the patient's history at that moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.volume import Volume
from schemas.history import History
from schemas.issue import Issue
from schemas.report import SeriesUse


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One patient at one moment.

    Parameters
    ----------
    study_uid
        Study Instance UID.
    volumes
        By the protocol's series name; a series that was not found is absent.
    history
        Cut at the study's acquisition time.
    series
        Every series of the study and why it was chosen or left out.
    issues
        Faults of the study, its series and its history.
    """

    study_uid: str
    volumes: Mapping[str, Volume]
    history: History
    series: tuple[SeriesUse, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is neither an image nor a history."""
        return not self.volumes and self.history.is_empty

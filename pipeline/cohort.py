"""A cohort folder: its studies, its records, and the Case that the two make."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.case import Case
from pipeline.errors import GeometryError, IngestError, UsageError
from pipeline.history import Pairing, load_records, pair
from pipeline.ingest import content_of, discover, load_volume, select_series
from pipeline.progress import Progress, silent
from pipeline.volume import Volume
from schemas.history import History
from schemas.issue import Issue, IssueCode, Severity
from schemas.protocol import Protocol
from schemas.report import SeriesUse
from schemas.series import Inventory, Series, Study

logger = logging.getLogger(__name__)

BODY_PART_LENGTH = 16
"""Characters of Body Part Examined that count; DICOM allows no more (value representation CS)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """What a cohort folder holds.

    Parameters
    ----------
    folder
        The cohort's own.
    image_folder
        Below which the DICOM files lie: ``dicom/`` if there is one, else the folder itself.
    inventory
        Its studies, and the files and records that belong to none.
    pairing
        Its tables and notes, and whose they are.
    protocol
        By which they are read.
    """

    folder: Path
    image_folder: Path
    inventory: Inventory
    pairing: Pairing
    protocol: Protocol

    def history(self, study: Study) -> History:
        """Return the patient's record, cut at the study's time."""
        return self.pairing.history(study)


def open_cohort(
    folder: Path, protocol: Protocol, *, database: str = "", progress: Progress = silent
) -> Cohort:
    """Find all studies and read all records below a folder.

    Parameters
    ----------
    database
        URL of an OMOP database that holds the records instead; "" for none.

    Raises
    ------
    UsageError
        If the folder does not exist, holds no DICOM study, or a record file is malformed.
    """
    if not folder.is_dir():
        msg = f"there is no folder {folder}"
        raise UsageError(msg)
    records = load_records(folder, protocol, database=database)
    dicom = folder / "dicom"
    image_folder = dicom if dicom.is_dir() else folder
    inventory = discover(image_folder, on_progress=partial(progress, "reading headers"))
    if not inventory.studies:
        msg = f"{image_folder} holds no CT or MR study ({len(inventory.skipped)} files skipped)"
        raise UsageError(msg)
    skipped = (*inventory.skipped, *records.faults)
    inventory = inventory.model_copy(update={"skipped": skipped})
    pairing = pair(records, inventory.studies, protocol)
    return Cohort(folder, image_folder, inventory, pairing, protocol)


@dataclass(frozen=True, slots=True)
class Choice:
    """The series of a study that the protocol's rules take.

    Parameters
    ----------
    chosen
        By the rule's name, as the rule sees them.
    uses
        What the report says of every series.
    issues
        Of the chosen ones, of rules that found none, and of what the chosen ones are together.
    """

    chosen: dict[str, Series]
    uses: tuple[SeriesUse, ...]
    issues: tuple[Issue, ...]


def choose_series(cohort: Cohort, study: Study) -> Choice:
    """Choose a study's series; a few slices of a CT are read where a rule asks what it shows."""
    chosen, uses, doubts = select_series(
        study, cohort.protocol.series, partial(content_of, cohort.image_folder)
    )
    faults = [issue for series in chosen.values() for issue in series.issues]
    return Choice(chosen, uses, (*faults, *doubts, *_apart(chosen)))


def read_case(cohort: Cohort, study: Study, history: History | None = None) -> Case:
    """Choose and load a study's series and pair them with the patient's history.

    A series that cannot be loaded becomes an issue; the case then has no such volume.
    """
    choice = choose_series(cohort, study)
    found = list(choice.issues)
    volumes = {}
    for name, series in choice.chosen.items():
        volume = _load(cohort.image_folder, name, series, found)
        if volume is not None:
            volumes[name] = volume
    history = history or cohort.history(study)
    issues = (*study.issues, *found, *history.issues)
    return Case(study.study_uid, volumes, history, choice.uses, issues)


def stated_body_parts(study: Study, case: Case) -> tuple[str, ...]:
    """Return the body parts that headers state of the series that a case was read from.

    Headers may say anything: capitals, single spaces, and no more than DICOM allows.
    """
    chosen = {use.series_uid for use in case.series if use.name in case.volumes}
    stated = [series.body_part for series in study.series if series.series_uid in chosen]
    words = {" ".join(part.upper().split())[:BODY_PART_LENGTH].strip() for part in stated}
    return tuple(sorted(words - {""}))


def _load(folder: Path, name: str, series: Series, issues: list[Issue]) -> Volume | None:
    try:
        return load_volume(folder, series)
    except (IngestError, GeometryError) as error:
        logger.info("a series could not be loaded: %s", type(error).__name__)
        message = f"series {name} could not be loaded: {error}"
        code = error.code if isinstance(error, IngestError) else IssueCode.GEOMETRY_MISMATCH
        issues.append(Issue(code=code, severity=Severity.ERROR, message=message))
        return None


def _apart(chosen: Mapping[str, Series]) -> list[Issue]:
    """Say whether series that are read together have different frames of reference."""
    frames = {series.frame_of_reference_uid for series in chosen.values()}
    if len(frames) < 2:
        return []
    message = (
        f"{', '.join(chosen)} have {len(frames)} frames of reference: they are laid over each "
        "other by their positions, but the patient may have moved in between."
    )
    return [Issue(code=IssueCode.FRAMES_DIFFER, severity=Severity.WARNING, message=message)]

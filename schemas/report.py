"""Everything a reader sees of one study, as one document."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.bundle import BundleIdentity
from schemas.issue import Issue
from schemas.maps import MapCheck, MapProof
from schemas.prediction import Evidence, StepAnswer
from schemas.task import Goal
from schemas.what_if import WhatIf

INTENDED_USE = "Decision support for research; not a medical device."


class HeatmapRegion(FrozenModel):
    """Connected voxels that raised the risk at least half as much as the one that did most."""

    position_mm: tuple[float, float, float]
    """Of its peak, the voxel that raised the risk most: DICOM's LPS."""
    index: tuple[int, int, int]
    """Of the same: slice, row, column, from 0, in the volume's order; of a resampled volume they
    are not those of the scanned image."""
    is_resampled: bool
    """Whether the volume was resampled from tilted or unevenly spaced slices."""
    sop_instance_uid: str
    """The instance that holds the slice; of a resampled volume, the scanned image nearest to it."""
    frame: int = Field(ge=1)
    """Its frame number, from 1."""
    share: float = Field(gt=0, le=1)
    """Of all that raised the risk in the heatmap, the share that the region holds."""
    volume_ml: float = Field(gt=0)
    """Its size."""
    side: Literal["left", "right", "midline"]
    """The patient's own: where the centre of its evidence lies from the middle of the scanned head
    or body, or from the image's centre if the image shows neither; up to 10 mm count as midline."""


class Decision(FrozenModel):
    """What follows at one threshold."""

    goal: Goal
    """What the threshold guarantees: sensitivity, or positive predictive value."""
    at_least: float
    """How much of it."""
    confidence: float
    """With which confidence."""
    threshold: float | None
    """The probability from which a case counts as positive; None if none could be guaranteed."""
    is_positive: bool | None
    """Whether this case does; None without a threshold."""


class Risk(FrozenModel):
    """One task's answer, or the reason why there is none."""

    task: str
    """The protocol's task name."""
    question: str
    """In plain words."""
    probability: float | None = Field(default=None, ge=0, le=1)
    """Calibrated; None if withheld. Of a yes; of the outcome that `steps` names, where there are
    several."""
    steps: StepAnswer | None = None
    """All probabilities of a task of several classes, levels or horizons; None for others."""
    lower: float | None = None
    """Lower end of its interval; None where the bundle has no ensemble to tell."""
    upper: float | None = None
    """Upper end of the same."""
    interval_level: float | None = None
    """How often such an interval is meant to hold the true probability."""
    set: tuple[str, ...] | None = None
    """Conformal set of labels: those that cannot be ruled out. Empty if all can: the probability is
    one that few cases of any label have. None if there were too few cases to set thresholds."""
    set_among: str = ""
    """The group of cases among which that coverage is promised; empty where it is among all that
    have the same modalities."""
    set_coverage: float | None = None
    """Share of cases of either class whose set holds the truth, at least."""
    logit: float | None = None
    """The network's raw score, of a yes or of what `steps` says; None if withheld."""
    calibrated_logit: float | None = None
    """Log-odds of the probability."""
    calibration: str = ""
    """How the one became the other, in words."""
    decisions: tuple[Decision, ...] = ()
    """At the thresholds that the protocol asks for."""
    train_prevalence: float | None = Field(ge=0, le=1)
    """Share of positives among the training cases, for comparison; None for a task of several
    classes, levels or horizons, whose `steps` hold theirs."""
    heatmap: str | None = None
    """File name beside the report; None if there is none."""
    heatmap_reason: str = ""
    """Why there is no heatmap."""
    map_check: MapCheck | None = None
    """Whether the heatmap stood the test on this very case; None without an image."""
    map_proof: MapProof | None = None
    """Whether the bundle's maps of this task stood on its test cases; None if they were never
    proved."""
    regions: tuple[HeatmapRegion, ...] = ()
    """Where the image raised the risk most: up to three, the one that holds most first; empty if it
    did nowhere, or there is no heatmap."""
    evidence: Evidence | None = None
    """Where the logit came from; None if withheld."""
    what_if: WhatIf | None = None
    """What the probability would be with less, or with other things, read; None if withheld."""


class SeriesScore(FrozenModel):
    """How well one series fits one named series of the protocol."""

    name: str
    """The protocol's name for it."""
    points: float | None = None
    """For and against it; None if it cannot serve."""
    rank: int | None = Field(default=None, ge=1)
    """1 was chosen, 2 would be next; None if it cannot serve."""
    reason: str
    """Why."""


class SeriesUse(FrozenModel):
    """What became of one series of the study."""

    series_uid: str
    """Series Instance UID."""
    name: str = ""
    """The protocol's name for it, if it was chosen."""
    modality: str
    """Modality."""
    description: str = Field(default="", repr=False)
    """Series Description."""
    n_frames: int
    """Frames found."""
    shape: tuple[int, int, int] | None = None
    """Slices, rows, columns."""
    spacing_mm: tuple[float, float, float] | None = None
    """Between slices, rows, columns."""
    reason: str
    """Why it was chosen or left out."""
    scores: tuple[SeriesScore, ...] = ()
    """One for each named series of the protocol, in its order."""
    issues: tuple[Issue, ...] = ()
    """Its faults."""


class HistoryUse(FrozenModel):
    """What of the patient's record was read."""

    cut_at: datetime | None
    """Nothing later was read."""
    look_back_days: int
    """Nothing older was read."""
    n_values: int
    """Table variables with a value."""
    missing: tuple[str, ...]
    """Table variables without one."""
    unsaid: tuple[str, ...] = ()
    """Concepts to which no note gives a value."""
    n_notes: int
    """Notes read."""
    n_after_scan: int
    """Records left out since they were made after the scan."""
    n_too_old: int
    """Records left out since they were too old."""


class RunIdentity(FrozenModel):
    """What made this report; the same key means the same report."""

    key: str
    """Hash over inputs, bundle, protocol, version and this program's own code."""
    images_sha256: str
    """Hash over the study's files."""
    history_sha256: str
    """Hash over the history that was read."""
    synopt_version: str
    """This program's version."""
    libraries: dict[str, str]
    """Versions of the libraries that computed it."""


class RiskReport(FrozenModel):
    """One study's report: valid against the published JSON Schema."""

    schema_version: Literal["1.0"] = "1.0"
    """Version of this document's form."""
    intended_use: str = INTENDED_USE
    """What it may be used for."""
    study_uid: str
    """Study Instance UID."""
    patient_id: str = Field(repr=False)
    """Patient ID; empty if unknown."""
    acquired_at: datetime | None
    """Acquisition time in the scanner's local time."""
    created_at: datetime
    """When the report was made, with its time zone."""
    status: Literal["assessed", "withheld", "refused"]
    """`assessed`: has results. `withheld`: was read, but no result may be given. `refused`: could
    not be read."""
    bundle: BundleIdentity
    """Which model."""
    protocol_title: str
    """The clinical question."""
    issues: tuple[Issue, ...]
    """All faults and doubts."""
    risks: tuple[Risk, ...]
    """One a task."""
    series: tuple[SeriesUse, ...]
    """All series of the study and what became of each."""
    history: HistoryUse
    """What of the record was read."""
    run: RunIdentity
    """What made it."""

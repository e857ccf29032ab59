"""How a bundle did on a labelled cohort."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.bundle import BundleIdentity
from schemas.maps import MapProofs
from schemas.metrics import AnyMetrics, Interval


class SubsetResult(FrozenModel):
    """One task read with only some modalities, on the cases that have all of them."""

    task: str
    """The task."""
    present: tuple[str, ...]
    """The modalities that were read."""
    n_cases: int
    """Labelled cases that have all modalities."""
    auroc: Interval
    """With only these; for tasks of several classes, levels or horizons the mean over these."""
    difference: Interval
    """From the AUROC with all modalities, on the same cases and draws."""
    slope: Interval | None = None
    """Calibration slope of the probabilities by the subset's own map; binary tasks alone."""
    observed_to_expected: Interval | None = None
    """Events over the sum of these probabilities; binary tasks alone."""


class Comparison(FrozenModel):
    """One task of another bundle on the same cases."""

    task: str
    """The task."""
    name: str
    """The other bundle's name."""
    sha256: str
    """Its identity."""
    auroc: Interval | None = None
    """Its own; None where the cases lack an answer to one of the task's questions."""
    difference: Interval | None = None
    """This bundle's AUROC less the other's, on the same draws; None for the same reason."""
    log_loss_difference: Interval
    """This bundle's log loss less the other's: below 0 this one is better."""


class NotJudged(FrozenModel):
    """A task of which these studies tell nothing."""

    task: str
    """The task."""
    reason: str
    """Why."""


class Evaluation(FrozenModel):
    """All of it, as evaluation.json holds it."""

    schema_version: Literal["1.0"] = "1.0"
    """Version of this document's form."""
    bundle: BundleIdentity
    """Which model."""
    title: str
    """The clinical question."""
    n_studies: int = Field(ge=1)
    """Labelled studies that were read."""
    n_known_to_training: int = Field(ge=0)
    """Studies left out since their patients were used to train or calibrate the bundle."""
    n_unread: int = Field(ge=0)
    """Labelled studies that could not be read."""
    tasks: tuple[AnyMetrics, ...] = Field(min_length=1)
    """One a task that could be judged."""
    not_judged: tuple[NotJudged, ...] = ()
    """The others."""
    subsets: tuple[SubsetResult, ...] = ()
    """What each subset of the modalities can do."""
    comparisons: tuple[Comparison, ...] = ()
    """Other bundles on the same cases."""
    maps: MapProofs | None = None
    """The proof of the bundle's maps, on its own test cases; None if they were never proved."""

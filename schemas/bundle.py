"""The identity of a trained model, and how it was accepted."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel


class BundleIdentity(FrozenModel):
    """Which model made a report."""

    name: str
    """The protocol's name."""
    sha256: str
    """Hash over all files of the bundle."""
    protocol_sha256: str
    """Hash of the protocol in force, assessment policy included."""
    image_encoder: str
    """MONAI encoder."""
    text_encoder: str
    """BERT that was used."""
    text_sha256: str
    """Its weights' hash."""
    n_train: int = Field(ge=1)
    """Training cases."""
    is_simulated: bool
    """Whether it was trained on simulated data."""


class Calibrator(FrozenModel):
    """Logit to probability for one task: sigmoid(slope * logit + intercept)."""

    task: str
    """The task."""
    method: Literal["temperature"] = "temperature"
    """How it was fitted."""
    slope: float = Field(gt=0)
    """Inverse temperature."""
    intercept: float = 0.0
    """Zero for temperature scaling."""
    n_cases: int = Field(ge=1)
    """Labelled calibration cases."""
    n_events: int = Field(ge=1)
    """Positives among them."""


class Interval(FrozenModel):
    """A statistic with its confidence interval."""

    value: float
    """Point estimate."""
    lower: float
    """2.5 % bound, patient bootstrap."""
    upper: float
    """97.5 % bound."""


class TaskMetrics(FrozenModel):
    """How one task did on the test patients, whom nothing was fitted on."""

    task: str
    """The task."""
    n_cases: int
    """Labelled test cases."""
    n_events: int
    """Positives among them."""
    auroc: Interval
    """Area under the ROC curve."""
    brier: Interval
    """Brier score, calibrated."""
    log_loss: Interval
    """Log loss, calibrated."""
    log_loss_uncalibrated: float
    """Log loss of the raw logit."""
    prevalence_log_loss: float
    """Log loss of always saying the training prevalence."""
    train_prevalence: float
    """Share of positives among the training cases."""


class TrainedRange(FrozenModel):
    """Smallest and largest value of one input quantity among the training cases."""

    name: str
    """What is measured, with its unit."""
    low: float
    """Smallest."""
    high: float
    """Largest."""


class BundleManifest(FrozenModel):
    """What a bundle is made of; its own hash is the bundle's identity."""

    synopt_version: str
    """The version that trained it."""
    text_encoder: str
    """BERT that was used."""
    text_sha256: str
    """Its weights' hash."""
    n_train: int = Field(ge=1)
    """Training cases."""
    distance_limit: float
    """Of the out-of-distribution check."""
    ranges: tuple[TrainedRange, ...]
    """Of the out-of-distribution check."""
    files: dict[str, str]
    """SHA-256 of every other file, by its path below the bundle."""

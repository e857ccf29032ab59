"""The identity of a trained model, and how it was accepted."""

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
    """Of the out-of-distribution check, for image features."""
    history_limit: float | None
    """The same for the history's; None if too few cases had a history to set one."""
    history_of: tuple[str, ...]
    """Modalities of the histories that it holds for."""
    ranges: tuple[TrainedRange, ...]
    """Of the out-of-distribution check."""
    scanners: tuple[str, ...]
    """Manufacturers and models that training cases came from; empty if no header named one."""
    body_parts: tuple[str, ...]
    """Stated by the headers of the training images; empty if none did."""
    files: dict[str, str]
    """SHA-256 of every other file, by its path below the bundle."""

"""The cases of a cohort that lie nearest to one of them in the space of image and history."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.bundle import BundleIdentity
from schemas.issue import IssueCode

Comparison = Literal["image", "history", "image-to-history", "history-to-image"]
"""What of the case is compared with what of another; one word is both."""
ComparedBy = Literal["both", Comparison]
"""What was asked for. `both`: image with image and history with history."""


class Neighbour(FrozenModel):
    """One case, and how near it lies."""

    study_uid: str
    """Study Instance UID."""
    similarity: float = Field(ge=-1, le=1)
    """Cosine; the mean of two if image and history are both compared."""
    compared: tuple[Comparison, ...] = Field(min_length=1)
    """What both cases have, and was compared."""
    is_unlike_training: bool
    """Whether the case, or its scanner, is unlike those that the bundle was trained on."""


class LeftOut(FrozenModel):
    """A study without a place in the space."""

    study_uid: str
    """Study Instance UID."""
    status: Literal["refused", "withheld"]
    """As `synopt assess` would have it: `refused` could not be read, `withheld` gets no result."""
    reasons: tuple[IssueCode, ...] = Field(min_length=1)
    """Why."""


class SpaceCheck(FrozenModel):
    """Whether the space joins what belongs together, on the cohort's own cases."""

    n_cases: int = Field(ge=2)
    """Cases that have both an image and a history."""
    own_nearer: float = Field(ge=0, le=1)
    """How often an image lies nearer to its own history than to another patient's; 0.5 is
    chance."""


class SimilarCases(FrozenModel):
    """The answer to `synopt similar`."""

    schema_version: Literal["1.0"] = "1.0"
    """Version of this document's form."""
    bundle: BundleIdentity
    """Whose space it is."""
    study_uid: str
    """The case that was asked about."""
    is_unlike_training: bool
    """Whether that case is unlike those that the bundle was trained on."""
    by: ComparedBy
    """What was to be compared."""
    neighbours: tuple[Neighbour, ...]
    """Nearest first."""
    n_compared: int = Field(ge=0)
    """Studies that could be compared; the nearest of them are listed."""
    n_nothing_in_common: int = Field(ge=0)
    """Studies that lack what was to be compared."""
    n_same_patient: int = Field(ge=0)
    """Other studies of the same patient, which were left out; 0 where they were asked for."""
    left_out: tuple[LeftOut, ...]
    """Studies that could not be placed."""
    space: SpaceCheck | None
    """None if fewer than two patients have both an image and a history."""

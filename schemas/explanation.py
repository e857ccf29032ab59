"""What another way of explaining says of one study's image."""

from typing import Literal

from schemas.base import FrozenModel
from schemas.bundle import BundleIdentity

ExplainMethod = Literal["occlusion", "integrated_gradients", "grad_cam", "hires_cam", "attention"]
"""All but raw `attention` are of the logit."""


class TaskExplanation(FrozenModel):
    """One task's map, and how far it agrees with the report's own."""

    task: str
    """The protocol's task name."""
    file: str
    """The map, NIfTI on the scanner's grid, log-odds; NaN where the network could not look. Of raw
    attention, shares: one map, the same for all tasks."""
    logit: float
    """What the report's map explains, log-odds."""
    sum: float
    """Of the map, in its unit."""
    image: float
    """What the image adds to the logit by the report's own evidence, log-odds."""
    rank_correlation: float | None
    """Spearman's, with the report's map over the network's tokens; None if one is level."""
    peak_mm: tuple[float, float, float] | None
    """Where the map says that the image raises the logit most, DICOM's LPS; None if nowhere. Of raw
    attention, where the network looked most."""
    peak_distance_mm: float | None
    """From there to the token to which the report's map gives most; None if one has none."""


class Explanation(FrozenModel):
    """One study explained by one method."""

    study_uid: str
    """Study Instance UID."""
    method: ExplainMethod
    """How."""
    null_share: float | None
    """Share of raw attention that went to the null key, which stands for "nothing there"; None of
    other methods."""
    bundle: BundleIdentity
    """Which model."""
    tasks: tuple[TaskExplanation, ...]
    """One a task."""

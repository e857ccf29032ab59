"""Outcomes that are more than yes or no: side and grade of the finding, and time to an event."""

from collections.abc import Mapping

import numpy as np

from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.world import World

YEAR = 365.0
WATCHED_DAYS = (120.0, 1500.0)
"""Shortest and longest time that a patient is watched after the scan."""


def further_columns(world: World) -> tuple[str, ...]:
    """Return the columns of labels.csv beside the yes-or-no tasks."""
    finding, timed = world.finding, world.timed
    return (
        f"{finding}_side",
        f"{finding}_grade",
        f"time_to_{timed}_days",
        f"time_to_{timed}_event",
    )


def further_labels(design: Design, index: int, patient: Patient) -> Mapping[str, str]:
    """Return these columns' cells for one patient.

    ``side`` is none, left or right; ``grade`` none, small or large, by the middle of the world's
    radii. The timed task's hazard is constant, such that the chance of an event within the year is
    its true probability, and its time agrees with its outcome; who is watched for less has the
    days of watching and no event.
    """
    world, rng = design.world, design.stream(index, "further")
    facts, risk = patient.facts, patient.risks[world.timed]
    share = rng.random()
    free = 1.0 - (share * risk if patient.outcomes[world.timed] else risk + share * (1.0 - risk))
    days = max(1.0, np.ceil(YEAR * np.log(free) / np.log1p(-risk)))
    watched = np.ceil(rng.uniform(*WATCHED_DAYS))
    side = "left" if facts[f"{world.finding}_left"] else "right"
    grade = "large" if facts[f"{world.finding}_size"] > 0 else "small"
    is_there = patient.target is not None
    cells = (
        side if is_there else "none",
        grade if is_there else "none",
        f"{min(days, watched):.0f}",
        str(int(days <= watched)),
    )
    return dict(zip(further_columns(world), cells, strict=True))

"""Who is scanned: identity, latent facts, true risks and outcomes of one simulated patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zlib import crc32

import numpy as np

from pipeline.phantom.dicom import uid_from
from pipeline.phantom.site import Site
from pipeline.phantom.world import World

_FIRST_DAY = datetime(2019, 1, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One patient with one study."""

    patient_id: str
    """Patient ID (0010,0020)."""
    study_uid: str
    """Study Instance UID (0020,000D)."""
    sex: Literal["F", "M"]
    """Patient's Sex (0010,0040)."""
    birth_date: date
    """Patient's Birth Date (0010,0030)."""
    scanned_at: datetime
    """When the scan was made; the moment at which every history is cut."""
    site: Site
    """Where."""
    radius_mm: float | None
    """Of the finding; None if there is none."""
    facts: Mapping[str, float]
    """All that risks depend on: 0 or 1, or standard deviations from the mean."""
    values: Mapping[str, float]
    """The table's columns as they truly are at the scan."""
    statuses: Mapping[str, str]
    """For each topic, what is so."""
    risks: Mapping[str, float]
    """True probability of each task."""
    outcomes: Mapping[str, bool]
    """What came of it."""


def stream(world: World, seed: int, index: int, purpose: str) -> np.random.Generator:
    """Give a source of randomness that depends on one case and one purpose alone."""
    return np.random.default_rng([seed, crc32(world.name.encode()), index, crc32(purpose.encode())])


def draw_patient(world: World, seed: int, index: int) -> Patient:
    """Draw everything about a patient but the image and the records.

    Parameters
    ----------
    world
        Which kind of patient.
    seed
        Of the cohort.
    index
        From 0; the same patient whatever the cohort's size.
    """
    rng = stream(world, seed, index, "patient")
    scanned_at = _FIRST_DAY + timedelta(
        days=int(rng.integers(0, 1460)), seconds=int(rng.integers(8 * 3600, 19 * 3600))
    )
    radius = _draw_radius(rng, world)
    scores = {column.name: column.draw(rng) for column in world.columns}
    statuses = {
        topic.name: str(
            rng.choice(
                [status.name for status in topic.statuses],
                p=[status.share for status in topic.statuses],
            )
        )
        for topic in world.topics
    }
    values = {column.name: column.value(scores[column.name]) for column in world.columns}
    facts = _finding_facts(world, radius) | scores
    facts |= {f"{topic}_{status}": 1.0 for topic, status in statuses.items()}
    risks = {risk.task: risk.probability(facts) for risk in world.risks}
    days_old = (round(values["age_years"]) + rng.uniform(0.01, 0.99)) * 365.25
    return Patient(
        patient_id=f"{world.prefix}{seed:03d}-{index:05d}",
        study_uid=uid_from("synopt-phantom", world.name, seed, index, "study"),
        sex="F" if rng.random() < 0.5 else "M",
        birth_date=(scanned_at - timedelta(days=float(days_old))).date(),
        scanned_at=scanned_at,
        site=world.sites[int(rng.integers(len(world.sites)))],
        radius_mm=radius,
        facts=facts,
        values=values,
        statuses=statuses,
        risks=risks,
        outcomes={task: bool(rng.random() < risk) for task, risk in risks.items()},
    )


def _draw_radius(rng: np.random.Generator, world: World) -> float | None:
    is_there, size = rng.random() < world.finding_chance, rng.uniform(*world.radius_mm)
    return round(float(size), 2) if is_there else None


def _finding_facts(world: World, radius_mm: float | None) -> dict[str, float]:
    """Presence, and size from -1 to 1, which is 0 where there is nothing."""
    if radius_mm is None:
        return {f"has_{world.finding}": 0.0, f"{world.finding}_size": 0.0}
    low, high = world.radius_mm
    size = (2.0 * radius_mm - low - high) / (high - low)
    return {f"has_{world.finding}": 1.0, f"{world.finding}_size": size}

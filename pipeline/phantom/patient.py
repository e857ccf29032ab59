"""Who is scanned: identity, latent facts, what is recorded of them, true risks and outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zlib import crc32

import numpy as np

from pipeline.errors import UsageError
from pipeline.phantom.dicom import uid_from
from pipeline.phantom.observe import IMAGE, finding_facts, observable_risks
from pipeline.phantom.scan import Target
from pipeline.phantom.site import Matrix, Site
from pipeline.phantom.world import Family, Flag, Number, Topic, World

NO_IMAGE_SHARE = NO_TABLE_SHARE = NO_NOTES_SHARE = 0.10
_FIRST_DAY = datetime(2019, 1, 7)

UnitMix = Literal["stated", "unstated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a simulated cohort is drawn from; with a case's number it decides the case."""

    world: World
    """The kind of patient."""
    seed: int
    """Of the cohort."""
    interaction: float = 1.0
    """Strength of what image and history say only together, 0 to 1."""
    family: Family = "a"
    """Generator family: sites, words, and how findings are drawn."""
    matrix: Matrix | None = None
    """A size for every scan in place of the sites' own."""

    def stream(self, index: int, purpose: str) -> np.random.Generator:
        """Give a source of randomness that depends on one case and one purpose alone."""
        named = f"{self.world.name}/{self.family}"
        return np.random.default_rng(
            [self.seed, crc32(named.encode()), index, crc32(purpose.encode())]
        )

    def options(self, n_cases: int) -> str:
        """Write the options of the command that makes such a cohort."""
        words = f"--world {self.world.name} --cases {n_cases} --seed {self.seed}"
        if self.interaction != 1.0:
            words += f" --interaction {self.interaction:g}"
        if self.family != "a":
            words += f" --family {self.family}"
        if self.matrix is not None:
            words += f" --size {self.matrix.in_plane}x{self.matrix.slices}"
        return words

    def __post_init__(self) -> None:
        if not (self.seed >= 0 and 0.0 <= self.interaction <= 1.0):
            msg = (
                f"the seed must be at least 0 and the interaction from 0 to 1, got {self.seed} "
                f"and {self.interaction}"
            )
            raise UsageError(msg)


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
    target: Target | None
    """The finding, if there is one."""
    facts: Mapping[str, float]
    """All that risks depend on."""
    statuses: Mapping[str, str]
    """For each topic, what is so."""
    has_image: bool
    """Whether the study holds more than a localizer."""
    has_table: bool
    """Whether anything was recorded in the table before the scan."""
    has_notes: bool
    """Whether any note was written before the scan."""
    seen: frozenset[str]
    """What a reader can know: ``image``, and the names of columns and topics."""
    recorded: frozenset[str]
    """The columns that the table holds, readable or not."""
    mixed_units: Mapping[str, UnitMix]
    """Columns whose values come in another unit."""
    risks: Mapping[str, float]
    """True probability of each task."""
    observable: Mapping[str, float]
    """Probability of each task given only what is seen."""
    outcomes: Mapping[str, bool]
    """What came of it."""


def draw_patient(design: Design, index: int) -> Patient:
    """Draw everything about a patient but the image and the records.

    Parameters
    ----------
    design
        Of the cohort.
    index
        From 0; the same patient whatever the cohort's size.
    """
    world, rng = design.world, design.stream(index, "patient")
    scanned_at = _FIRST_DAY + timedelta(
        days=int(rng.integers(0, 1460)), seconds=int(rng.integers(8 * 3600, 19 * 3600))
    )
    target = _draw_target(rng, world)
    facts = {name: float(fact[0]) for name, fact in finding_facts(world, target).items()}
    facts |= {column.name: column.draw(rng) for column in world.columns}
    statuses = {topic.name: _draw_status(rng, topic) for topic in world.topics}
    for topic in world.topics:
        for status in topic.statuses:
            facts[f"{topic.name}_{status.name}"] = float(statuses[topic.name] == status.name)
    age = next(c.value(facts[c.name]) for c in world.columns if c.name == "age_years")
    days_old = (age + rng.uniform(0.01, 0.99)) * 365.25
    risks = {risk.task: float(risk.probability(facts, design.interaction)) for risk in world.risks}
    outcomes = {task: bool(rng.random() < risk) for task, risk in risks.items()}
    sites = world.sites[design.family]
    record = _draw_record(design.stream(index, "seen"), world, facts, statuses)
    return Patient(
        patient_id=_patient_id(design, index),
        study_uid=uid_from("synopt-phantom", world.name, design.family, design.seed, index),
        sex="F" if rng.random() < 0.5 else "M",
        birth_date=(scanned_at - timedelta(days=float(days_old))).date(),
        scanned_at=scanned_at,
        site=sites[int(rng.integers(len(sites)))],
        target=target,
        facts=facts,
        statuses=statuses,
        risks=risks,
        outcomes=outcomes,
        observable=observable_risks(world, design.interaction, facts, record.seen, record.has),
        has_image=IMAGE in record.seen,
        has_table=record.has["table"],
        has_notes=record.has["notes"],
        seen=record.seen,
        recorded=record.recorded,
        mixed_units=record.mixed_units,
    )


def _patient_id(design: Design, index: int) -> str:
    """Give an ID as hospitals do: some with letters, some with leading zeros."""
    family = "" if design.family == "a" else design.family
    if index % 3 == 2:
        code = crc32(f"{design.world.name}{family}".encode()) % 97
        return f"00{design.seed:03d}{index:05d}{code:02d}"
    return f"{design.world.prefix}{family.upper()}{design.seed:03d}-{index:05d}"


def _draw_target(rng: np.random.Generator, world: World) -> Target | None:
    places = world.anatomy.places()
    is_there, size = rng.random() < world.finding_chance, rng.uniform(*world.radius_mm)
    place = places[int(rng.integers(len(places)))]
    return Target(place, round(float(size), 2)) if is_there else None


def _draw_status(rng: np.random.Generator, topic: Topic) -> str:
    names = [status.name for status in topic.statuses]
    return str(rng.choice(names, p=[status.share for status in topic.statuses]))


@dataclass(frozen=True, slots=True)
class _Record:
    has: Mapping[str, bool]
    seen: frozenset[str]
    recorded: frozenset[str]
    mixed_units: Mapping[str, UnitMix]


def _draw_record(
    rng: np.random.Generator,
    world: World,
    facts: Mapping[str, float],
    statuses: Mapping[str, str],
) -> _Record:
    """Draw which facts were recorded, and which of them a reader can know."""
    names = ("image", "table", "notes")
    shares = (NO_IMAGE_SHARE, NO_TABLE_SHARE, NO_NOTES_SHARE)
    has = {name: bool(rng.random() >= share) for name, share in zip(names, shares, strict=True)}
    missing = rng.random(len(world.columns))
    recorded = {
        column.name
        for column, draw in zip(world.columns, missing, strict=True)
        if draw >= column.missing_chance(facts[column.name]) and has["table"]
    }
    mixed = {column.name: _draw_mix(rng, column) for column in world.columns}
    units: dict[str, UnitMix] = {
        name: mix for name, mix in mixed.items() if mix is not None and name in recorded
    }
    told = {
        topic.name
        for topic in world.topics
        for status in topic.statuses
        if status.name == statuses[topic.name] and rng.random() < status.told and has["notes"]
    }
    read = {name for name in recorded if units.get(name) != "unstated"}
    seen = frozenset(read | told | ({IMAGE} if has["image"] else set()))
    return _Record(has, seen, frozenset(recorded), units)


def _draw_mix(rng: np.random.Generator, column: Flag | Number) -> UnitMix | None:
    draw, other = rng.random(), column.other_unit
    if other is None or draw >= other.stated + other.unstated:
        return None
    return "stated" if draw < other.stated else "unstated"

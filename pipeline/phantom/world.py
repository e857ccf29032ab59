"""What a world is made of: its scanners, the facts about its patients, and how these make risks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import expit

from pipeline.phantom.scan import Scan
from pipeline.phantom.site import Site

DrawScan = Callable[[np.random.Generator, Site, float | None, str], Scan]
"""Generator, scanner, radius of the finding in mm or None, Frame of Reference UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A table column that says yes or no."""

    name: str
    """Its column."""
    chance: float
    """Of a yes."""
    missing: float = 0.1
    """Chance that nobody recorded it, for an average patient."""
    missing_slope: float = 0.0
    """Log-odds that a yes adds to being missing, and a no takes away."""
    states_outcome: str = ""
    """The task whose outcome a row made after the scan puts here."""

    def draw(self, rng: np.random.Generator) -> float:
        """Draw 1 for a yes, 0 for a no."""
        return float(rng.random() < self.chance)

    def value(self, score: float) -> float:
        """Give the column's value, which is the score itself."""
        return score

    def earlier(self, rng: np.random.Generator, score: float, *, years: float) -> float:
        """Give the value of an earlier record: the same."""
        return score

    def extreme(self, *, is_high: bool) -> float:
        """Give the score that states an outcome."""
        return float(is_high)

    def written(self, value: float) -> str:
        """Write it as a record would."""
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A table column that holds a number; normal, or normal in its logarithm."""

    name: str
    """Its column."""
    mean: float
    """Of the number, or of its natural logarithm."""
    sd: float
    """The same."""
    low: float
    """Smallest; smaller draws become this."""
    high: float
    """Largest."""
    is_log: bool = False
    """Whether ``mean`` and ``sd`` are of the logarithm."""
    decimals: int = 0
    """As written."""
    per_year: float = 0.0
    """How it grows with time."""
    drift: float = 0.3
    """How far, in standard deviations, an earlier record lies from the present one."""
    missing: float = 0.1
    """Chance that nobody recorded it, for an average patient."""
    missing_slope: float = 0.0
    """Log-odds that a standard deviation adds to being missing."""
    states_outcome: str = ""
    """The task whose outcome a row made after the scan puts here, as a high or a low number."""

    def draw(self, rng: np.random.Generator) -> float:
        """Draw standard deviations from the mean."""
        return float(rng.standard_normal())

    def value(self, score: float) -> float:
        """Turn standard deviations from the mean into the column's number."""
        raw = self.mean + self.sd * score
        return float(np.clip(np.exp(raw) if self.is_log else raw, self.low, self.high))

    def earlier(self, rng: np.random.Generator, score: float, *, years: float) -> float:
        """Give the value of a record made some years ago."""
        return self.value(score + self.drift * rng.standard_normal()) - self.per_year * years

    def extreme(self, *, is_high: bool) -> float:
        """Give the score that states an outcome."""
        return 2.5 if is_high else -1.5

    def written(self, value: float) -> str:
        """Write it as a record would."""
        return f"{value:.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Status:
    """One thing that may be so about a topic, and how people write it."""

    name: str
    """Becomes the fact ``<topic>_<name>``."""
    share: float
    """Of the patients."""
    sentences: tuple[str, ...] = ()
    """Paraphrases; none if it is never mentioned."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that only the notes tell."""

    name: str
    """Short name."""
    statuses: tuple[Status, ...]
    """Exactly one is true of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A task's true log-odds: a sum over facts."""

    task: str
    """Its column in labels.csv."""
    intercept: float
    """Log-odds when every fact is zero."""
    weights: Mapping[str, float]
    """Log-odds for each fact; a number counts in standard deviations from its mean."""
    unknown: float = 0.04
    """Share of patients whose label is not known."""
    outcome_notes: tuple[tuple[str, ...], tuple[str, ...]]
    """How notes written after the scan state a bad outcome, and a good one."""

    def probability(self, facts: Mapping[str, float]) -> float:
        """Give the true probability."""
        logit = self.intercept + sum(w * facts.get(name, 0.0) for name, w in self.weights.items())
        return float(expit(logit))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A kind of patient, scan and clinical question."""

    name: str
    """As on the command line."""
    prefix: str
    """First letters of its patients' IDs."""
    modality: Literal["CT", "MR"]
    """Modality (0008,0060)."""
    body_part: str
    """Body Part Examined (0018,0015)."""
    description: str
    """Series Description (0008,103E)."""
    sites: tuple[Site, ...]
    """Scanners, equally often used."""
    draw_scan: DrawScan
    """Makes an image."""
    finding: str
    """What the image may show; also the task that asks for it and the name of its mask."""
    finding_chance: float
    """Of a scan that shows it."""
    radius_mm: tuple[float, float]
    """Smallest and largest finding."""
    columns: tuple[Flag | Number, ...]
    """Table columns beside ``sex``."""
    topics: tuple[Topic, ...]
    """What the notes tell."""
    small_talk: tuple[str, ...]
    """Sentences of no consequence."""
    openings: Mapping[str, tuple[str, ...]] = field(repr=False)
    """First sentences for each kind of note; ``{age}`` and ``{person}`` are filled in."""
    risks: tuple[Risk, ...]
    """The tasks."""

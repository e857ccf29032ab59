"""What a world is made of: the facts about its patients, and how these make risks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.phantom.anatomy import Anatomy
from pipeline.phantom.site import Site

Family = Literal["a", "b"]
"""A generator family: its words, its way to draw a finding, and its sites."""
FAMILIES: tuple[Family, ...] = ("a", "b")

Values = NDArray[np.float64]
ONE = "one"
"""The fact that is 1 for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUnit:
    """A second unit in which some clinics report a number."""

    name: str
    """As they write it."""
    per_unit: float
    """How many of it make one of the column's own unit."""
    decimals: int = 0
    """As written."""
    stated: float = 0.05
    """Share of the patients whose values come in it, and say so."""
    unstated: float = 0.05
    """Share of the patients whose values come in it, and do not say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A table column that says yes or no; its fact is 1 or 0."""

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
    unit: str = ""
    """None."""
    other_unit: None = None
    """None."""

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a fact."""
        return float(rng.random() < self.chance)

    def states(self) -> tuple[Values, Values]:
        """Give every fact and its prior probability."""
        return np.array([0.0, 1.0]), np.array([1.0 - self.chance, self.chance])

    def missing_chance(self, fact: Values | float) -> Values:
        """Give the chance that it was never recorded, which depends on what it would say."""
        slope = self.missing_slope * (np.asarray(fact) - 0.5)
        return np.asarray(expit(logit(self.missing) + slope))

    def value(self, fact: float) -> float:
        """Give the column's value, which is the fact itself."""
        return fact

    def earlier(self, rng: np.random.Generator, fact: float, *, years: float) -> float:
        """Give the value of an earlier record: the same."""
        return fact

    def extreme(self, *, is_high: bool) -> float:
        """Give the fact that states an outcome."""
        return float(is_high)

    def written(self, value: float) -> str:
        """Write it as a record would."""
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A table column that holds a number, normal or normal in its logarithm.

    Its fact is the written number's distance from the mean in standard deviations.
    """

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
    unit: str = ""
    """Its own unit."""
    other_unit: OtherUnit | None = None
    """A unit in which some write it."""

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a fact."""
        return float(self._fact(np.array([rng.standard_normal()]))[0])

    def states(self, n: int = 24) -> tuple[Values, Values]:
        """Give facts of equal prior probability: the middles of so many quantiles."""
        from scipy.stats import norm  # noqa: PLC0415

        middles = norm.ppf((np.arange(n) + 0.5) / n)
        return self._fact(middles), np.full(n, 1.0 / n)

    def _fact(self, score: Values) -> Values:
        """Round and bound as the record does, so that a record tells the fact exactly."""
        number = self._number(score)
        raw = np.log(number) if self.is_log else number
        return np.asarray((raw - self.mean) / self.sd)

    def _number(self, score: Values) -> Values:
        raw = self.mean + self.sd * score
        number = np.clip(np.exp(raw) if self.is_log else raw, self.low, self.high)
        return np.asarray(np.round(number, self.decimals))

    def missing_chance(self, fact: Values | float) -> Values:
        """Give the chance that it was never recorded, which depends on what it would say."""
        return np.asarray(expit(logit(self.missing) + self.missing_slope * np.asarray(fact)))

    def value(self, fact: float) -> float:
        """Turn a fact into the column's number."""
        return float(self._number(np.array([fact]))[0])

    def earlier(self, rng: np.random.Generator, fact: float, *, years: float) -> float:
        """Give the value of a record made some years ago."""
        return self.value(fact + self.drift * rng.standard_normal()) - self.per_year * years

    def extreme(self, *, is_high: bool) -> float:
        """Give the fact that states an outcome."""
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
    told: float
    """Chance that the notes mention it; so a topic that is not mentioned tells something too."""
    phrases: Mapping[Family, tuple[str, ...]] = field(repr=False)
    """Sentence templates of each family."""


def sided(side: str, phrases: Mapping[Family, tuple[str, ...]]) -> Mapping[Family, tuple[str, ...]]:
    """Write phrases about one side; ``{side}`` stands for it."""
    return {
        family: tuple(phrase.replace("{side}", side) for phrase in mine)
        for family, mine in phrases.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Something that only the notes tell."""

    name: str
    """Short name."""
    section: str
    """Under which heading it stands, in notes that have headings."""
    statuses: tuple[Status, ...]
    """Exactly one is true of a patient."""
    may_change: bool = False
    """Whether an older note may state another status; the newest holds."""
    distractors: Mapping[Family, tuple[str, ...]] = field(repr=False)
    """Sentences that sound like it and are about relatives, the past or something else."""
    distracted: float = 0.25
    """Chance of such a sentence."""


@dataclass(frozen=True, slots=True)
class Product:
    """A pure interaction: counts where all its facts do."""

    weight: float
    """Log-odds."""
    facts: tuple[str, ...]
    """Names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A task's true log-odds: a sum over facts, and over products of facts."""

    task: str
    """Its column in labels.csv."""
    intercept: float
    """Log-odds when every fact is zero."""
    weights: Mapping[str, float]
    """Log-odds for each fact."""
    products: tuple[Product, ...] = ()
    """Scaled by the strength of the interaction."""
    instead: Mapping[str, float] = field(default_factory=dict)
    """Log-odds for each fact, scaled by what the interaction lacks in strength: with it off, the
    same facts still matter, each for itself."""
    unknown: float = 0.04
    """Share of patients whose label is not known."""
    outcome_notes: tuple[tuple[str, ...], tuple[str, ...]] = field(repr=False)
    """How notes written after the scan state a bad outcome, and a good one."""

    @property
    def facts(self) -> frozenset[str]:
        """The facts that it depends on."""
        named = {name for product in self.products for name in product.facts}
        return frozenset({*self.weights, *named, *self.instead} - {ONE})

    def probability(self, facts: Mapping[str, Values | float], interaction: float) -> Values:
        """Give the true probability, for one patient or, by broadcasting, for many."""
        known = {ONE: 1.0, **facts}
        total = np.asarray(self.intercept, dtype=np.float64)
        for name, weight in self.weights.items():
            total = total + weight * known[name]
        for product in self.products:
            term = np.asarray(interaction * product.weight)
            for name in product.facts:
                term = term * known[name]
            total = total + term
        for name, weight in self.instead.items():
            total = total + (1.0 - interaction) * weight * known[name]
        return np.asarray(expit(total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a finding is, as one number from -1 to 1 along an axis of the body."""

    name: str
    """Becomes the fact ``<finding>_<name>``."""
    direction: tuple[float, float, float]
    """Unit vector, LPS."""
    middle_mm: float
    """Where the number is 0."""
    half_mm: float
    """Distance from there to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The words of one family of notes."""

    headings: Mapping[str, str]
    """Section to heading."""
    openings: Mapping[str, tuple[str, ...]]
    """First sentences for each kind of note."""
    small_talk: tuple[str, ...]
    """Sentences of no consequence."""
    slots: Mapping[str, tuple[str, ...]]
    """What may stand for ``{slot}`` in a template."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
    is_table_long: bool
    """Whether tabular.csv has a row for each value, with its unit, or a column for each."""
    sites: Mapping[Family, tuple[Site, ...]]
    """Scanners, equally often used."""
    anatomy: Anatomy
    """How its images are drawn."""
    finding: str
    """What the image may show; also the task that asks for it and the name of its mask."""
    finding_chance: float
    """Of a patient who has it."""
    radius_mm: tuple[float, float]
    """Smallest and largest finding."""
    place: Place
    """The place of a finding that counts, beside its side."""
    columns: tuple[Flag | Number, ...]
    """Table columns beside ``sex``."""
    topics: tuple[Topic, ...]
    """What the notes tell."""
    language: Mapping[Family, Language] = field(repr=False)
    """Words."""
    risks: tuple[Risk, ...]
    """The tasks."""
    timed: str
    """The task whose event also comes with its time."""

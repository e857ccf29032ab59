"""What a cohort holds, seen before anything is trained on it."""

from datetime import datetime

from pydantic import Field

from schemas.base import FrozenModel
from schemas.issue import IssueCode, Severity
from schemas.metrics import Interval


class Bar(FrozenModel):
    """One bar of a distribution, or one row of a count."""

    label: str
    """What is counted; of a number, its lower edge."""
    n: int = Field(ge=0)
    """As a case reads it."""
    n_uncut: int = Field(default=0, ge=0)
    """As it would be read without the time rule: the difference is what the rule changes."""


class Distribution(FrozenModel):
    """How one quantity is spread over the studies."""

    bars: tuple[Bar, ...]
    """In order."""
    low: float | None = None
    """Lower edge of the first bar of a number; smaller ones are in it."""
    high: float | None = None
    """Upper edge of the last bar of a number; larger ones are in it."""
    quartiles: tuple[float, float, float] | None = None
    """25 %, 50 % and 75 % of a number, as a case reads it."""


class VariableView(FrozenModel):
    """One table column or one concept of the notes."""

    name: str
    """The protocol's name."""
    label: str
    """What a reader sees."""
    unit: str = ""
    """Unit of a number."""
    n: int
    """Studies in which it has a value at the scan."""
    n_uncut: int
    """Studies in which it would have one without the time rule."""
    spread: Distribution
    """Its values."""


class SeriesView(FrozenModel):
    """What became of the series."""

    chosen: tuple[Bar, ...]
    """For each named series of the protocol, the studies that have it."""
    n_refused: int
    """Series that cannot become a volume."""
    refused: tuple[Bar, ...]
    """Why, by issue code; a series may have several."""
    left_out: tuple[Bar, ...]
    """Usable series that were not chosen, by reason; numbers in a reason are left out."""


class NotesView(FrozenModel):
    """The notes that cases read."""

    n: int
    """Notes, counted once for each study that reads them."""
    n_uncut: int
    """The same without the time rule."""
    n_studies: int
    """Studies with at least one."""
    kinds: tuple[Bar, ...]
    """By kind."""
    per_study: Distribution
    """How many a study has."""
    words: Distribution
    """How long they are, in words."""


class OutcomeView(FrozenModel):
    """One outcome that a task may have."""

    label: str
    """`positive`, a class, or `events` of a survival task."""
    n: int = Field(ge=0)
    """Studies that had it."""
    share: Interval | None
    """Of the known, with Wilson's 95 % interval; None if nothing is known, and for events, whose
    share depends on how long patients were followed."""


class LabelView(FrozenModel):
    """The known outcomes of one task."""

    task: str
    """The protocol's name."""
    question: str
    """In plain words."""
    n_known: int
    """Studies whose outcome is known."""
    outcomes: tuple[OutcomeView, ...]
    """One of a binary or survival task; each class of another, in the protocol's order."""
    median_days: float | None = None
    """Of a survival task: median of the days to the event or to when the patient was last seen
    free of it; None if nothing is known."""


class IssueView(FrozenModel):
    """One kind of issue in the cohort."""

    code: IssueCode
    """Which."""
    severity: Severity
    """The heaviest met."""
    n_studies: int
    """Studies that have it."""
    example: str
    """What one of them says."""
    studies: tuple[str, ...]
    """The first Study Instance UIDs."""


class TimeRuleView(FrozenModel):
    """What the time rule left out."""

    n_after_scan: int
    """Records made after the scan, over all studies."""
    n_studies_after_scan: int
    """Studies with such a record."""
    n_too_old: int
    """Records older than the look-back."""
    n_studies_too_old: int
    """Studies with such a record."""
    n_studies_undated: int
    """Studies with a record that needs a time and has none."""


class Inspection(FrozenModel):
    """All that `synopt inspect` found."""

    title: str
    """The protocol's."""
    is_simulated: bool
    """Whether the protocol says so."""
    look_back_days: int
    """The protocol's."""
    n_studies: int
    """Studies."""
    n_patients: int
    """Different Patient IDs."""
    n_withheld: int
    """Studies that an error keeps from any result."""
    first_study: datetime | None
    """Earliest acquisition."""
    last_study: datetime | None
    """Latest acquisition."""
    skipped: tuple[Bar, ...]
    """Files and records that were left aside, by reason."""
    record_faults: tuple[str, ...]
    """What of the records could not be read or is in doubt: source, place and reason."""
    series: SeriesView
    """Series."""
    columns: tuple[VariableView, ...]
    """Table columns."""
    concepts: tuple[VariableView, ...]
    """Concepts of the notes."""
    notes: NotesView
    """Notes."""
    labels: tuple[LabelView, ...]
    """Outcomes; empty if the cohort has none."""
    n_unlabelled: int
    """Studies without a row of labels."""
    time_rule: TimeRuleView
    """What was left out."""
    issues: tuple[IssueView, ...]
    """Heaviest first, then most frequent."""

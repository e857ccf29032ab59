"""How a task's raw score becomes a probability, a set and a decision."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.base import FrozenModel
from schemas.task import Goal

Method = Literal[
    "temperature", "platt", "beta", "four_parameter_logistic", "isotonic", "venn_abers"
]
StepMethod = Literal["temperature", "platt", "vector"]
StepKind = Literal["multiclass", "ordinal", "survival"]
ROUNDING = 1e-9


class VennAbersRange(FrozenModel):
    """p0 and p1 of an inductive Venn-Abers predictor (Vovk and Petej, 2014), by score.

    What isotonic regression on the calibration cases says of a case if it is added to them without
    the outcome, and with it. Both are step functions that never fall.
    """

    lower_knots: tuple[float, ...] = Field(min_length=1)
    """Scores, rising; p0 is 0 below the first of them."""
    lower: tuple[Annotated[float, Field(ge=0, lt=1)], ...]
    """p0 from each of them on, up to the next."""
    upper_knots: tuple[float, ...] = Field(min_length=1)
    """Scores, rising; p1 is 1 above the last of them."""
    upper: tuple[Annotated[float, Field(gt=0, le=1)], ...]
    """p1 up to each of them, it included, from the one before on."""

    @model_validator(mode="after")
    def _whole(self) -> "VennAbersRange":
        sides = ((self.lower_knots, self.lower), (self.upper_knots, self.upper))
        if any(len(knots) != len(levels) for knots, levels in sides):
            msg = "a Venn-Abers range needs as many levels as knots"
            raise ValueError(msg)
        if any(list(values) != sorted(set(values)) for side in sides for values in side):
            msg = "knots and levels of a Venn-Abers range must rise"
            raise ValueError(msg)
        return self


class CalibrationMap(FrozenModel):
    """Score to probability, monotone.

    `temperature` and `platt`: sigmoid(slope x + intercept). `beta`: the same with another slope
    below zero, joined smoothly. `four_parameter_logistic`: floor + (ceiling - floor)
    sigmoid(slope x + intercept). `isotonic`: straight lines between the knots. `venn_abers`:
    p1 / (1 - p0 + p1), of steps.
    """

    method: Method
    """How it was fitted."""
    slope: float = Field(default=1.0, ge=0)
    """Of high scores; of all but for `beta`."""
    slope_low: float = Field(default=1.0, ge=0)
    """Of low scores; used by `beta` alone."""
    intercept: float = 0.0
    """Log-odds; 0 for `temperature`."""
    floor: float = Field(default=0.0, ge=0, lt=1)
    """Probability that no score falls below; 0 for all but `four_parameter_logistic`."""
    ceiling: float = Field(default=1.0, gt=0, le=1)
    """Probability that no score exceeds; 1 for all but `four_parameter_logistic`."""
    knots: tuple[float, ...] = ()
    """Scores, rising; used by `isotonic` alone."""
    levels: tuple[float, ...] = ()
    """Probabilities at the knots, never falling."""
    venn_abers: VennAbersRange | None = None
    """p0 and p1; of `venn_abers` alone."""

    @model_validator(mode="after")
    def _whole(self) -> "CalibrationMap":
        if len(self.knots) != len(self.levels) or (self.method == "isotonic") != bool(self.knots):
            msg = "an isotonic map needs as many levels as knots, and only it has any"
            raise ValueError(msg)
        if (self.method == "venn_abers") != (self.venn_abers is not None):
            msg = "a Venn-Abers map needs p0 and p1, and only it has any"
            raise ValueError(msg)
        is_held = 0.0 < self.floor < self.ceiling < 1.0
        is_free = (self.floor, self.ceiling) == (0.0, 1.0)
        if not (is_held if self.method == "four_parameter_logistic" else is_free):
            msg = "a four-parameter logistic needs 0 < floor < ceiling < 1, and only it has them"
            raise ValueError(msg)
        return self


class SubsetShift(FrozenModel):
    """What is changed where only some modalities were there."""

    present: tuple[str, ...]
    """The modalities that were there."""
    slope: float = Field(ge=0)
    """On the log-odds of the common map."""
    intercept: float
    """Added to them."""
    n_cases: int = Field(ge=0)
    """Calibration cases behind it."""


class ConformalThresholds(FrozenModel):
    """From which probability of a class on it may not be ruled out."""

    coverage: float = Field(gt=0, lt=1)
    """Share of each class's cases whose set holds the truth, at least."""
    negative: float = Field(ge=0, le=1)
    """"0" is in the set where 1 - probability is at least this."""
    positive: float = Field(ge=0, le=1)
    """"1" is in the set where the probability is at least this."""
    n_negative: int = Field(ge=1)
    """Negatives it was set on."""
    n_positive: int = Field(ge=1)
    """Positives it was set on."""


class SubsetThresholds(ConformalThresholds):
    """The same for cases in which only some modalities were there."""

    present: tuple[str, ...]
    """The modalities that were there."""


class GroupThresholds(ConformalThresholds):
    """The same for cases with every modality and one value of the task's ``sets_by``."""

    value: str
    """That value, as text."""
    group: str
    """The same in words, with its variable."""


class OperatingPoint(FrozenModel):
    """A threshold with a guaranteed property."""

    goal: Goal
    """What is guaranteed."""
    at_least: float = Field(gt=0, lt=1)
    """How much of it."""
    confidence: float = Field(gt=0, lt=1)
    """With which confidence over the draw of the patients it was set on."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Positive from this probability on; None if no threshold can be guaranteed."""
    n_cases: int = Field(ge=1)
    """Patients it was set on."""
    n_events: int = Field(ge=0)
    """Positives among them."""


class Recalibration(FrozenModel):
    """A site's own outcomes, put on top of what the bundle had."""

    slope: float = Field(gt=0)
    """On the log-odds; 1 if only the intercept was updated."""
    intercept: float
    """Added to them."""
    n_cases: int = Field(ge=1)
    """Of the site."""
    n_events: int = Field(ge=1)
    """Positives among them."""
    intercept_sd: float = Field(ge=0)
    """Standard error of what was added, log-odds."""
    slope_sd: float = Field(default=0.0, ge=0)
    """Standard error of the slope; 0 if it was never refitted, or by an earlier version."""
    covariance: float = 0.0
    """Of what was added and the slope."""
    labels_sha256: str
    """Hash of the file with the outcomes."""
    from_bundle_sha256: str
    """Identity of the bundle that was recalibrated."""

    @model_validator(mode="after")
    def _possible(self) -> "Recalibration":
        if not abs(self.covariance) <= self.intercept_sd * self.slope_sd * (1 + ROUNDING):
            msg = "the covariance of intercept and slope exceeds their standard errors"
            raise ValueError(msg)
        return self


class AbsentSpread(FrozenModel):
    """How far reading what is absent would have moved the answer."""

    present: tuple[str, ...]
    """The modalities that were there."""
    sd: float = Field(ge=0)
    """Root mean square over calibration cases that had all, calibrated log-odds."""


class IntervalModel(FrozenModel):
    """What an interval takes beside one case's own scores by each network of the ensemble."""

    level: float = Field(gt=0, lt=1)
    """How often it is meant to hold the true probability."""
    n_members: int = Field(ge=3)
    """Networks of the ensemble."""
    typical_score_variance: float = Field(gt=0)
    """Among the members' raw scores of one case, log-odds squared: the scale around which such
    variances lie."""
    mean_score_variance: float = Field(ge=0)
    """Their mean over calibration cases, which a few large ones raise."""
    typical_df: float = Field(gt=0)
    """How many degrees of freedom that is worth beside a case's own."""
    knots: tuple[float, ...] = Field(min_length=1)
    """Raw scores, rising."""
    map_sd: tuple[float, ...] = Field(min_length=1)
    """At the knots: standard error of the calibration map, log-odds."""
    whole: tuple[str, ...] = ("image", "notes", "table")
    """The modalities of cases that lack none: all that some calibration cases had together."""
    absent: tuple[AbsentSpread, ...] = ()
    """For cases that lack a modality."""

    @model_validator(mode="after")
    def _fits(self) -> "IntervalModel":
        if len(self.knots) != len(self.map_sd):
            msg = "an interval needs as many standard errors as knots"
            raise ValueError(msg)
        return self


class NestedLoss(FrozenModel):
    """What calibration achieves on patients that neither chose the method nor fitted the map.

    Each outer fold is left out of the whole procedure, the choice among the methods included; the
    loss by which the winner was chosen flatters it.
    """

    log_loss: float = Field(ge=0)
    """Nats, mean over the cases of the common map."""
    log_loss_uncalibrated: float = Field(ge=0)
    """Of the raw logits of the same cases."""
    methods: tuple[Method, ...] = Field(min_length=2)
    """What was chosen without each outer fold."""
    n_cases: int = Field(ge=1)
    """Cases behind it."""


class Calibrator(FrozenModel):
    """All of this for one binary task."""

    task: str
    """The task."""
    map: CalibrationMap
    """Common to all cases."""
    shifts: tuple[SubsetShift, ...] = ()
    """For cases that lack a modality."""
    conformal: ConformalThresholds | None = None
    """For the set; None where there were too few cases."""
    conformal_apart: tuple[SubsetThresholds, ...] = ()
    """For the sets of cases with just these modalities, where there were enough cases."""
    conformal_groups: tuple[GroupThresholds, ...] = ()
    """For the sets of cases with every modality, by their value of ``sets_by``."""
    operating: tuple[OperatingPoint, ...] = ()
    """Thresholds that the protocol asks for."""
    nested: NestedLoss | None = None
    """Log loss of the whole procedure; None where a class has too few patients for two rounds of
    folds."""
    interval: IntervalModel | None = None
    """For the interval; None of a bundle with fewer than three networks."""
    recalibration: Recalibration | None = None
    """A site's own."""
    n_cases: int = Field(ge=1)
    """Labelled calibration cases."""
    n_events: int = Field(ge=1)
    """Positives among them."""
    chance_p: float | None = Field(default=None, ge=0, le=1)
    """One-sided p-value of a score that ranks the calibration cases no better than chance; None in
    a bundle of an earlier version."""


class StepMap(FrozenModel):
    """Raw steps to calibrated ones: slope x + intercept, the slope common to all steps.

    The steps are the logits of the classes, the cumulative logits of levels, or the log-odds of an
    event in each span of time. What a step gets is the same in every case.
    """

    method: StepMethod
    """`temperature`: the slope alone. `platt`: one intercept for all steps. `vector`: one for each
    step."""
    slope: float = Field(gt=0)
    """Of all steps."""
    intercepts: tuple[float, ...] = Field(min_length=1)
    """Log-odds, one a step."""


class StepShift(FrozenModel):
    """What is changed where only some modalities were there."""

    present: tuple[str, ...]
    """The modalities that were there."""
    slope: float = Field(gt=0)
    """On the steps of the common map."""
    intercepts: tuple[float, ...] = Field(min_length=1)
    """Added to them."""
    n_cases: int = Field(ge=0)
    """Calibration cases behind it."""


class ClassThresholds(FrozenModel):
    """From which probability of a class on it may not be ruled out."""

    coverage: float = Field(gt=0, lt=1)
    """Share of each class's cases whose set holds the truth, at least."""
    least: tuple[float, ...] = Field(min_length=3)
    """For each class; 0 where it had too few cases ever to be ruled out."""
    n_cases: tuple[int, ...] = Field(min_length=3)
    """Of each class, that it was set on."""


class SubsetClassThresholds(ClassThresholds):
    """The same for cases in which only some modalities were there."""

    present: tuple[str, ...]
    """The modalities that were there."""


class StepCalibrator(FrozenModel):
    """All of this for one task of several classes, levels or horizons."""

    task: str
    """The task."""
    kind: StepKind
    """The form of the answer."""
    map: StepMap
    """Common to all cases."""
    shifts: tuple[StepShift, ...] = ()
    """For cases that lack a modality."""
    conformal: ClassThresholds | None = None
    """For the set; None for `survival`, or where every class had too few cases."""
    conformal_apart: tuple[SubsetClassThresholds, ...] = ()
    """For the sets of cases with just these modalities, where there were enough cases."""
    n_cases: int = Field(ge=1)
    """Labelled calibration cases; for `survival` those seen through a span at least."""
    n_events: int = Field(ge=1)
    """Cases outside the commonest class, or events by the last horizon."""
    chance_p: float | None = Field(default=None, ge=0, le=1)
    """One-sided p-value of a score that ranks the calibration cases no better than chance; None in
    a bundle of an earlier version."""


AnyCalibrator = Calibrator | StepCalibrator

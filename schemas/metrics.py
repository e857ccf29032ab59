"""How well a task's probabilities did on patients on whom nothing was fitted."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel
from schemas.doubt import Doubt
from schemas.task import Goal


class Interval(FrozenModel):
    """A statistic with its confidence interval."""

    value: float
    """Point estimate."""
    lower: float
    """2.5 % bound, patient bootstrap."""
    upper: float
    """97.5 % bound."""


class ReliabilityBin(FrozenModel):
    """Cases of similar probability."""

    predicted: float
    """Mean probability."""
    observed: float
    """Share of positives."""
    lower: float
    """2.5 % bound of that share, exact binomial."""
    upper: float
    """97.5 % bound."""
    n_cases: int
    """Cases in the bin."""


class Reliability(FrozenModel):
    """Whether the probabilities mean what they say."""

    bins: tuple[ReliabilityBin, ...]
    """Of equal size, by rising probability."""
    ece: float
    """Expected calibration error over those bins."""
    ece_of_a_perfect_model: float
    """Mean expected calibration error if outcomes were drawn from these very probabilities: what
    lies below it proves nothing."""
    ece_limit: float
    """The 95 % quantile of the same."""
    debiased_error: float
    """Root of the debiased squared error over the bins (Kumar et al., 2019)."""
    spiegelhalter_z: float
    """Standard normal if the probabilities are right (Spiegelhalter, 1986)."""
    spiegelhalter_p: float
    """Its two-sided p-value."""
    brier_miscalibration: float
    """What the Brier score would lose if each bin said what was observed in it (Murphy, 1973)."""
    brier_discrimination: float
    """How far the bins' observed shares differ from the overall one."""
    brier_uncertainty: float
    """Brier score of always saying the overall share."""


class Held(FrozenModel):
    """How often the conformal sets of some cases hold the truth."""

    answer: str
    """Which cases: those whose truth it is; empty for all."""
    n_cases: int = Field(ge=1)
    """Cases."""
    n_held: int = Field(ge=0)
    """Cases whose set holds the truth."""
    lower: float
    """2.5 % bound of that share, exact binomial (Clopper and Pearson, 1934)."""
    upper: float
    """97.5 % bound."""


class ConformalResult(FrozenModel):
    """How the conformal sets did."""

    coverage: float
    """Share of cases whose set holds the truth."""
    coverage_negative: float
    """The same among negatives."""
    coverage_positive: float
    """The same among positives."""
    mean_size: float
    """Labels in a set."""
    share_undecided: float
    """Share of cases whose set holds both."""
    share_empty: float = 0.0
    """Share of cases whose set holds neither."""
    held: tuple[Held, ...] = ()
    """Coverage of all, then of the cases of each answer, with exact bounds."""


class NetBenefit(FrozenModel):
    """One point of the decision curve (Vickers and Elkin, 2006)."""

    threshold: float
    """Probability from which one would act."""
    model: float
    """Net benefit of acting on the model, true positives a case."""
    all: float
    """Net benefit of acting on everyone; acting on no one has 0."""


class OperatingResult(FrozenModel):
    """How a threshold that promises a sensitivity or predictive value did."""

    goal: Goal
    """What it promises."""
    at_least: float
    """How much of it."""
    threshold: float
    """Positive from this probability on."""
    n_cases: int = Field(ge=1)
    """Cases that count: positives for sensitivity, those called positive for predictive value."""
    n_right: int = Field(ge=0)
    """Positives among them that were called so."""
    lower: float
    """2.5 % bound of `share`, exact binomial (Clopper and Pearson, 1934)."""
    upper: float
    """97.5 % bound."""

    @property
    def share(self) -> float:
        """What it does: the sensitivity, or the predictive value."""
        return self.n_right / self.n_cases


class Performance(FrozenModel):
    """One task on one group of patients."""

    group: str
    """Which patients: `all`, or a subgroup such as `sex: F`, `site: B`, `without notes`."""
    n_cases: int = Field(ge=1)
    """Labelled cases."""
    n_events: int = Field(ge=0)
    """Positives among them."""
    auroc: Interval | None = None
    """Area under the ROC curve; None where one class alone is there."""
    auprc: Interval | None = None
    """Area under the precision-recall curve (average precision)."""
    brier: Interval
    """Brier score."""
    log_loss: Interval
    """Log loss, nats."""
    slope: Interval | None = None
    """Of a logistic regression of the outcome on the log-odds; 1 if calibrated."""
    intercept: Interval | None = None
    """Of the same with the slope held at 1; 0 if calibrated in the large."""
    observed_to_expected: Interval
    """Events over the sum of probabilities."""
    reliability: Reliability | None = None
    """None below 50 cases."""
    conformal: ConformalResult | None = None
    """None without conformal sets."""
    net_benefit: tuple[NetBenefit, ...] = ()
    """The decision curve."""


class TaskMetrics(FrozenModel):
    """One binary task on the test patients."""

    task: str
    """The task."""
    whole: Performance
    """All of them."""
    groups: tuple[Performance, ...] = ()
    """By subgroup, site and modalities that were there."""
    log_loss_uncalibrated: float
    """Log loss of the raw logit."""
    prevalence_log_loss: float
    """Log loss of always saying the training prevalence."""
    train_prevalence: float
    """Share of positives among the training cases."""
    operating: tuple[OperatingResult, ...] = ()
    """What became of the promised thresholds, where there is one and a case counts for it."""
    doubts: tuple[Doubt, ...] = ()
    """What speaks against the probabilities; empty if nothing does."""


class ClassSetResult(FrozenModel):
    """How the conformal sets did."""

    coverage: float
    """Share of cases whose set holds the truth."""
    by_class: tuple[float | None, ...]
    """The same among the cases of each class; None where it has none."""
    mean_size: float
    """Labels in a set."""
    share_undecided: float
    """Share of cases whose set holds more than one."""
    share_empty: float = 0.0
    """Share of cases whose set holds none."""
    held: tuple[Held, ...] = ()
    """Coverage of all, then of the cases of each class, with exact bounds."""


class StepPerformance(FrozenModel):
    """One task of several classes, levels or horizons on one group of patients.

    Such a task is a row of yes-or-no questions: is it this class, is it at least this level, has
    the event come by this horizon. For `survival` each case counts by the inverse of its chance
    not to be censored.
    """

    group: str
    """Which patients: `all`, or a subgroup."""
    n_cases: int = Field(ge=1)
    """Labelled cases."""
    n_events: int = Field(ge=0)
    """Cases outside the commonest class, or events by the last horizon."""
    auroc: Interval | None = None
    """Mean over the questions; None where one of them has one answer only."""
    brier: Interval
    """`multiclass`: summed over classes (Brier, 1950). `ordinal`: the ranked probability score,
    mean over thresholds (Epstein, 1969). `survival`: mean over horizons (Graf et al., 1999)."""
    log_loss: Interval
    """Nats; for `survival` the mean over horizons."""
    kappa: Interval | None = None
    """Quadratic weighted kappa of the most probable level (Cohen, 1968); `ordinal` alone."""
    concordance: Interval | None = None
    """Share of the pairs whose order in time is known in which the earlier event has the higher
    risk by the last horizon (Harrell, 1982); `survival` alone, of all patients."""
    conformal: ClassSetResult | None = None
    """None without conformal sets."""


class StepMetrics(FrozenModel):
    """One task of several classes, levels or horizons on the test patients."""

    task: str
    """The task."""
    kind: Literal["multiclass", "ordinal", "survival"]
    """The form of the answer."""
    whole: StepPerformance
    """All of them."""
    groups: tuple[StepPerformance, ...] = ()
    """By subgroup, site and modalities that were there."""
    questions: tuple[Performance, ...]
    """One a class, one a level from the second on (is it at least this?), or one a horizon; `group`
    names it. A horizon leaves out who was censored before it, and weighs the others."""
    log_loss_uncalibrated: float
    """Log loss of the raw steps."""
    prevalence_log_loss: float
    """Log loss of always saying the training shares."""
    train_shares: tuple[float, ...]
    """Share of each class among the training cases, or of those with an event by each horizon
    (Kaplan and Meier, 1958)."""
    doubts: tuple[Doubt, ...] = ()
    """What speaks against the probabilities; empty if nothing does."""


AnyMetrics = TaskMetrics | StepMetrics

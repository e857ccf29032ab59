"""How well a task's probabilities did on patients on whom nothing was fitted."""

from pydantic import Field

from schemas.base import FrozenModel


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


class NetBenefit(FrozenModel):
    """One point of the decision curve (Vickers and Elkin, 2006)."""

    threshold: float
    """Probability from which one would act."""
    model: float
    """Net benefit of acting on the model, true positives a case."""
    all: float
    """Net benefit of acting on everyone; acting on no one has 0."""


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
    """One task on the test patients."""

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

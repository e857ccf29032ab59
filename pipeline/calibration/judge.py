"""One task's probabilities on test patients, whole and by group, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.coverage import held_by_answer
from pipeline.calibration.operating import judge_operating_points
from pipeline.calibration.reliability import decision_curve, reliability
from pipeline.calibration.statistics import (
    Statistic,
    auprc,
    auroc,
    brier,
    calibration_intercept,
    calibration_slope,
    log_loss,
    observed_to_expected,
    patient_weights,
)
from pipeline.errors import CalibrationError
from schemas.calibration import OperatingPoint
from schemas.metrics import ConformalResult, Interval, Performance, TaskMetrics

MIN_GROUP = 20

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a bundle said of some cases, and what came of them.

    Parameters
    ----------
    probability : shape (n,), or (n, O) of a task with several outcomes
        Calibrated, each by its own subset's map.
    raw_probability : of the same shape
        Of the raw logits, for comparison.
    labels : shape (n,), 0 or 1; or (n, L) without NaN
    patients : shape (n,)
        Whose case it is; patients, not cases, are drawn.
    sets
        Conformal set of each case, which may be empty; None without thresholds.
    """

    probability: Array
    raw_probability: Array
    labels: Array
    patients: NDArray[np.str_]
    sets: tuple[tuple[str, ...] | None, ...]

    def chosen(self, flags: NDArray[np.bool_]) -> "Answers":
        """Return some of the cases; flags of shape (n,)."""
        return Answers(
            self.probability[flags], self.raw_probability[flags], self.labels[flags],
            self.patients[flags],
            tuple(held for held, is_in in zip(self.sets, flags, strict=True) if is_in),
        )  # fmt: skip


def judge(
    task: str,
    answers: Answers,
    *,
    train_prevalence: float,
    groups: Mapping[str, NDArray[np.bool_]] | None = None,
    operating: Sequence[OperatingPoint] = (),
) -> TaskMetrics:
    """Return discrimination and calibration of one task, with 95 % patient-bootstrap intervals.

    Parameters
    ----------
    answers
        On patients on whom nothing was fitted.
    train_prevalence
        What the comparison "always the prevalence" says.
    groups
        Which cases belong to each group, shape (n,) each; groups of fewer than ``MIN_GROUP`` cases
        are left out.
    operating
        Thresholds that promise something of all cases.

    Raises
    ------
    CalibrationError
        If only one class is there.
    """
    labels = answers.labels
    if not 0 < labels.sum() < len(labels):
        msg = f"task {task}: the judged cases hold one class only: use a larger cohort"
        raise CalibrationError(msg)
    once = np.ones((1, len(labels)))
    usual = np.full(len(labels), train_prevalence)
    return TaskMetrics(
        task=task,
        whole=_performance("all", answers),
        groups=tuple(
            _performance(name, answers.chosen(flags))
            for name, flags in (groups or {}).items()
            if flags.sum() >= MIN_GROUP
        ),
        log_loss_uncalibrated=float(log_loss(labels, answers.raw_probability, once)[0]),
        prevalence_log_loss=float(log_loss(labels, usual, once)[0]),
        train_prevalence=train_prevalence,
        operating=judge_operating_points(operating, answers.probability, labels),
    )


def _performance(name: str, answers: Answers) -> Performance:
    p, y = answers.probability, answers.labels
    weights = patient_weights(answers.patients)

    def interval(statistic: Statistic) -> Interval:
        return paired_difference(statistic(y, p, weights))

    has_both = 0 < y.sum() < len(y)
    return Performance(
        group=name,
        n_cases=len(y),
        n_events=int(y.sum()),
        auroc=interval(auroc) if has_both else None,
        auprc=interval(auprc) if has_both else None,
        brier=interval(brier),
        log_loss=interval(log_loss),
        slope=interval(calibration_slope) if has_both else None,
        intercept=interval(calibration_intercept) if has_both else None,
        observed_to_expected=interval(observed_to_expected),
        reliability=reliability(y, p),
        conformal=_conformal(answers.sets, y) if has_both else None,
        net_benefit=decision_curve(y, p),
    )


def paired_difference(values: Array, others: Array | None = None) -> Interval:
    """Return a statistic with its 95 % bootstrap interval, or its difference from another's.

    Parameters
    ----------
    values, others : shape (1 + B,)
        The statistic on the cases themselves, then on each draw; both on the same draws.
    """
    differences = values if others is None else values - others
    lower, upper = np.nanpercentile(differences[1:], [2.5, 97.5])
    return Interval(value=float(differences[0]), lower=float(lower), upper=float(upper))


def _conformal(
    sets_or_none: Sequence[tuple[str, ...] | None], labels: Array
) -> ConformalResult | None:
    sets = [held for held in sets_or_none if held is not None]
    if len(sets) < len(labels):
        return None
    truth = [str(int(y)) for y in labels]
    is_held = np.array([one in kept for kept, one in zip(sets, truth, strict=True)])
    size = np.array([len(held) for held in sets])
    return ConformalResult(
        coverage=float(is_held.mean()),
        coverage_negative=float(is_held[labels == 0].mean()),
        coverage_positive=float(is_held[labels == 1].mean()),
        mean_size=float(size.mean()),
        share_undecided=float((size == 2).mean()),
        share_empty=float((size == 0).mean()),
        held=held_by_answer(sets, truth, ("0", "1")),
    )

"""One task of several classes, levels or horizons on test patients, whole and by group.

Shapes: n cases, O outcomes, L label columns, B draws of patients.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.coverage import held_by_answer
from pipeline.calibration.fit_steps import outcome_groups
from pipeline.calibration.judge import MIN_GROUP, Answers, paired_difference
from pipeline.calibration.questions import Question, mean_auroc, questions, task_log_loss
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
from pipeline.calibration.steps import step_kind
from pipeline.errors import CalibrationError
from schemas.metrics import ClassSetResult, Interval, Performance, StepMetrics, StepPerformance
from schemas.task import Task

ROWS_AT_ONCE = 500
PAIR_DRAWS = 200
"""Draws of patients for the concordance, which looks at every pair."""

Array = NDArray[np.float64]


def judge_steps(
    task: Task,
    answers: Answers,
    *,
    train_shares: tuple[float, ...],
    groups: Mapping[str, NDArray[np.bool_]],
) -> StepMetrics:
    """Return discrimination and calibration of one task, with 95 % patient-bootstrap intervals.

    Parameters
    ----------
    answers
        On patients on whom nothing was fitted.
    train_shares
        What the comparison "always the training shares" says.
    groups
        Which cases belong to each group, shape (n,) each; groups of fewer than ``MIN_GROUP`` cases
        are left out.

    Raises
    ------
    CalibrationError
        If only one outcome is there.
    """
    if len(np.unique(outcome_groups(task, answers.labels))) < 2:
        msg = f"task {task.name}: the judged cases hold one outcome only: use a larger cohort"
        raise CalibrationError(msg)
    labels, once = answers.labels, np.ones((1, len(answers.labels)))
    asked = questions(task, answers.probability, labels)
    unknown = [one.name for one in asked if not one.weights.any()]
    if unknown:
        msg = f"task {task.name}: of no test case is it known whether the event came {unknown[0]}: "
        raise CalibrationError(msg + "take shorter horizons_days, or a cohort watched for longer")
    usual = np.tile(train_shares, (len(labels), 1))
    drawn = patient_weights(answers.patients)
    return StepMetrics(
        task=task.name,
        kind=step_kind(task),
        whole=_performance(task, "all", answers, drawn),
        groups=tuple(
            _performance(task, name, answers.chosen(flags), None)
            for name, flags in groups.items()
            if flags.sum() >= MIN_GROUP and all(one.chosen(flags).weights.any() for one in asked)
        ),
        questions=tuple(_question(one, drawn) for one in asked),
        log_loss_uncalibrated=float(task_log_loss(task, answers.raw_probability, labels, once)[0]),
        prevalence_log_loss=float(task_log_loss(task, usual, labels, once)[0]),
        train_shares=train_shares,
    )  # fmt: skip


def _performance(task: Task, name: str, answers: Answers, drawn: Array | None) -> StepPerformance:
    """Judge a group; concordance, which compares all pairs, only where draws are handed in."""
    is_whole, labels = drawn is not None, answers.labels
    if drawn is None:
        drawn = patient_weights(answers.patients)
    asked = questions(task, answers.probability, labels)
    groups = outcome_groups(task, labels)
    n_events = groups.sum() if task.kind == "survival" else len(groups) - np.bincount(groups).max()
    losses = [one.statistic(brier, drawn) for one in asked]
    scale = len(asked) if task.kind == "multiclass" else 1
    has_all = all(one.has_both for one in asked)
    is_time = task.kind == "survival"
    return StepPerformance(
        group=name,
        n_cases=len(labels),
        n_events=int(n_events),
        auroc=paired_difference(mean_auroc(asked, drawn)) if has_all else None,
        brier=paired_difference(scale * np.mean(losses, axis=0)),
        log_loss=paired_difference(task_log_loss(task, answers.probability, labels, drawn)),
        kappa=_kappa(answers, drawn) if task.kind == "ordinal" else None,
        concordance=_concordance(answers, drawn) if is_time and is_whole else None,
        conformal=_sets(task, answers),
    )


def _question(asked: Question, drawn: Array) -> Performance:
    y, p = asked.labels, asked.probability
    is_whole = bool((asked.weights == 1.0).all())

    def interval(statistic: Statistic) -> Interval:
        return paired_difference(asked.statistic(statistic, drawn))

    return Performance(
        group=asked.name,
        n_cases=int((asked.weights > 0).sum()),
        n_events=int(y[asked.weights > 0].sum()),
        auroc=interval(auroc) if asked.has_both else None,
        auprc=interval(auprc) if asked.has_both else None,
        brier=interval(brier),
        log_loss=interval(log_loss),
        slope=interval(calibration_slope) if asked.has_both else None,
        intercept=interval(calibration_intercept) if asked.has_both else None,
        observed_to_expected=interval(observed_to_expected),
        # Bins and the decision curve count cases, which censored ones may not be left out of.
        reliability=reliability(y, p) if is_whole else None,
        net_benefit=decision_curve(y, p) if is_whole else (),
    )


def _kappa(answers: Answers, drawn: Array) -> Interval | None:
    """Return 1 - observed / expected squared distance of the most probable level (Cohen, 1968)."""
    n_levels = answers.probability.shape[1]
    levels = np.eye(n_levels)
    true = levels[answers.labels[:, 0].astype(np.int64)]
    said = levels[answers.probability.argmax(1)]
    distance = np.subtract.outer(np.arange(n_levels), np.arange(n_levels)) ** 2.0
    share = drawn / drawn.sum(1, keepdims=True)
    observed = share @ ((true @ distance) * said).sum(1)
    expected = np.einsum("bi,ij,bj->b", share @ true, distance, share @ said)
    if not expected[0] > 0:
        return None
    kappa = np.where(expected > 0, 1.0 - observed / np.maximum(expected, 1e-12), np.nan)
    return paired_difference(kappa)


def _concordance(answers: Answers, drawn: Array) -> Interval | None:
    """Return Harrell's C: pairs count in which one had the event while the other was watched."""
    days, event = answers.labels[:, 0], answers.labels[:, 1] > 0.5
    risk, drawn = answers.probability[:, -1], drawn[: PAIR_DRAWS + 1]
    wins, pairs = np.zeros(len(drawn)), np.zeros(len(drawn))
    first = np.flatnonzero(event)
    for start in range(0, len(first), ROWS_AT_ONCE):
        own = first[start : start + ROWS_AT_ONCE]
        later = (days > days[own, None]) | ((days == days[own, None]) & ~event)
        higher = (risk[own, None] > risk) + 0.5 * (risk[own, None] == risk)
        weight = drawn[:, own]
        pairs += (weight * (drawn @ later.T)).sum(1)
        wins += (weight * (drawn @ (later * higher).T)).sum(1)
    if not pairs[0] > 0:
        return None
    return paired_difference(np.where(pairs > 0, wins / np.maximum(pairs, 1e-12), np.nan))


def _sets(task: Task, answers: Answers) -> ClassSetResult | None:
    sets = [held for held in answers.sets if held is not None]
    if task.kind == "survival" or len(sets) < len(answers.labels):
        return None
    level = answers.labels[:, 0].astype(np.int64)
    names = [task.classes[number] for number in level]
    is_held = np.array([name in held for held, name in zip(sets, names, strict=True)])
    size = np.array([len(held) for held in sets])
    return ClassSetResult(
        coverage=float(is_held.mean()),
        by_class=tuple(
            float(is_held[level == number].mean()) if (level == number).any() else None
            for number in range(len(task.classes))
        ),
        mean_size=float(size.mean()),
        share_undecided=float((size > 1).mean()),
        share_empty=float((size == 0).mean()),
        held=held_by_answer(sets, names, task.classes),
    )

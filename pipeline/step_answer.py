"""One task's answer where it has several classes, levels or horizons."""

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import class_set, step_probabilities, thresholds_of
from pipeline.calibration.statistics import log_odds
from pipeline.calibration.steps import step_kind
from schemas.calibration import StepCalibrator
from schemas.metrics import StepMetrics
from schemas.prediction import Evidence, OutcomeProbability, RiskEstimate, StepAnswer
from schemas.task import Task


def step_answer(
    task: Task,
    calibrator: StepCalibrator,
    metrics: StepMetrics,
    steps: NDArray[np.float64],
    present: tuple[str, ...],
) -> StepAnswer:
    """Return all calibrated probabilities of one case.

    Parameters
    ----------
    metrics
        Hold the training shares to compare with.
    steps : shape (n_steps,), log-odds
        Before calibration.
    present
        The modalities that the network read.
    """
    values = step_probabilities(calibrator, steps[None], present)[0]
    shown = len(values) - 1 if task.kind == "survival" else int(values.argmax())
    levels = np.arange(1, len(values) + 1)
    return StepAnswer(
        kind=step_kind(task),
        outcomes=tuple(
            OutcomeProbability(label=label, probability=float(value), train_share=share)
            for label, value, share in zip(task.outcomes, values, metrics.train_shares, strict=True)
        ),
        shown=task.outcomes[shown],
        logit_of=_logit_of(task, shown),
        expected_level=float(levels @ values) if task.kind == "ordinal" else None,
    )


def _logit_of(task: Task, shown: int) -> str:
    match task.kind:
        case "multiclass":
            return f"{task.classes[shown]}, against the mean of the other classes"
        case "ordinal":
            return f"more than {task.classes[0]}; all higher levels share its evidence"
        case _:
            return f"an event {task.outcomes[0]}; all later spans share its evidence"


def step_estimate(
    task: Task,
    calibrator: StepCalibrator,
    answer: StepAnswer,
    logit: float,
    present: tuple[str, ...],
    evidence: Evidence,
) -> RiskEstimate:
    """Return the answer with its set and its evidence.

    Parameters
    ----------
    logit
        Log-odds, before calibration, of what ``answer.logit_of`` says.
    present
        The modalities that the network read.
    """
    values = np.array([outcome.probability for outcome in answer.outcomes])
    shown = float(values[task.outcomes.index(answer.shown)])
    return RiskEstimate(
        task=task.name,
        logit=logit,
        probability=shown,
        calibrated_logit=float(log_odds(np.array(shown))),
        label_set=class_set(task, thresholds_of(calibrator, present), values),
        evidence=evidence,
        steps=answer,
    )

"""How well a task's probabilities do on patients that nothing was fitted on."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pipeline.calibration.temperature import to_probability
from pipeline.errors import CalibrationError
from schemas.bundle import Calibrator, Interval, TaskMetrics

N_BOOTSTRAP = 1000

_Statistic = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


def judge(
    calibrator: Calibrator,
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    *,
    train_prevalence: float,
) -> TaskMetrics:
    """Return discrimination and calibration of one task, with 95 % patient-bootstrap intervals.

    Parameters
    ----------
    logits : shape (n,), log-odds before calibration
    labels : shape (n,), 0 or 1
    patients : shape (n,)
        Whose case it is; patients, not cases, are drawn.
    train_prevalence
        What the comparison "always the prevalence" says.

    Raises
    ------
    CalibrationError
        If only one class is there.
    """
    if not 0 < labels.sum() < len(labels):
        msg = f"task {calibrator.task}: the test part holds one class only: use a larger cohort"
        raise CalibrationError(msg)
    probability = to_probability(calibrator, logits)
    draws = _draws(patients)

    def interval(statistic: _Statistic) -> Interval:
        values = [
            statistic(labels[draw], probability[draw])
            for draw in draws
            if 0 < labels[draw].sum() < len(draw)
        ]
        lower, upper = np.percentile(values, [2.5, 97.5])
        return Interval(
            value=statistic(labels, probability), lower=float(lower), upper=float(upper)
        )

    raw = calibrator.model_copy(update={"slope": 1.0, "intercept": 0.0})
    constant = np.full(len(labels), train_prevalence)
    return TaskMetrics(
        task=calibrator.task,
        n_cases=len(labels),
        n_events=int(labels.sum()),
        auroc=interval(lambda y, p: float(roc_auc_score(y, p))),
        brier=interval(lambda y, p: float(brier_score_loss(y, p))),
        log_loss=interval(lambda y, p: float(log_loss(y, p))),
        log_loss_uncalibrated=float(log_loss(labels, to_probability(raw, logits))),
        prevalence_log_loss=float(log_loss(labels, constant)),
        train_prevalence=train_prevalence,
    )


def _draws(patients: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    names, codes = np.unique(patients, return_inverse=True)
    cases = [np.flatnonzero(codes == code) for code in range(len(names))]
    random = np.random.default_rng(0)
    return [
        np.concatenate([cases[code] for code in random.integers(0, len(names), len(names))])
        for _ in range(N_BOOTSTRAP)
    ]

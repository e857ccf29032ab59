"""Every kind of task as yes-or-no questions, so that one set of statistics judges them all.

Shapes: n cases, O outcomes, L label columns, B sets of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.statistics import Statistic, auroc, log_loss
from pipeline.calibration.steps import LEAST
from schemas.task import Task

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A yes-or-no question to all cases.

    Parameters
    ----------
    name
        ``yes``, a class, ``at least`` a level, ``within`` so many days.
    labels, probability : shape (n,)
    weights : shape (n,)
        1; for a horizon the inverse chance of not being censored, 0 for who was.
    """

    name: str
    labels: Array
    probability: Array
    weights: Array

    def chosen(self, flags: NDArray[np.bool_]) -> "Question":
        """Return it to some of the cases."""
        return Question(self.name, self.labels[flags], self.probability[flags], self.weights[flags])

    @property
    def has_both(self) -> bool:
        """Whether both answers are there."""
        counted = self.labels[self.weights > 0]
        return bool(0 < counted.sum() < len(counted))

    def statistic(self, of: Statistic, drawn: Array) -> Array:
        """Return a statistic on each draw of patients, (B, n) to (B,)."""
        # A draw without any case that counts has no value.
        with np.errstate(invalid="ignore", divide="ignore"):
            return of(self.labels, self.probability, drawn * self.weights)


def questions(task: Task, probability: Array, labels: Array) -> list[Question]:
    """Return a task's questions: is it this class, at least this level, an event by this horizon.

    Parameters
    ----------
    probability : shape (n, O)
    labels : shape (n, L)
        Without NaN.
    """
    once = np.ones(len(labels))
    match task.kind:
        case "binary":
            return [Question("yes", labels[:, 0], probability[:, 0], once)]
        case "multiclass":
            return [
                Question(
                    name, (labels[:, 0] == number).astype(np.float64), probability[:, number], once
                )
                for number, name in enumerate(task.classes)
            ]
        case "ordinal":
            above = np.clip(1.0 - np.cumsum(probability, axis=1), 0.0, 1.0)
            return [
                Question(
                    f"at least {name}",
                    (labels[:, 0] > number).astype(np.float64),
                    above[:, number],
                    once,
                )
                for number, name in enumerate(task.classes[1:])
            ]
    days, event = labels[:, 0], labels[:, 1] > 0.5
    return [
        Question(
            name, (event & (days <= end)).astype(np.float64), probability[:, number],
            uncensored_weights(days, event, end),
        )
        for number, (name, end) in enumerate(zip(task.outcomes, task.horizons_days, strict=True))
    ]  # fmt: skip


def uncensored_weights(days: Array, event: NDArray[np.bool_], horizon: float) -> Array:
    """Return the inverse probability of what is known of each case at a horizon, shape (n,).

    Who left before it counts 0; the others stand for them, by the chance of still being watched at
    the event or the horizon (Graf et al., 1999). That chance is Kaplan and Meier's of leaving, an
    event going before a leaving on the same day.
    """
    known = (event & (days <= horizon)) | (days >= horizon)
    chance = _free_before(days, ~event, np.minimum(days, horizon), goes_last=True)
    return np.where(known, 1.0 / np.maximum(chance, LEAST), 0.0)


def train_shares(task: Task, labels: Array) -> tuple[float, ...]:
    """Return each class's share, or the share with an event by each horizon (Kaplan-Meier)."""
    if task.kind == "survival":
        after = np.nextafter(np.array(task.horizons_days), np.inf)
        free = _free_before(labels[:, 0], labels[:, 1] > 0.5, after, goes_last=False)
        return tuple((1.0 - free).tolist())
    return tuple(float((labels[:, 0] == number).mean()) for number in range(len(task.classes)))


def _free_before(days: Array, ends: NDArray[np.bool_], at: Array, *, goes_last: bool) -> Array:
    """Return Kaplan and Meier's chance that none of the endings came before each time.

    Parameters
    ----------
    ends : shape (n,)
        Whether an ending of this kind closed a case's days.
    goes_last
        Whether those who ended otherwise on the same day were no longer at risk.
    """
    times = np.unique(days[ends])
    if not times.size:
        return np.ones(len(at))
    n_ended = (ends & (days == times[:, None])).sum(1)
    n_at_risk = (days >= times[:, None]).sum(1)
    if goes_last:
        n_at_risk = n_at_risk - (~ends & (days == times[:, None])).sum(1)
    free = np.concatenate([[1.0], np.cumprod(1.0 - n_ended / n_at_risk)])
    return np.asarray(free[np.searchsorted(times, at, side="left")])


def mean_auroc(asked: Sequence[Question], drawn: Array) -> Array:
    """Return the mean AUROC of the questions on each draw, (B, n) to (B,)."""
    return np.asarray(np.mean([one.statistic(auroc, drawn) for one in asked], axis=0))


def task_log_loss(task: Task, probability: Array, labels: Array, drawn: Array) -> Array:
    """Return the log loss on each draw, nats, (B, n) to (B,); of horizons the mean."""
    if task.kind in ("binary", "survival"):
        asked = questions(task, probability, labels)
        return np.asarray(np.mean([one.statistic(log_loss, drawn) for one in asked], axis=0))
    level = labels[:, :1].astype(np.int64)
    own = np.take_along_axis(probability, level, 1)[:, 0]
    return np.asarray((drawn @ -np.log(np.maximum(own, LEAST))) / drawn.sum(1))

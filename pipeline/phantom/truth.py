"""How well a reader who knows every fact could do: the limit for any model on a cohort."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

TRUE_PREFIX = "true_"
OBSERVABLE_PREFIX = "observable_"
KNOWN = {TRUE_PREFIX: "every fact", OBSERVABLE_PREFIX: "what is recorded"}
"""What a reader knows, by the prefix of the columns in truth.csv."""


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """Expected scores of the true probabilities themselves, for one task."""

    task: str
    """The task."""
    known: str
    """What the reader knows."""
    n_cases: int
    """Studies."""
    base_rate: float
    """Mean true probability."""
    auroc: float
    """Expected area under the ROC curve; NaN where nothing can be ranked."""
    brier: float
    """Expected Brier score."""
    log_loss: float
    """Expected log loss, nats."""


def task_limit(
    task: str, true_probability: ArrayLike, *, known: str = KNOWN[TRUE_PREFIX]
) -> TaskLimit:
    """Compute a task's limit from true probabilities alone, averaged over all possible labels.

    Parameters
    ----------
    task
        Its name.
    true_probability : shape (n_cases,), between 0 and 1
        Given everything that the reader knows.
    known
        What that is.
    """
    p: NDArray[np.float64] = np.asarray(true_probability, dtype=np.float64)
    q = 1.0 - p
    return TaskLimit(
        task=task,
        known=known,
        n_cases=len(p),
        base_rate=float(p.mean()),
        auroc=_expected_auroc(p),
        brier=float((p * q).mean()),
        log_loss=float(-(p * np.log(p) + q * np.log(q)).mean()),
    )


def _expected_auroc(p: NDArray[np.float64]) -> float:
    """Each case stands in both classes, weighted by its chance to be there."""
    if len(p) < 2:
        return float("nan")
    labels = np.repeat([1, 0], len(p))
    weights = np.concatenate([p, 1.0 - p])
    return float(roc_auc_score(labels, np.tile(p, 2), sample_weight=weights))


def cohort_limits(cohort: Path) -> tuple[TaskLimit, ...]:
    """Compute both limits of every task of a simulated cohort from its truth.csv."""
    truth = pd.read_csv(cohort / "truth.csv")
    tasks = [
        name.removeprefix(TRUE_PREFIX) for name in truth.columns if name.startswith(TRUE_PREFIX)
    ]
    return tuple(
        task_limit(task, truth[f"{prefix}{task}"], known=known)
        for task in tasks
        for prefix, known in KNOWN.items()
    )


def limits_table(limits: Iterable[TaskLimit]) -> str:
    """Write limits as a Markdown table."""
    head = ("task", "reader knows", "cases", "base rate", "AUROC", "Brier", "log loss")
    lines = [_line(head), _line(["---"] * len(head))]
    for limit in limits:
        numbers = (limit.base_rate, limit.auroc, limit.brier, limit.log_loss)
        words = [limit.task, limit.known, str(limit.n_cases)]
        lines.append(_line([*words, *(f"{x:.3f}" for x in numbers)]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

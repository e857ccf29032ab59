"""Tasks of each kind, and cases drawn from a known truth."""

import numpy as np
from scipy.special import expit

from schemas.task import Task

QUESTION = "What will come of it?"
KIND = Task(name="kind", kind="multiclass", question=QUESTION, classes=("none", "left", "right"))
GRADE = Task(name="grade", kind="ordinal", question=QUESTION, classes=("none", "small", "large"))
DEATH = Task(name="death", kind="survival", question=QUESTION, horizons_days=(100, 200, 400))
YES = Task(name="yes", question=QUESTION)


def true_steps(task, n, seed=0):
    """Right log-odds of n cases, shape (n, n_steps)."""
    random = np.random.default_rng(seed)
    if task.kind == "multiclass":
        return random.normal(size=(n, 3)) * 1.5 + np.array([0.8, 0.0, -0.4])
    own = random.normal(size=(n, 1)) * 1.5
    if task.kind == "ordinal":
        return own - np.array([0.0, 1.3])
    return own - 2.0 + np.array([0.0, 0.2, 0.4])


def drawn_labels(task, steps, probability, seed=1, *, censored=True):
    """Outcomes of these chances; a third of the survival cases leave early."""
    random = np.random.default_rng(seed)
    n = len(steps)
    if task.kind != "survival":
        edges = np.cumsum(probability, axis=1)
        return (random.uniform(size=(n, 1)) > edges).sum(1, keepdims=True).astype(float)
    ends = np.array(task.horizons_days)
    starts = np.array([0.0, *ends[:-1]])
    hit = random.uniform(size=steps.shape) < expit(steps)
    first = np.where(hit.any(1), hit.argmax(1), len(ends))
    times = np.append(random.uniform(starts, ends, (n, len(ends))), np.full((n, 1), 500.0), axis=1)
    days = np.take_along_axis(times, first[:, None], 1)[:, 0]
    leaves = np.where(random.uniform(size=n) < 0.5, random.uniform(0, 450, n), 450.0)
    if not censored:
        leaves = np.full(n, 450.0)
    return np.stack([np.minimum(days, leaves), (days <= leaves) & (days <= 400)], 1).astype(float)

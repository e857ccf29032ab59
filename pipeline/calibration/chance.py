"""Whether a score ranks the calibration cases at all."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pipeline.calibration.questions import Question, mean_auroc
from pipeline.calibration.statistics import patient_weights
from pipeline.errors import CalibrationError

REFUSED_FROM = 50
"""Cases of the rarer answer from which a score that chance explains is refused: it would be found
to rank at an AUROC of 0.57."""
LIMIT = 0.05
DOUBTED = 0.01


def require_better_than_chance(
    asked: Sequence[Question],
    *,
    task: str,
    patients: NDArray[np.str_] | None = None,
    whose: str = "calibration",
) -> float:
    """Return the one-sided p-value of a score that ranks its cases no better than chance.

    Of the mean AUROC over a task's questions, with the standard error of a bootstrap by patient.

    Parameters
    ----------
    asked
        The task's questions to the calibration cases, with the network's own answers.
    patients : shape (n,)
        Whose cases they are; None if each is another's.
    whose
        Which cases, for the message.

    Raises
    ------
    CalibrationError
        If chance explains it and the cases are many enough to tell: the labels may be shuffled, or
        the network knows nothing.
    """
    known = [one for one in asked if one.has_both]
    if not known:
        return 1.0
    apart = np.arange(len(asked[0].labels)).astype(str)
    drawn = patient_weights(apart if patients is None else patients)
    ranks = mean_auroc(known, drawn)
    p = float(norm.sf((ranks[0] - 0.5) / max(float(np.nanstd(ranks[1:])), 1e-9)))
    if p > LIMIT and min(_rarer(one) for one in known) >= REFUSED_FROM:
        msg = (
            f"task {task}: the score ranks the {whose} cases no better than chance (AUROC "
            f"{ranks[0]:.2f}, p {p:.2f}): see whether their labels belong to them"
        )
        raise CalibrationError(msg)
    return p


def _rarer(one: Question) -> int:
    counted = one.labels[one.weights > 0]
    return int(min(counted.sum(), len(counted) - counted.sum()))

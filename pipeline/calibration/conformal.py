"""Class-conditional (Mondrian) split conformal sets (Vovk et al., 2005)."""

import math
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.calibration.maps import MODALITIES
from schemas.calibration import (
    AnyCalibrator,
    Calibrator,
    ClassThresholds,
    ConformalThresholds,
    StepCalibrator,
)


def fit_conformal(
    probability: ArrayLike, labels: ArrayLike, *, coverage: float
) -> ConformalThresholds | None:
    """Set the thresholds on patients on whom the calibration map was not fitted.

    A class's score is one minus its probability; its threshold is the k-th smallest score of its
    own cases, k = ceil((n + 1) coverage). A new case of the class, exchangeable with them, is then
    covered with at least that probability at any n.

    Parameters
    ----------
    probability : shape (n,)
        Calibrated.
    labels : shape (n,), 0 or 1
    coverage
        For each class.

    Returns
    -------
    ConformalThresholds
        None if a class has too few cases for k to exist: then nothing can be ruled out.
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(labels)
    least = [least_probability(q, coverage) for q in (1.0 - p[y == 0], p[y == 1])]
    if least[0] is None or least[1] is None:
        return None
    return ConformalThresholds(
        coverage=coverage, negative=least[0], positive=least[1],
        n_negative=int((y == 0).sum()), n_positive=int((y == 1).sum()),
    )  # fmt: skip


@overload
def thresholds_of(
    calibrator: Calibrator, present: Sequence[str], value: str | None
) -> ConformalThresholds | None: ...
@overload
def thresholds_of(calibrator: StepCalibrator, present: Sequence[str]) -> ClassThresholds | None: ...
def thresholds_of(
    calibrator: AnyCalibrator, present: Sequence[str], value: str | None = None
) -> ConformalThresholds | ClassThresholds | None:
    """Return the thresholds for a case with these modalities, the common ones if it has none.

    Parameters
    ----------
    value
        Of the variable by which a binary task's sets are set apart; see
        :func:`pipeline.calibration.among.value_of`.
    """
    if isinstance(calibrator, Calibrator) and set(present) == set(MODALITIES):
        for group in calibrator.conformal_groups:
            if group.value == value:
                return group
    own = (one for one in calibrator.conformal_apart if set(one.present) == set(present))
    return next(own, calibrator.conformal)


def least_probability(own: NDArray[np.float64], coverage: float) -> float | None:
    """Return the probability from which a class stays in the set."""
    k = math.ceil((len(own) + 1) * coverage)
    return float(np.sort(own)[::-1][k - 1]) if 1 <= k <= len(own) else None


def label_set(thresholds: ConformalThresholds | None, probability: float) -> tuple[str, ...] | None:
    """Return the labels that cannot be ruled out; None without thresholds.

    Empty where both can: the probability is one that few cases of either class have, as happens
    where a score tells them apart better than the coverage asks.
    """
    if thresholds is None:
        return None
    excess = {
        "0": 1.0 - probability - thresholds.negative,
        "1": probability - thresholds.positive,
    }
    return tuple(label for label, value in excess.items() if value >= 0.0)

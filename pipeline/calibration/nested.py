"""The log loss of choice and fit together, by nested cross-validation."""

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.choose import Patients, by_patient, chosen_map, left_out_losses
from pipeline.calibration.fit import log_loss_of
from schemas.calibration import CalibrationMap, Method, NestedLoss

MIN_OF_EACH_CLASS = 10
"""Patients. Of fewer, an inner fold would have none of a class."""
_RAW = CalibrationMap(method="temperature")

Array = NDArray[np.float64]


def nested_loss(score: Array, truth: Array, patients: Patients | None) -> NestedLoss | None:
    """Leave each outer fold out of the choice and the fit, and judge both on it.

    The outer folds are those of one division into patients; inside each, the method is chosen just
    as for the map that is kept. None where a class has fewer than ``MIN_OF_EACH_CLASS`` patients.

    Parameters
    ----------
    score, truth : shape (n,)
        On which the common map is fitted.
    patients : shape (n,)
        Whose cases they are; None if each is another's.
    """
    highest = by_patient(truth, patients)[0]
    if min(highest.sum(), (1 - highest).sum()) < MIN_OF_EACH_CLASS:
        return None
    methods: list[Method] = []

    def losses_without(kept: NDArray[np.int64], left_out: NDArray[np.int64]) -> Array:
        of = None if patients is None else patients[kept]
        fitted = chosen_map(score[kept], truth[kept], of)
        methods.append(fitted.method)
        return log_loss_of(fitted, score[left_out], truth[left_out])

    losses = left_out_losses(truth, losses_without, patients, n_repeats=1)
    return NestedLoss(
        log_loss=float(losses.mean()),
        log_loss_uncalibrated=float(log_loss_of(_RAW, score, truth).mean()),
        methods=tuple(methods),
        n_cases=len(truth),
    )

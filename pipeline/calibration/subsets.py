"""What changes where a modality is absent, pulled towards no change where cases are few."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.calibration.maps import MODALITIES, map_log_odds
from schemas.calibration import CalibrationMap, SubsetShift

MIN_CASES = 20
LEAST_WHOLE, ENOUGH = 0.5, 20
"""Share of the cases with every modality, and their patients of each outcome, from which the common
map is fitted on them alone: of fewer it would be less certain than it is now mixed."""
PRIOR_SD_INTERCEPT, PRIOR_SD_SLOPE = 1.0, 0.3

Subset = tuple[str, ...]


def fit_shifts(
    common: CalibrationMap,
    logits: Mapping[Subset, NDArray[np.float64]],
    labels: NDArray[np.float64],
    *,
    is_mixed: bool,
) -> tuple[SubsetShift, ...]:
    """Fit slope and intercept for each subset of the modalities, as a penalised Platt map.

    The penalty is that of normal priors around no change: an intercept of 0 with standard
    deviation ``PRIOR_SD_INTERCEPT`` and a slope of 1 with ``PRIOR_SD_SLOPE``. A few dozen cases
    hardly move it, a thousand decide it.

    Parameters
    ----------
    common
        The task's common map.
    logits
        For each subset the raw scores of all calibration cases, read with just those modalities;
        NaN where a case lacks one of them. Shape (n,) each.
    labels : shape (n,), 0 or 1
    is_mixed
        Whether cases that lack something were among those of the common map; then those that lack
        nothing have a shift as well.
    """
    shifts = []
    for present, scores in logits.items():
        known = ~np.isnan(scores)
        if is_common(present, is_mixed=is_mixed) or not known.sum() >= MIN_CASES:
            continue
        odds = map_log_odds(common, scores[known])
        slope, intercept = _penalised(odds, labels[known])
        shifts.append(
            SubsetShift(present=present, slope=slope, intercept=intercept, n_cases=int(known.sum()))
        )
    return tuple(shifts)


def is_common(present: Subset, *, is_mixed: bool) -> bool:
    """Say whether the common map is that of cases with these modalities and no others."""
    return present == MODALITIES and not is_mixed


def cases_of_the_map(
    hidden: Mapping[Subset, NDArray[np.float64]],
    patients: NDArray[np.int64],
    groups: NDArray[np.generic],
) -> NDArray[np.bool_]:
    """Return the cases on which the common map is fitted, shape (n,).

    Those that have every modality, where they are at least half of all and every outcome comes in
    ``ENOUGH`` of their patients; else all.

    Parameters
    ----------
    hidden
        Scores by subset, (n,) or (n, S), NaN where a case lacks a modality.
    patients : shape (n,)
        By number.
    groups : shape (n,)
        Outcomes.
    """
    everyone = np.ones(len(groups), dtype=np.bool_)
    if MODALITIES not in hidden:
        return everyone
    whole = np.asarray(~np.isnan(hidden[MODALITIES].reshape(len(groups), -1)).any(1))
    counts = [
        len(np.unique(patients[whole & (groups == group)])) for group in np.unique(groups)
    ]  # fmt: skip
    enough = whole.mean() >= LEAST_WHOLE and min(counts) >= ENOUGH
    return whole if enough else everyone


def lack_something(hidden: Mapping[Subset, NDArray[np.float64]], chosen: NDArray[np.bool_]) -> bool:
    """Say whether any of these cases lacks a modality; see :func:`cases_of_the_map`."""
    return MODALITIES not in hidden or bool(np.isnan(hidden[MODALITIES][chosen]).any())


def _penalised(odds: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    def loss(p: NDArray[np.float64]) -> float:
        shifted = p[0] * odds + p[1]
        fit = np.sum(np.logaddexp(0.0, shifted) - labels * shifted)
        prior = ((p[0] - 1.0) / PRIOR_SD_SLOPE) ** 2 + (p[1] / PRIOR_SD_INTERCEPT) ** 2
        return float(fit + prior / 2.0)

    found = minimize(loss, [1.0, 0.0], bounds=[(0.0, None), (None, None)], method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])

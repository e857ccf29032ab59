"""All that calibration fits for one task, each part on its own patients."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.calibration.choose import checked, fit_map
from pipeline.calibration.conformal import fit_conformal
from pipeline.calibration.maps import shift_for, to_log_odds
from pipeline.calibration.operating import fit_operating_point
from pipeline.calibration.subsets import Subset, fit_shifts
from pipeline.calibration.venn_abers import fit_venn_abers, venn_abers_range, widened
from schemas.calibration import Calibrator
from schemas.task import OperatingGoal

COVERAGE = 0.9
Z_90 = 1.6448536269514722
"""Of a central 90 % of a normal distribution."""

Array = NDArray[np.float64]


def fit_calibrator(
    task: str,
    logits: Array,
    labels: NDArray[np.int64],
    present: Sequence[Subset],
    hidden: Mapping[Subset, Array],
) -> Calibrator:
    """Fit the common map, the subsets' shifts and the Venn-Abers answers on calibration cases.

    Parameters
    ----------
    logits : shape (n,)
        Raw scores with whatever modalities each case has.
    labels : shape (n,), 0 or 1
    present
        Those modalities, of each case.
    hidden
        Raw scores of the same cases with only some modalities read; NaN where a case lacks one.

    Raises
    ------
    CalibrationError
        If the cases are too few, or the score does not rank them.
    """
    score, truth = checked(logits, labels, task=task)
    common = fit_map(score, truth, task=task)
    calibrator = Calibrator(
        task=task, map=common, shifts=fit_shifts(common, hidden, truth), n_cases=len(truth),
        n_events=int(truth.sum()),
    )  # fmt: skip
    odds = np.array([
        to_log_odds(calibrator, value, subset)
        for value, subset in zip(score, present, strict=True)
    ])  # fmt: skip
    return calibrator.model_copy(update={"venn_abers": fit_venn_abers(odds, truth)})


def with_thresholds(
    calibrator: Calibrator,
    probability: Array,
    labels: NDArray[np.int64],
    goals: Iterable[OperatingGoal],
) -> Calibrator:
    """Add conformal and operating thresholds, set on patients the map was not fitted on."""
    return calibrator.model_copy(
        update={
            "conformal": fit_conformal(probability, labels, coverage=COVERAGE),
            "operating": tuple(
                fit_operating_point(
                    probability, labels, goal=goal.goal, at_least=goal.at_least,
                    confidence=goal.confidence,
                )
                for goal in goals
            ),
        }
    )  # fmt: skip


def interval(
    calibrator: Calibrator, logit: float, present: Iterable[str], *, spread: float
) -> tuple[float, float] | None:
    """Return the 90 % interval of one case's probability; None where none was fitted.

    It holds both Venn-Abers answers and is widened, in log-odds, by the ensemble's disagreement
    and by what absent modalities usually move.

    Parameters
    ----------
    spread
        Standard deviation of the ensemble's raw scores around their mean; 0 for one network.
    """
    if calibrator.venn_abers is None:
        return None
    present = tuple(present)
    odds = to_log_odds(calibrator, logit, present)
    low, high = venn_abers_range(calibrator.venn_abers, _before_site(calibrator, odds))
    if calibrator.recalibration is not None:
        low, high = (_after_site(calibrator, part) for part in (low, high))
    step = 0.5 * spread
    moved = to_log_odds(calibrator, logit + step, present) - to_log_odds(
        calibrator, logit - step, present
    )
    half = Z_90 * np.hypot(moved, shift_for(calibrator, present).spread)
    lower, upper = widened(low, high, odds, half)
    return float(lower), float(upper)


def _before_site(calibrator: Calibrator, odds: Array) -> Array:
    site = calibrator.recalibration
    return odds if site is None else (odds - site.intercept) / site.slope


def _after_site(calibrator: Calibrator, probability: Array) -> Array:
    site = calibrator.recalibration
    p = np.clip(probability, 1e-9, 1.0 - 1e-9)
    return probability if site is None else expit(site.slope * np.log(p / (1 - p)) + site.intercept)

"""What speaks against a bundle's probabilities, in words that every report repeats.

Labels that were shuffled, a prior that is wrong in one part, probabilities that do not come true:
each is a disagreement that chance explains less than once in a thousand times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.chance import DOUBTED
from pipeline.calibration.questions import Question
from pipeline.calibration.statistics import (
    auroc,
    calibration_slope,
    observed_to_expected,
    patient_weights,
)
from schemas.calibration import AnyCalibrator, Calibrator, Recalibration
from schemas.doubt import Doubt, DoubtAbout
from schemas.issue import Issue, IssueCode, Severity
from schemas.metrics import AnyMetrics

Z_LIMIT = 3.3
"""Of a difference over its standard error: beyond it lies one in a thousand."""
LEAST_RATIO, LEAST_SLOPE = 1.25, 1.5
"""What matters to a reader, either way: 4 expected where 5 were seen, odds 1.5 times too steep."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One task's questions to the cases of one part, and whose cases they are, shape (n,)."""

    asked: Sequence[Question]
    patients: NDArray[np.str_]


def ranks_by_chance(calibrator: AnyCalibrator) -> tuple[Doubt, ...]:
    """Say if chance ranks the calibration cases as well as the score does."""
    p = calibrator.chance_p
    if p is None or not p > DOUBTED:
        return ()
    words = (
        f"on {calibrator.n_cases} calibration cases chance ranks as well as the score does (p "
        f"{p:.2f}): their labels may be wrong, or they are too few"
    )
    return (Doubt(about="labels", words=words),)


def doubts_about(judged: Judged) -> tuple[Doubt, ...]:
    """Say in what probabilities did not come true on cases that nothing was fitted on."""
    drawn, said = patient_weights(judged.patients), []
    for one in judged.asked:
        if not one.has_both:
            continue
        # A draw without any event has no logarithm.
        with np.errstate(divide="ignore"):
            ratio = np.log(one.statistic(observed_to_expected, drawn))
        slope = one.statistic(calibration_slope, drawn)
        if _is_far(ratio, 0.0) and abs(ratio[0]) > np.log(LEAST_RATIO):
            words = (
                f"{np.exp(ratio[0]):.2f} times as many outcomes were seen as expected: "
                "the probabilities are for another prevalence"
            )
            said.append(_of(one, "prevalence", words))
        if _is_far(slope, 1.0) and not 1 / LEAST_SLOPE <= slope[0] <= LEAST_SLOPE:
            how = "extreme" if slope[0] < 1.0 else "timid"
            said.append(_of(one, "slope", f"the calibration slope is {slope[0]:.2f}: too {how}"))
    return tuple(said)


def parts_differ(calibration: Judged, others: Mapping[str, Judged]) -> tuple[Doubt, ...]:
    """Say in what the calibration part is unlike the other parts of one cohort.

    Parameters
    ----------
    calibration
        On whom the calibrator was fitted.
    others
        By name; of all but ``train``, of which a network knows too much, the ranking is compared
        too.
    """
    said = []
    for place, one in enumerate(calibration.asked):
        for name, part in others.items():
            if not len(part.patients):
                continue
            its = part.asked[place]
            share = _differ(_shares(one, calibration), _shares(its, part))
            if share:
                words = (
                    f"{share[0]:.0%} of the calibration part and {share[1]:.0%} of the "
                    f"{name} part have the outcome: the prior is wrong in one of them"
                )
                said.append(_of(one, "prevalence", words))
            if name == "train" or not (one.has_both and its.has_both):
                continue
            ranks = _differ(
                one.statistic(auroc, patient_weights(calibration.patients)),
                its.statistic(auroc, patient_weights(part.patients)),
            )
            if ranks:
                words = (
                    f"the AUROC is {ranks[0]:.2f} on the calibration part and "
                    f"{ranks[1]:.2f} on the {name} part: labels may be wrong in one of them"
                )
                said.append(_of(one, "labels", words))
    return tuple(said)


def doubt_issues(
    metrics: Sequence[AnyMetrics], calibrators: Sequence[AnyCalibrator]
) -> list[Issue]:
    """Return what every report must say of a bundle's probabilities."""
    return [
        Issue(
            code=IssueCode.CALIBRATION_DOUBTED, severity=Severity.WARNING,
            message=f"{task.task}: {doubt.words}",
        )
        for task, calibrator in zip(metrics, calibrators, strict=True)
        for doubt in task.doubts
        if not is_answered(doubt, calibrator)
    ]  # fmt: skip


def is_answered(doubt: Doubt, calibrator: AnyCalibrator) -> bool:
    """Say whether a site's own outcomes have put right what a doubt is about.

    An intercept answers for the prevalence and a slope for the slope; neither makes sets hold more,
    nor gives wrong labels back to their patients.
    """
    if not isinstance(calibrator, Calibrator) or calibrator.recalibration is None:
        return False
    return doubt.about in _refitted(calibrator.recalibration)


def _refitted(site: Recalibration) -> tuple[DoubtAbout, ...]:
    return ("prevalence",) if site.slope == 1.0 else ("prevalence", "slope")


def _shares(one: Question, part: Judged) -> Array:
    weights = patient_weights(part.patients) * one.weights
    with np.errstate(invalid="ignore"):
        return np.asarray((weights @ one.labels) / weights.sum(1))


def _is_far(values: Array, right: float) -> bool:
    return bool(abs(values[0] - right) > Z_LIMIT * _spread(values[1:]))


def _spread(draws: Array) -> float:
    """Return the standard deviation of the draws that have a value; infinite if none has."""
    finite = draws[np.isfinite(draws)]
    return float(finite.std()) if len(finite) else np.inf


def _differ(values: Array, others: Array) -> tuple[float, float] | None:
    """Return two statistics if they differ by more than chance explains."""
    error = np.hypot(_spread(values[1:]), _spread(others[1:]))
    if not abs(values[0] - others[0]) > Z_LIMIT * error:
        return None
    return float(values[0]), float(others[0])


def _of(one: Question, about: DoubtAbout, words: str) -> Doubt:
    return Doubt(about=about, words=words if one.name == "yes" else f"{one.name}: {words}")

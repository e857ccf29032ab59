"""What was measured of a task's maps to figures, and whether they are as they must be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.explain.measure import LEAST_CLAIM, Measured
from schemas.maps import MapFigure, MapFigureName, MapProof, MapProofs
from schemas.prediction import SUM_TOLERANCE

MIN_TESTED = 8
"""Maps that claim something; fewer prove nothing."""


@dataclass(frozen=True, slots=True)
class _Rule:
    meaning: str
    bound: float
    is_floor: bool = True


RULES: Mapping[MapFigureName, _Rule] = {
    "deleted": _Rule(
        "share of maps that pass their own deletion test; of maps that know nothing 0.11", 0.7
    ),
    "deleted_ratio": _Rule(
        "fall of the logit where the map is strongest, over what random patches move it", 3.0
    ),
    "inserted": _Rule(
        "share of cases in which the map's strongest voxels, put back into the blurred image, "
        "bring the logit nearer than random patches do; by chance 0.5", 0.6
    ),
    "own_over_average": _Rule(
        "share of cases in which the logit falls further where the own map is strongest than "
        "where the mean map of the other cases is; by chance 0.5", 0.6
    ),
    "inserted_over_average": _Rule(
        "share of cases in which, once the strongest voxels of the own map and of the mean map of "
        "the other cases are both painted over, putting back the own brings the logit nearer than "
        "putting back the mean map's; by chance 0.5", 0.6
    ),
    "gap": _Rule(
        "largest difference of the parts' sum from the logit", SUM_TOLERANCE, is_floor=False
    ),
    "redrawn": _Rule(
        "mean size of the correlation with maps of the same network, its weights drawn anew", 0.1,
        is_floor=False,
    ),
    "shifted": _Rule("mean correlation with the map of the image moved by one voxel", 0.7),
    "peak_moved_mm": _Rule(
        "median distance by which the peak moves then, in mm; at most the side of a token, which "
        "is what the network opens or shuts", np.nan,
        is_floor=False,
    ),
    "occluded": _Rule(
        "share of blocks that the map ranks below the one whose loss lowers the logit most, as one "
        "after another is painted over; by chance 0.5", 0.7
    ),
}  # fmt: skip


def refusal(proofs: MapProofs | None, task: str) -> str:
    """Return why no map of a task is shown; empty if maps are, or if none was ever proved."""
    if proofs is None:
        return ""
    proof = proofs.of(task)
    if proof is None:
        return "the bundle's proof of its maps says nothing of this task"
    if proof.status == "passed":
        return ""
    more = f" (and {len(proof.reasons) - 1} more)" if len(proof.reasons) > 1 else ""
    return f"the maps of this task are not proved: {proof.reasons[0]}{more}"


def verdict(
    task: str, number: int, measured: Sequence[Measured], blocks: Sequence[float], token_mm: float
) -> MapProof:
    """Return the proof of one task's maps.

    Parameters
    ----------
    number
        Of its logit.
    blocks
        How high the map ranks the block that is missed most, of each case that was tried.
    token_mm
        Longest side of a token.
    """
    tested = [one for one in measured if one.is_tested(number)]
    figures = _figures(number, measured, blocks, token_mm)
    reasons = tuple(_words(figure) for figure in figures if not figure.holds)
    status: Literal["passed", "failed", "too_few"] = "failed" if reasons else "passed"
    if len(tested) < MIN_TESTED:
        status = "too_few"
        few = (
            f"only {len(tested)} test cases have a map that claims {LEAST_CLAIM:g} log-odds or "
            f"more, and {MIN_TESTED} are needed"
        )
        reasons = (few,)
    return MapProof(
        task=task, status=status, n_cases=len(measured), n_tested=len(tested), figures=figures,
        reasons=reasons,
    )  # fmt: skip


def _figures(
    number: int, measured: Sequence[Measured], blocks: Sequence[float], token_mm: float
) -> tuple[MapFigure, ...]:
    tested = [one for one in measured if one.is_tested(number)]
    checks = [one.checks[number] for one in tested]
    falls = _array([check.moved for check in checks])
    random = _array([check.random_moved for check in checks])
    averages = _array([one.average_moved[number] for one in tested])
    inserted, over_average = (
        values[~np.isnan(values)]
        for values in (
            _array([one.inserted[number] for one in tested]),
            _array([one.inserted_over_average[number] for one in tested]),
        )
    )
    gaps = _array([one.gap[number] for one in measured])
    ratio = falls.mean() / max(random.mean(), 1e-9) if len(falls) else np.nan
    return (
        _figure("deleted", _mean([check.status == "passed" for check in checks]), len(checks)),
        _figure("deleted_ratio", ratio, len(falls)),
        _figure("inserted", _mean(inserted > 0.0), len(inserted)),
        _figure("own_over_average", _mean(falls > averages), len(falls)),
        _figure("inserted_over_average", _mean(over_average > 0.0), len(over_average)),
        _figure("gap", gaps.max() if len(gaps) else np.nan, len(gaps)),
        _figure("redrawn", _mean([one.redrawn[number] for one in tested]), len(tested)),
        _figure("shifted", _mean([one.shifted[number] for one in tested]), len(tested)),
        _figure("peak_moved_mm", _median([one.peak_moved_mm[number] for one in tested]),
                len(tested), bound=token_mm),
        _figure("occluded", _mean(blocks), len(blocks)),
    )  # fmt: skip


def _figure(
    name: MapFigureName, value: float, n_cases: int, bound: float | None = None
) -> MapFigure:
    rule = RULES[name]
    return MapFigure(
        name=name, meaning=rule.meaning, value=float(value) if np.isfinite(value) else None,
        bound=rule.bound if bound is None else bound, is_floor=rule.is_floor, n_cases=n_cases,
    )  # fmt: skip


def _words(figure: MapFigure) -> str:
    limit = f"must be at {'least' if figure.is_floor else 'most'} {figure.bound:g}"
    found = "could not be measured" if figure.value is None else f"is {figure.value:.3g}"
    return f"{figure.meaning}: {found}, {limit}"


def _array(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _mean(values: Sequence[float] | NDArray[np.bool_]) -> float:
    """Return the mean; NaN of nothing, or where any value is NaN: it proves nothing."""
    return float(np.mean(values)) if len(values) else np.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else np.nan

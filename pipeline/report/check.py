"""What must hold between a report, its volume and its heatmaps before anything is written."""

import math
import re
from collections.abc import Mapping

import numpy as np

from pipeline.heatmap import Heatmap
from pipeline.regions import regions_of
from pipeline.volume import Volume
from schemas.base import NAME_PATTERN
from schemas.prediction import PROBABILITY_TOLERANCE, SUM_TOLERANCE
from schemas.report import Risk, RiskReport


def check_report(
    report: RiskReport, volume: Volume | None, heatmaps: Mapping[str, Heatmap]
) -> None:
    """Refuse a report that contradicts itself or its pictures.

    Raises
    ------
    ValueError
        If a withheld risk has a number, parts do not sum to the logit, the logit does not become
        the probability, a heatmap is not the one named, or its regions are not those of the report.
    """
    names = [risk.task for risk in report.risks]
    if len(set(names)) != len(names) or not set(heatmaps) <= set(names):
        msg = f"tasks must differ and own the heatmaps: {names}, heatmaps {sorted(heatmaps)}"
        raise ValueError(msg)
    for risk in report.risks:
        if not re.match(NAME_PATTERN, risk.task):
            msg = f"task name {risk.task!r} must fit {NAME_PATTERN}"
            raise ValueError(msg)
        if risk.probability is None:
            _check_withheld(risk)
        elif report.status != "assessed":
            msg = f"task {risk.task}: a report that is {report.status} has no probability"
            raise ValueError(msg)
        else:
            _check_result(risk)
            _check_what_if(risk)
        _check_heatmap(risk, volume, heatmaps.get(risk.task))


def heatmap_name(task: str) -> str:
    """Return the file name of a task's heatmap."""
    return f"heatmap_{task}.nii.gz"


def _check_withheld(risk: Risk) -> None:
    numbers = (
        risk.logit,
        risk.steps,
        risk.set,
        risk.lower,
        risk.upper,
        risk.evidence,
        risk.what_if,
        risk.heatmap,
    )
    if risk.regions or any(value is not None for value in numbers):
        msg = f"task {risk.task}: without a probability there is no logit, interval or evidence"
        raise ValueError(msg)


def _check_result(risk: Risk) -> None:
    if risk.logit is None or risk.evidence is None or risk.calibrated_logit is None:
        msg = f"task {risk.task}: a probability needs its logit, evidence and calibration"
        raise ValueError(msg)
    total = risk.evidence.total()
    if not abs(total - risk.logit) <= SUM_TOLERANCE * max(1.0, abs(risk.logit)):
        msg = f"task {risk.task}: evidence sums to {total}, logit is {risk.logit}"
        raise ValueError(msg)
    expected = 0.5 * (1.0 + math.tanh(0.5 * risk.calibrated_logit))
    if not abs(expected - (risk.probability or 0.0)) <= PROBABILITY_TOLERANCE:
        msg = f"task {risk.task}: the calibrated logit means {expected}, not {risk.probability}"
        raise ValueError(msg)
    if risk.steps is not None:
        shown = {one.label: one.probability for one in risk.steps.outcomes}[risk.steps.shown]
        if shown != risk.probability:
            msg = f"task {risk.task}: {risk.steps.shown} has {shown}, not {risk.probability}"
            raise ValueError(msg)
    lower = 0.0 if risk.lower is None else risk.lower
    upper = 1.0 if risk.upper is None else risk.upper
    if not 0.0 <= lower <= (risk.probability or 0.0) <= upper <= 1.0:
        msg = f"task {risk.task}: the interval {lower} to {upper} must hold the probability"
        raise ValueError(msg)


def _check_what_if(risk: Risk) -> None:
    if risk.what_if is None:
        return
    whole = risk.what_if.modalities.subsets[-1].probability
    if not abs(whole - (risk.probability or 0.0)) <= PROBABILITY_TOLERANCE:
        msg = f"task {risk.task}: with all read it is {whole}, not {risk.probability}"
        raise ValueError(msg)
    is_painted = any(change.kind == "image" for change in risk.what_if.changes)
    if is_painted and risk.heatmap is None:
        msg = f"task {risk.task}: without a heatmap nothing that it points at can be painted over"
        raise ValueError(msg)


def _check_heatmap(risk: Risk, volume: Volume | None, heatmap: Heatmap | None) -> None:
    expected = None if heatmap is None else heatmap_name(risk.task)
    if risk.heatmap != expected:
        msg = f"task {risk.task}: the report names the heatmap {risk.heatmap}, given {expected}"
        raise ValueError(msg)
    if heatmap is None:
        if risk.regions:
            msg = f"task {risk.task}: regions need their heatmap"
            raise ValueError(msg)
        return
    _check_tests(risk)
    if volume is None or not heatmap.geometry.matches(volume.geometry):
        msg = f"task {risk.task}: a heatmap must lie on its volume's own grid"
        raise ValueError(msg)
    if heatmap.task != risk.task:
        msg = f"task {risk.task}: got the heatmap of {heatmap.task}"
        raise ValueError(msg)
    if np.isinf(heatmap.array).any():
        msg = f"task {risk.task}: a heatmap holds finite values, or NaN where it was not assessed"
        raise ValueError(msg)
    points = risk.map_check is None or risk.map_check.points
    if risk.regions != (regions_of(heatmap, volume) if points else ()):
        msg = f"task {risk.task}: the report's regions are not the heatmap's"
        raise ValueError(msg)


def _check_tests(risk: Risk) -> None:
    if risk.map_check is not None and risk.map_check.status == "failed":
        msg = f"task {risk.task}: a heatmap that failed its test is not shown"
        raise ValueError(msg)
    if risk.map_proof is not None and risk.map_proof.status != "passed":
        msg = f"task {risk.task}: a heatmap of a task whose maps are not proved is not shown"
        raise ValueError(msg)

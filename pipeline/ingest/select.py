"""Which series of a study serves each named series of a protocol, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.report import SeriesUse
from schemas.series import Series, Study
from schemas.series_rule import SeriesRule


@dataclass(frozen=True, slots=True, order=True)
class _Rank:
    """Smaller is better; compared field by field."""

    is_not_magnitude: bool
    minus_words: int
    minus_slices: int
    minus_coverage_mm: float
    series_uid: str


def select_series(
    study: Study, rules: tuple[SeriesRule, ...]
) -> tuple[dict[str, Series], tuple[SeriesUse, ...], tuple[Issue, ...]]:
    """Choose a series for each rule, in the order of the rules; a series serves one rule.

    A series must be usable, of the rule's modality and have its number of slices. Among those,
    phase, real and imaginary images come last; then more of the rule's words at the beginning of
    a word of Series Description (0008,103E) win, then more slices, then more millimetres covered,
    then the smaller UID.

    Returns
    -------
    chosen, uses, issues
        The series by the rule's name; what became of each series of the study, in its order; and
        a ``series-missing`` warning for each rule that none fits.
    """
    chosen: dict[str, Series] = {}
    reasons: dict[str, list[str]] = {series.series_uid: [] for series in study.series}
    issues = []
    for rule in rules:
        verdicts = [(series, _verdict(series, rule, study, chosen)) for series in study.series]
        fitting = sorted(
            (series for series, why in verdicts if not why), key=lambda item: _rank(item, rule)
        )
        for series, why in verdicts:
            if why:
                reasons[series.series_uid].append(why)
        if not fitting:
            issues.append(_missing(study, rule))
            continue
        best = chosen[rule.name] = fitting[0]
        reasons[best.series_uid].append(_why_chosen(best, rule, len(fitting)))
        for series in fitting[1:]:
            reasons[series.series_uid].append(_why_lost(series, best, rule))
    names = {series.series_uid: name for name, series in chosen.items()}
    uses = tuple(
        _use(series, names.get(series.series_uid, ""), reasons[series.series_uid])
        for series in study.series
    )
    return chosen, uses, tuple(issues)


def _verdict(series: Series, rule: SeriesRule, study: Study, chosen: dict[str, Series]) -> str:
    """Say why a series cannot serve a rule; empty if it can."""
    if has_errors(study.issues):
        return "The study as a whole is refused."
    if not series.is_usable:
        codes = sorted({issue.code for issue in series.issues if issue.severity is Severity.ERROR})
        return f"Refused: {', '.join(codes)}."
    if series.modality != rule.modality:
        return f"{series.modality}, where {rule.name} wants {rule.modality}."
    if series.n_frames < rule.min_slices:
        return f"{series.n_frames} slices, fewer than the {rule.min_slices} of {rule.name}."
    serves = [name for name, other in chosen.items() if other.series_uid == series.series_uid]
    return f"Already serves {serves[0]}." if serves else ""


def _rank(series: Series, rule: SeriesRule) -> _Rank:
    return _Rank(
        is_not_magnitude=series.component not in ("", "magnitude"),
        minus_words=-len(_words(series, rule)),
        minus_slices=-series.n_frames,
        minus_coverage_mm=-round(_coverage_mm(series), 1),
        series_uid=series.series_uid,
    )


def _words(series: Series, rule: SeriesRule) -> list[str]:
    text = series.description.lower()
    return [
        word
        for word in rule.descriptions
        if re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}", text)
    ]


def _spacing_mm(series: Series) -> tuple[float, float, float] | None:
    if series.affine_lps is None:
        return None
    lengths = np.linalg.norm(np.array(series.affine_lps)[:3, :3], axis=0)
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def _coverage_mm(series: Series) -> float:
    spacing = _spacing_mm(series)
    return 0.0 if spacing is None else spacing[0] * series.n_frames


def _why_chosen(series: Series, rule: SeriesRule, n_fitting: int) -> str:
    words = ", ".join(_words(series, rule)) or "no words"
    return (
        f"Chosen as {rule.name} out of {n_fitting}: {words} in its description, "
        f"{series.n_frames} slices over {_coverage_mm(series):.0f} mm."
    )


def _why_lost(series: Series, best: Series, rule: SeriesRule) -> str:
    own, better = _rank(series, rule), _rank(best, rule)
    if own.is_not_magnitude != better.is_not_magnitude:
        return f"A {series.component} image; {rule.name} has a better one."
    if own.minus_words != better.minus_words:
        n_own, n_better = -own.minus_words, -better.minus_words
        return f"{n_own} words of {rule.name} in its description, the chosen one has {n_better}."
    if own.minus_slices != better.minus_slices:
        return f"{series.n_frames} slices, the one chosen as {rule.name} has {best.n_frames}."
    if own.minus_coverage_mm != better.minus_coverage_mm:
        return f"Covers {-own.minus_coverage_mm} mm, the chosen one {-better.minus_coverage_mm} mm."
    return f"Equal to the one chosen as {rule.name}; the smaller UID was taken."


def _missing(study: Study, rule: SeriesRule) -> Issue:
    return Issue(
        code=IssueCode.SERIES_MISSING,
        severity=Severity.WARNING,
        message=f"No series fits {rule.name}, which wants {rule.modality} of at least "
        f"{rule.min_slices} slices; the study has {_present(study.series)}.",
    )


def _present(series: Sequence[Series]) -> str:
    kinds = sorted({item.modality for item in series})
    counts = [
        f"{sum(item.modality == kind for item in series)} {kind} "
        f"({sum(item.modality == kind and item.is_usable for item in series)} usable)"
        for kind in kinds
    ]
    return ", ".join(counts) or "no series"


def _use(series: Series, name: str, reasons: list[str]) -> SeriesUse:
    return SeriesUse(
        series_uid=series.series_uid,
        name=name,
        modality=series.modality,
        description=series.description,
        n_frames=series.n_frames,
        shape=series.shape,
        spacing_mm=_spacing_mm(series),
        reason=" ".join(reasons) or "The protocol names no series.",
        issues=series.issues,
    )

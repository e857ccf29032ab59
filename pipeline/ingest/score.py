"""How well one series fits one named series of a protocol, in points with a reason each."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.ingest.content import Content
from schemas.issue import Severity
from schemas.series import Series
from schemas.series_rule import SeriesRule

Look = Callable[[Series], Content | None]

_MAX_WORDS = 3
_WITH = ("+c", "c+", "post", "gd", "gad", "contrast", "enhanced", "arterial", "venous", "portal")
_WITHOUT = ("native", "without", "w/o", "wo", "pre", "non", "unenhanced", "c-", "-c")
_AXES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, slots=True)
class Point:
    """One reason for or against a series."""

    points: float
    reason: str


@dataclass(frozen=True, slots=True)
class Fit:
    """What speaks for and against a series."""

    series: Series
    """As the rule sees it."""
    against: str = ""
    """Why it cannot serve at all; empty if it can."""
    found: tuple[Point, ...] = ()

    @property
    def points(self) -> float:
        """Sum of the points."""
        return sum(point.points for point in self.found)

    @property
    def reasons(self) -> str:
        """The points in words."""
        return ", ".join(f"{point.points:+g} {point.reason}" for point in self.found) or "no words"


def fit(series: Series, rule: SeriesRule, look: Look) -> Fit:
    """Weigh a series against a rule.

    Parameters
    ----------
    series
        As the rule sees it (``admitted``).
    look
        Gives what the values show; asked only where the rule wants to know it and the header does
        not say.
    """
    against = _against(series, rule)
    if against:
        return Fit(series, against)
    found = (
        _component(series),
        *_words(series, rule),
        _body_part(series, rule),
        _kernel(series, rule),
        _contrast(series, rule, look),
        _lungs(series, rule, look),
    )
    return Fit(series, found=tuple(point for point in found if point is not None))


def spacing_mm(series: Series) -> tuple[float, float, float] | None:
    """Return the distances between slices, rows and columns; None if refused."""
    if series.affine_lps is None:
        return None
    lengths = np.linalg.norm(np.array(series.affine_lps)[:3, :3], axis=0)
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def orientation_of(series: Series) -> str:
    """Return the plane of the slices by the axis that their normal is nearest to."""
    if series.affine_lps is None:
        return ""
    return _AXES[int(np.abs(np.array(series.affine_lps)[:3, 0]).argmax())]


def _against(series: Series, rule: SeriesRule) -> str:
    if not series.is_usable:
        codes = sorted({issue.code for issue in series.issues if issue.severity is Severity.ERROR})
        return f"Refused: {', '.join(codes)}."
    if series.modality != rule.modality:
        return f"{series.modality}, where {rule.name} wants {rule.modality}."
    return _size_against(series, rule) or _words_against(series, rule)


def _size_against(series: Series, rule: SeriesRule) -> str:
    n_slices = series.shape[0] if series.shape else 0
    if n_slices < rule.min_slices:
        return f"{n_slices} slices, fewer than the {rule.min_slices} of {rule.name}."
    if n_slices > rule.max_slices:
        return f"{n_slices} slices, more than the {rule.max_slices} of {rule.name}."
    between = (spacing_mm(series) or (0.0,))[0]
    if not rule.min_spacing_mm <= between <= rule.max_spacing_mm:
        return (
            f"{between:.2f} mm between slices, where {rule.name} wants {rule.min_spacing_mm:g} "
            f"to {rule.max_spacing_mm:g} mm."
        )
    return ""


def _words_against(series: Series, rule: SeriesRule) -> str:
    if rule.orientation and orientation_of(series) != rule.orientation:
        return f"{orientation_of(series)}, where {rule.name} wants {rule.orientation}."
    excluded = _present(rule.excluded, series.description)
    if excluded:
        return f"'{excluded[0]}' in its description rules it out for {rule.name}."
    traits = dict(series.traits)
    for part in rule.parts:
        value = traits.get(part.trait)
        if part.take not in ("first", "last") and value is not None and not _same(value, part.take):
            return f"{part.trait} {value}, where {rule.name} wants {part.take}."
    return ""


def _same(value: str, wanted: str) -> bool:
    try:
        return float(value) == float(wanted)
    except ValueError:
        return value.strip().lower() == wanted.strip().lower()


def _present(words: Iterable[str], text: str) -> list[str]:
    """Return those words that stand at the beginning of a word of a text."""
    low = text.lower()
    return [word for word in words if re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}", low)]


def _component(series: Series) -> Point | None:
    if series.component in ("", "magnitude"):
        return None
    return Point(-10, f"a {series.component} image")


def _words(series: Series, rule: SeriesRule) -> list[Point]:
    words = _present(rule.descriptions, series.description)
    return [Point(2, f"'{word}' in its description") for word in words[:_MAX_WORDS]]


def _body_part(series: Series, rule: SeriesRule) -> Point | None:
    if not rule.body_parts or not series.body_part:
        return None
    if _present(rule.body_parts, series.body_part):
        return Point(2, "body part by its header")
    return Point(-1, "another body part by its header")


def _kernel(series: Series, rule: SeriesRule) -> Point | None:
    if not rule.kernels or not series.kernel:
        return None
    name = series.kernel.lower()
    if any(name.startswith(kernel.lower()) for kernel in rule.kernels):
        return Point(1, "kernel")
    return Point(-1, "another kernel")


def _contrast(series: Series, rule: SeriesRule, look: Look) -> Point | None:
    """Ask the header, then the description, then the values; each is trusted less."""
    if not rule.contrast:
        return None
    given, points, source = series.contrast_agent, 2, "header"
    if given is None:
        given, source = _described_contrast(series.description), "description"
    if given is None:
        seen = look(series)
        given, points, source = seen.contrast if seen else None, 1, "values"
    if given is None:
        return None
    what = "with" if given else "without"
    sign = 1 if what == rule.contrast else -1
    return Point(sign * points, f"{what} contrast agent by its {source}")


def _described_contrast(description: str) -> bool | None:
    """Return what the words of a description say; None if nothing, or both."""
    words = set(re.findall(r"[a-z/+-]+", description.lower()))
    says_with, says_without = bool(words & set(_WITH)), bool(words & set(_WITHOUT))
    if "non" in words or "without" in words or "w/o" in words:
        return False
    return None if says_with == says_without else says_with


def _lungs(series: Series, rule: SeriesRule, look: Look) -> Point | None:
    if not rule.lungs:
        return None
    seen = look(series)
    if seen is None or seen.lungs is None:
        return None
    what = "with" if seen.lungs else "without"
    return Point(2 if what == rule.lungs else -2, f"{what} lungs by its values")

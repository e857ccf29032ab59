"""Which series of a study serves each named series of a protocol, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ingest.admit import admitted
from pipeline.ingest.content import Content
from pipeline.ingest.score import Fit, Look, fit, spacing_mm
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.report import SeriesScore, SeriesUse
from schemas.series import Series, Study
from schemas.series_rule import SeriesRule


@dataclass(frozen=True, slots=True, order=True)
class _Rank:
    """Smaller is better; compared field by field."""

    minus_points: float
    place_among_parts: tuple[int, ...]
    minus_slices: int
    minus_coverage_mm: float
    series_uid: str


_Ranked = list[tuple[_Rank, Fit]]


def unseen(_series: Series) -> Content | None:
    """Look at no voxel."""
    return None


def select_series(
    study: Study, rules: tuple[SeriesRule, ...], look: Look = unseen
) -> tuple[dict[str, Series], tuple[SeriesUse, ...], tuple[Issue, ...]]:
    """Choose a series for each rule, in the order of the rules; a series serves one rule.

    What a rule demands rules series out; the others get points (``pipeline.ingest.score``). Among
    equal points the part that the rule takes wins (the first echo, say), then more slices, then
    more millimetres covered, then the smaller UID.

    Parameters
    ----------
    look
        Gives what the values of a series show; see ``pipeline.ingest.content``.

    Returns
    -------
    chosen, uses, issues
        The series by the rule's name; what became of each series of the study, in its order; and
        a warning for each rule that none fits (``series-missing``) or two fit equally well
        (``series-unsure``).
    """
    chosen: dict[str, Series] = {}
    scores: list[list[SeriesScore]] = [[] for _ in study.series]
    issues: list[Issue] = []
    look = _remembered(look)
    for rule in rules:
        fits = [_fit(series, rule, study, chosen, look) for series in study.series]
        ranked = _ranked([one for one in fits if not one.against], rule)
        for one, own in zip(fits, scores, strict=True):
            own.append(_score(one, rule, ranked))
        if ranked:
            chosen[rule.name] = ranked[0][1].series
        issues += _doubts(study, rule, ranked)
    uses = tuple(
        _use(series, chosen, tuple(own)) for series, own in zip(study.series, scores, strict=True)
    )
    return chosen, uses, tuple(issues)


def _remembered(look: Look) -> Look:
    """Look at each series once, however many rules ask."""
    seen: dict[str, Content | None] = {}

    def again(series: Series) -> Content | None:
        if series.series_uid not in seen:
            seen[series.series_uid] = look(series)
        return seen[series.series_uid]

    return again


def _fit(
    series: Series, rule: SeriesRule, study: Study, chosen: dict[str, Series], look: Look
) -> Fit:
    if has_errors(study.issues):
        return Fit(series, "The study as a whole is refused.")
    for name, other in chosen.items():
        if other.series_uid == series.series_uid:
            return Fit(series, f"Already serves {name}.")
    return fit(admitted(series, rule), rule, look)


def _ranked(fits: list[Fit], rule: SeriesRule) -> _Ranked:
    """Put those that can serve in order, the best first."""
    takes: dict[str, str] = {part.trait: part.take for part in rule.parts}
    names = sorted({name for one in fits for name, _ in one.series.traits})
    values = {
        name: sorted({dict(one.series.traits).get(name, "") for one in fits}, key=_by_number)
        for name in names
    }

    def rank(one: Fit) -> _Rank:
        traits = dict(one.series.traits)
        places = [(name, values[name].index(traits.get(name, ""))) for name in names]
        return _Rank(
            minus_points=-one.points,
            place_among_parts=tuple(
                -place if takes.get(name) == "last" else place for name, place in places
            ),
            minus_slices=-one.series.n_frames,
            minus_coverage_mm=-round(_coverage_mm(one.series), 1),
            series_uid=one.series.series_uid,
        )

    return sorted(((rank(one), one) for one in fits), key=lambda item: item[0])


def _by_number(value: str) -> tuple[bool, float, str]:
    """Sort numbers by their size, before all other values by their letters."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _coverage_mm(series: Series) -> float:
    spacing = spacing_mm(series)
    return 0.0 if spacing is None or series.shape is None else spacing[0] * series.shape[0]


def _score(one: Fit, rule: SeriesRule, ranked: _Ranked) -> SeriesScore:
    if one.against:
        return SeriesScore(name=rule.name, reason=one.against)
    place = next(n for n, (_, other) in enumerate(ranked, start=1) if other is one)
    if place == 1:
        why = _why_chosen(one, rule, len(ranked))
    else:
        why = _why_lost(ranked[place - 1], ranked[0], rule)
    return SeriesScore(name=rule.name, points=one.points, rank=place, reason=why)


def _why_chosen(one: Fit, rule: SeriesRule, n_fitting: int) -> str:
    n_slices = one.series.shape[0] if one.series.shape else 0
    return (
        f"Chosen as {rule.name} out of {n_fitting}: {one.reasons}; {n_slices} slices over "
        f"{_coverage_mm(one.series):.0f} mm."
    )


def _why_lost(own: tuple[_Rank, Fit], best: tuple[_Rank, Fit], rule: SeriesRule) -> str:
    rank, one = own
    better = best[0]
    if rank.minus_points != better.minus_points:
        return (
            f"{one.points:g} points for {rule.name}, the chosen one has "
            f"{best[1].points:g}: {one.reasons}."
        )
    equal = f"As many points as the one chosen as {rule.name}; "
    if rank.place_among_parts != better.place_among_parts:
        return f"{equal}{one.series.part} is not the part that the protocol takes."
    if rank.minus_slices != better.minus_slices:
        return f"{equal}{one.series.n_frames} slices, that one has {best[1].series.n_frames}."
    if rank.minus_coverage_mm != better.minus_coverage_mm:
        return f"{equal}covers {-rank.minus_coverage_mm} mm, that one {-better.minus_coverage_mm}."
    return f"{equal}and equal in all else; the smaller UID was taken."


def _doubts(study: Study, rule: SeriesRule, ranked: _Ranked) -> list[Issue]:
    if not ranked:
        return [_missing(study, rule)]
    if len(ranked) < 2 or not _is_close(ranked[0], ranked[1]):
        return []
    message = (
        f"Two series fit {rule.name} equally well; the one with more slices, or else the smaller "
        "UID, was taken. Say more in the protocol's rules."
    )
    return [Issue(code=IssueCode.SERIES_UNSURE, severity=Severity.WARNING, message=message)]


def _is_close(best: tuple[_Rank, Fit], second: tuple[_Rank, Fit]) -> bool:
    first, other = best[0], second[0]
    return (first.minus_points, first.place_among_parts) == (
        other.minus_points,
        other.place_among_parts,
    )


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


def _use(found: Series, chosen: dict[str, Series], scores: tuple[SeriesScore, ...]) -> SeriesUse:
    """Describe a series as its rule sees it, if one chose it."""
    used = [(name, one) for name, one in chosen.items() if one.series_uid == found.series_uid]
    name, series = used[0] if used else ("", found)
    return SeriesUse(
        series_uid=series.series_uid,
        name=name,
        modality=series.modality,
        description=series.description,
        n_frames=series.n_frames,
        shape=series.shape,
        spacing_mm=spacing_mm(series),
        reason=" ".join(dict.fromkeys(score.reason for score in scores))
        or "The protocol names no series.",
        scores=scores,
        issues=series.issues,
    )

"""A cohort as its Cases would be, counted: nothing is trained and no volume is loaded."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pipeline.cohort import Cohort, choose_series
from pipeline.history import Labels, Pairing
from pipeline.inspect.distributions import number_bars, word_bars
from pipeline.inspect.outcomes import label_views
from pipeline.progress import Progress, silent
from schemas.history import ConceptValue, History, TableValue
from schemas.inspection import (
    Bar,
    Inspection,
    IssueView,
    NotesView,
    SeriesView,
    TimeRuleView,
    VariableView,
)
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.report import SeriesUse
from schemas.series import Study

FAR = datetime(2100, 1, 1)
FAR_BACK_DAYS = 36525
SHOWN_STUDIES = 50
_HEAVIEST = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, eq=False)
class InspectedStudy:
    """One study as a Case would have it, and its history without the time rule."""

    study: Study
    history: History
    uncut: History
    uses: tuple[SeriesUse, ...]
    issues: tuple[Issue, ...]


def inspect_studies(cohort: Cohort, *, progress: Progress = silent) -> list[InspectedStudy]:
    """Pair every study with its history, at the scan and as if nothing were cut."""
    uncut = _without_time_rule(cohort.pairing)
    studies = cohort.inventory.studies
    inspected = []
    for number, study in enumerate(studies):
        progress("inspecting", number, len(studies))
        choice = choose_series(cohort, study)
        history = cohort.history(study)
        later = study.model_copy(update={"acquired_at": FAR, "is_day_only": False})
        issues = (*study.issues, *choice.issues, *history.issues)
        inspected.append(InspectedStudy(study, history, uncut.history(later), choice.uses, issues))
    progress("inspecting", len(studies), len(studies))
    return inspected


def inspection_of(
    cohort: Cohort, studies: Sequence[InspectedStudy], labels: Labels | None
) -> Inspection:
    """Count what the studies of a cohort hold.

    Parameters
    ----------
    labels
        By study UID; None if the cohort has none.
    """
    protocol = cohort.protocol
    labelled = () if labels is None else labels.values
    times = [one.study.acquired_at for one in studies if one.study.acquired_at is not None]
    skipped = Counter(item.issue.code.value for item in cohort.inventory.skipped)
    return Inspection(
        title=protocol.title,
        is_simulated=protocol.is_simulated,
        look_back_days=protocol.look_back_days,
        n_studies=len(studies),
        n_patients=len({one.study.patient_id for one in studies if one.study.patient_id}),
        n_withheld=sum(has_errors(one.issues) for one in studies),
        first_study=min(times, default=None),
        last_study=max(times, default=None),
        skipped=_most(skipped),
        record_faults=tuple(
            f"{fault.file}: {fault.issue.message}" for fault in cohort.pairing.records.faults
        ),
        series=_series([use for one in studies for use in one.uses], cohort),
        columns=tuple(
            _variable(
                (column.name, column.label, column.unit), number, studies, "values",
            )
            for number, column in enumerate(protocol.table)
        ),
        concepts=tuple(
            _variable(
                (concept.name, concept.label, concept.unit), number, studies, "concepts",
            )
            for number, concept in enumerate(protocol.concepts)
        ),
        notes=_notes(studies),
        labels=() if labels is None else label_views(
            protocol.tasks, [labels.values.get(one.study.study_uid) for one in studies]
        ),
        n_unlabelled=sum(one.study.study_uid not in labelled for one in studies),
        time_rule=_time_rule(studies),
        issues=_issues(studies),
    )  # fmt: skip


def _without_time_rule(pairing: Pairing) -> Pairing:
    protocol = pairing.protocol.model_copy(update={"look_back_days": FAR_BACK_DAYS})
    return replace(pairing, protocol=protocol)


def _series(uses: Sequence[SeriesUse], cohort: Cohort) -> SeriesView:
    chosen = Counter(use.name for use in uses if use.name)
    refused = [use for use in uses if use.shape is None or has_errors(use.issues)]
    codes = Counter(
        code
        for use in refused
        for code in {item.code.value for item in use.issues if item.severity is Severity.ERROR}
    )
    others = [use for use in uses if not use.name and use not in refused]
    reasons = Counter(_NUMBER.sub("n", use.reason) for use in others)
    return SeriesView(
        chosen=tuple(Bar(label=r.name, n=chosen[r.name]) for r in cohort.protocol.series),
        n_refused=len(refused),
        refused=_most(codes),
        left_out=_most(reasons),
    )


def _variable(
    names: tuple[str, str, str], number: int, studies: Sequence[InspectedStudy], what: str
) -> VariableView:
    """Count the values of one column or concept; a history without concepts has none."""
    name, label, unit = names

    def of(history: History) -> TableValue | ConceptValue | None:
        values = getattr(history, what)
        return values[number] if values else None

    read = [one.value for study in studies if (one := of(study.history)) is not None]
    uncut = [one.value for study in studies if (one := of(study.uncut)) is not None]
    known = [value for value in read if value is not None]
    known_uncut = [value for value in uncut if value is not None]
    numbers = [value for value in known if type(value) is float]
    is_number = len(numbers) == len(known) and bool(numbers)
    return VariableView(
        name=name,
        label=label or name.replace("_", " "),
        unit=unit,
        n=len(known),
        n_uncut=len(known_uncut),
        spread=number_bars(numbers, [float(value) for value in known_uncut])
        if is_number
        else word_bars(map(_word, known), map(_word, known_uncut)),
    )


def _word(value: float | str | bool) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _notes(studies: Sequence[InspectedStudy]) -> NotesView:
    read = [note for one in studies for note in one.history.notes]
    uncut = [note for one in studies for note in one.uncut.notes]
    return NotesView(
        n=len(read),
        n_uncut=len(uncut),
        n_studies=sum(bool(one.history.notes) for one in studies),
        kinds=word_bars((note.kind for note in read), (note.kind for note in uncut)).bars,
        per_study=number_bars(
            [float(len(one.history.notes)) for one in studies],
            [float(len(one.uncut.notes)) for one in studies],
        ),
        words=number_bars(
            [float(len(note.text.split())) for note in read],
            [float(len(note.text.split())) for note in uncut],
        ),
    )


def _time_rule(studies: Sequence[InspectedStudy]) -> TimeRuleView:
    histories = [one.history for one in studies]
    undated = IssueCode.RECORDS_UNDATED
    return TimeRuleView(
        n_after_scan=sum(history.n_after_scan for history in histories),
        n_studies_after_scan=sum(history.n_after_scan > 0 for history in histories),
        n_too_old=sum(history.n_too_old for history in histories),
        n_studies_too_old=sum(history.n_too_old > 0 for history in histories),
        n_studies_undated=sum(
            any(issue.code is undated for issue in history.issues) for history in histories
        ),
    )


def _issues(studies: Sequence[InspectedStudy]) -> tuple[IssueView, ...]:
    found: dict[IssueCode, list[tuple[str, Issue]]] = defaultdict(list)
    for one in studies:
        for issue in one.issues:
            found[issue.code].append((one.study.study_uid, issue))
    views = []
    for code, met in found.items():
        heaviest = min((issue for _, issue in met), key=lambda one: _HEAVIEST.index(one.severity))
        uids = tuple(dict.fromkeys(uid for uid, _ in met))
        views.append(
            IssueView(
                code=code, severity=heaviest.severity, n_studies=len(uids),
                example=heaviest.message, studies=uids[:SHOWN_STUDIES],
            )
        )  # fmt: skip
    order = lambda view: (_HEAVIEST.index(view.severity), -view.n_studies, view.code)  # noqa: E731
    return tuple(sorted(views, key=order))


def _most(counts: Counter[str]) -> tuple[Bar, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Bar(label=label, n=count) for label, count in ordered)

"""The parts of a logit as rows of a signed bar chart."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.report.words import measured, moment
from schemas.history import Context
from schemas.prediction import ConceptEvidence, Evidence, NoteEvidence, TableEvidence

NOTES_SHOWN = 10
NOTES_LISTED = 100
_REASONS: Mapping[Context, str] = {
    "someone_else": "about someone else",
    "uncertain": "a doubt",
    "not_so_yet": "a condition or a plan",
    "past": "long ago",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One part: what it is, what was read, what it added.

    Parameters
    ----------
    group
        ``start``, ``image``, ``table``, ``concept`` or ``note``.
    start, length
        Of the bar, in percent of the largest part; zero lies at 0, so ``start`` is -100 to 0.
    """

    group: str
    name: str
    read: str
    contribution: float
    start: float
    length: float
    is_missing: bool = False
    quote: str = ""
    """The words that say so, for a concept."""
    without: float | None = None
    """The probability had it not been read."""


@dataclass(frozen=True, slots=True)
class Chart:
    """All parts; the note sentences that moved the logit least stand apart."""

    rows: tuple[Bar, ...]
    more: tuple[Bar, ...]
    n_unlisted: int
    """Sentences that only report.json lists."""
    rest: float
    """Log-odds that the ``more`` and the unlisted sentences added together."""
    total: float


def make_chart(evidence: Evidence, without_image: float | None = None) -> Chart:
    """Lay out bias, image, table, concepts, then notes, the largest first within a group.

    Parameters
    ----------
    without_image
        The probability with the history alone, where it is known.
    """
    concepts = sorted(evidence.concepts, key=lambda part: -abs(part.contribution))
    table = sorted(evidence.table, key=lambda part: -abs(part.contribution))
    notes = sorted(evidence.notes, key=lambda part: -abs(part.contribution))
    parts = [evidence.bias, evidence.image]
    parts += [part.contribution for part in table] + [part.contribution for part in concepts]
    parts += [part.contribution for part in notes]
    largest = max(abs(part) for part in parts) or 1.0
    image = _bar("image", "Image", "sum over all voxels", evidence.image, largest)
    rows = (
        _bar("start", "Starting point", "before anything was read", evidence.bias, largest),
        replace(image, without=without_image),
        *(_table_bar(part, largest) for part in table),
        *(_concept_bar(part, largest) for part in concepts),
        *(_note_bar(part, largest) for part in notes[:NOTES_SHOWN]),
    )
    return Chart(
        rows=rows,
        more=tuple(_note_bar(part, largest) for part in notes[NOTES_SHOWN:NOTES_LISTED]),
        n_unlisted=max(0, len(notes) - NOTES_LISTED),
        rest=sum(part.contribution for part in notes[NOTES_SHOWN:]),
        total=evidence.total(),
    )


def _bar(group: str, name: str, read: str, contribution: float, largest: float) -> Bar:
    share = contribution / largest * 100
    return Bar(group, name, read, contribution, start=min(0.0, share), length=abs(share))


def _table_bar(part: TableEvidence, largest: float) -> Bar:
    bar = _bar(
        "table",
        part.label or part.name.replace("_", " "),
        measured(part.value, part.unit),
        part.contribution,
        largest,
    )
    return replace(bar, is_missing=part.value is None, without=part.probability_without)


def _concept_bar(part: ConceptEvidence, largest: float) -> Bar:
    """Return the bar of a concept, with the sentence that gives it its value, or why none does."""
    read = measured(part.value, part.unit)
    if part.value is None:
        read = _why_unsaid(part)
    if part.written_at is not None:
        read = f"{read} ({part.kind}, {moment(part.written_at)})"
    bar = _bar(
        "concept", part.label or part.name.replace("_", " "), read, part.contribution, largest
    )
    return replace(
        bar, is_missing=part.value is None, quote=part.quote, without=part.probability_without
    )


def _why_unsaid(part: ConceptEvidence) -> str:
    reasons = [words for context, words in _REASONS.items() if context in part.contexts]
    return f"not counted: {', '.join(reasons)}" if reasons else "not in the notes"


def _note_bar(part: NoteEvidence, largest: float) -> Bar:
    name = f"{part.kind}, {moment(part.written_at)}"
    bar = _bar("note", name, part.quote, part.contribution, largest)
    return replace(bar, without=part.probability_without)

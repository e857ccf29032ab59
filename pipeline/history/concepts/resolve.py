"""Mentions to one value a concept: the newest that counts."""

from collections import Counter
from collections.abc import Sequence

from pipeline.history.concepts.extract import LONG_AGO_YEARS, Found, extractor_for
from schemas.history import ConceptFact, ConceptValue, Context, Mention, Note
from schemas.issue import Issue, IssueCode, Severity
from schemas.notes_rule import Concept

MAX_QUOTE = 300
_BARS: tuple[Context, ...] = ("uncertain", "someone_else", "not_so_yet")


def read_concepts(
    notes: Sequence[Note], concepts: tuple[Concept, ...]
) -> tuple[tuple[ConceptValue, ...], tuple[Mention, ...], list[Issue]]:
    """Return what a patient's notes say of each concept.

    Parameters
    ----------
    notes
        Oldest first, none later than the scan.
    concepts
        The protocol's.

    Returns
    -------
    values
        One for each concept; its value is None where no note answers.
    mentions
        Every place that names a concept.
    issues
        One for each concept on which notes disagree.
    """
    if not concepts:
        return (), (), []
    extractor = extractor_for(concepts)
    mentions: list[Mention] = []
    quotes: list[str] = []
    for number, note in enumerate(notes):
        for start, end, found in extractor.note(note):
            mention = _mention(found, number, start, note, concepts[found.concept])
            if mention is not None:
                mentions.append(mention)
                quotes.append(_quote(note.text, start, end, mention))
    values, issues = [], []
    for concept in concepts:
        mine = [
            pair for pair in zip(mentions, quotes, strict=True) if pair[0].concept == concept.name
        ]
        value, has_contradiction = _resolve(concept, mine, notes)
        values.append(value)
        if has_contradiction:
            issues.append(_contradiction(concept, value, [one for one, _ in mine]))
    return tuple(values), tuple(mentions), issues


def _mention(found: Found, number: int, start: int, note: Note, concept: Concept) -> Mention | None:
    if found.value is None:
        return None
    contexts = found.contexts
    if found.year is not None and note.written_at.year - found.year >= LONG_AGO_YEARS:
        contexts = (*contexts, "past") if "past" not in contexts else contexts
    is_over = concept.past == "ignored" and "past" in contexts and "negated" not in contexts
    return Mention(
        concept=concept.name,
        note=number,
        start=start + found.start,
        end=start + found.end,
        value=found.value,
        contexts=contexts,
        counts=not is_over and not any(bar in contexts for bar in _BARS),
    )


def _quote(text: str, start: int, end: int, mention: Mention) -> str:
    """Return the sentence, or of a very long one the part around the words."""
    if end - start <= MAX_QUOTE:
        return text[start:end]
    first = max(start, min(mention.start - MAX_QUOTE // 2, end - MAX_QUOTE))
    return text[first : first + MAX_QUOTE]


def _resolve(
    concept: Concept, mine: Sequence[tuple[Mention, str]], notes: Sequence[Note]
) -> tuple[ConceptValue, bool]:
    unit = concept.unit
    if not mine:
        return ConceptValue(name=concept.name, value=None, unit=unit), False
    counted = [pair for pair in mine if pair[0].counts]
    newest = max(pair[0].note for pair in counted or mine)
    last = [pair for pair in counted or mine if pair[0].note == newest]
    value = _value_of_note(concept, [one.value for one, _ in last]) if counted else None
    said = next((pair for pair in reversed(last) if pair[0].value == value), last[-1])
    resolved = ConceptValue(
        name=concept.name, value=value, unit=unit, written_at=notes[newest].written_at,
        kind=notes[newest].kind, quote=said[1], contexts=said[0].contexts,
    )  # fmt: skip
    return resolved, _disagree(concept, [one for one, _ in counted])


def _value_of_note(concept: Concept, facts: Sequence[ConceptFact]) -> ConceptFact:
    """Return what one note says: of a drug and a number the last, else what is there.

    A note that tells of a fit and then says that there was none since still tells of a fit.
    """
    if concept.kind in {"drug", "number"}:
        return facts[-1]
    there = [fact for fact in facts if fact != "absent"]
    sides = {fact for fact in there if fact != "present"}
    if len(sides) > 1:
        return "both"
    return sides.pop() if sides else (there or facts)[-1]


def _disagree(concept: Concept, counted: Sequence[Mention]) -> bool:
    """Say whether notes contradict each other; another number or dose is no contradiction.

    Nor is it one that a drug which was stopped is not taken.
    """
    if concept.kind == "drug":
        return len({one.value == "present" for one in counted}) > 1
    said = {one.value for one in counted} - {"present"} if concept.kind == "side" else {
        one.value for one in counted
    }  # fmt: skip
    return concept.kind != "number" and len(said) > 1


def _contradiction(concept: Concept, value: ConceptValue, mine: Sequence[Mention]) -> Issue:
    counts = Counter(str(one.value) for one in mine if one.counts)
    said = ", ".join(f"{word} {number} times" for word, number in sorted(counts.items()))
    message = f"the notes disagree on {concept.name} ({said}); the newest counts: {value.value}"
    return Issue(
        code=IssueCode.CONCEPT_CONTRADICTED,
        severity=Severity.INFO if concept.kind == "drug" else Severity.WARNING,
        message=message,
    )

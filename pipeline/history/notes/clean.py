"""A patient's notes, oldest first, to what was written anew in each."""

from collections.abc import Sequence
from itertools import repeat

from pipeline.history.notes.copy_forward import EarlierText
from pipeline.history.notes.repair import repair_text
from pipeline.history.notes.sections import find_sections
from pipeline.history.notes.templates import is_template
from pipeline.sentences import sentence_spans
from schemas.history import Note
from schemas.issue import Issue, IssueCode, Severity
from schemas.notes_rule import NotesRule


def clean_notes(notes: Sequence[Note], rule: NotesRule) -> tuple[tuple[Note, ...], list[Issue]]:
    """Repair a patient's notes and leave out templates and copies.

    Parameters
    ----------
    notes
        Oldest first, none later than the scan: a copy is looked for only in what is there.
    rule
        The protocol's.

    Returns
    -------
    notes
        Those in which something is left, oldest first, their sections found.
    issues
        One that counts the copied sentences, if there are any.
    """
    earlier, several = EarlierText(), len(notes) > 1
    kept, n_copied = [], 0
    for note in notes:
        text = repair_text(note.text)
        spans = sentence_spans(text)
        copied = earlier.copied([text[start:end] for start, end in spans]) if several else []
        n_copied += sum(copied)
        gone = [
            is_copy or is_template(text[start:end], rule.templates)
            for (start, end), is_copy in zip(spans, copied or repeat(False), strict=False)
        ]
        text = _without(text, spans, gone)
        if text.strip():
            update = {"text": text, "sections": find_sections(text)}
            kept.append(note.model_copy(update=update))
    return tuple(kept), _issues(n_copied)


def _without(text: str, spans: Sequence[tuple[int, int]], gone: Sequence[bool]) -> str:
    """Cut sentences out, and with each the blanks behind it."""
    if not any(gone):
        return text
    starts = [start for start, _ in spans[1:]] + [len(text)]
    head = text[: spans[0][0]]
    parts = [
        text[start:after]
        for (start, _), after, is_gone in zip(spans, starts, gone, strict=True)
        if not is_gone
    ]
    return (head + "".join(parts)).rstrip()


def _issues(n_copied: int) -> list[Issue]:
    if not n_copied:
        return []
    message = (
        f"{n_copied} sentences that repeat an earlier note were read once, with its date"
        if n_copied > 1
        else "1 sentence that repeats an earlier note was read once, with its date"
    )
    return [Issue(code=IssueCode.NOTES_REPEATED, severity=Severity.INFO, message=message)]

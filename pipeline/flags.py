"""How each sentence of a note speaks of what it names: denied, doubted, of another, of long ago."""

from collections.abc import Sequence
from functools import cache, lru_cache

from pipeline.history.concepts.context import (
    Words,
    is_negated,
    is_not_so_yet,
    is_past,
    is_unsure,
    persons,
)
from pipeline.history.concepts.cues import (
    ASSERTS,
    CUE_WORDS,
    DETERMINERS,
    HAPPENS,
    JOINERS,
    Kind,
)
from pipeline.history.concepts.extract import CACHED_SENTENCES, MAX_TOKENS, OVERLAP_TOKENS
from pipeline.history.concepts.lexicon import Hit
from pipeline.history.concepts.words import Spelling, tokens_of
from pipeline.history.notes.sections import section_at
from pipeline.sentences import sentence_spans
from pipeline.tensors import FLAGS
from schemas.history import Context, Note

_NAMES_NOTHING = ASSERTS | DETERMINERS | HAPPENS | JOINERS


def flags_of(notes: Sequence[Note]) -> tuple[tuple[bool, ...], ...]:
    """Return for every sentence of every note which of ``FLAGS`` hold of a word in it.

    The rules are those by which named concepts are read, but here every word counts that may name
    something: not cues, auxiliaries or articles. Years, as in ``in 1998``, make nothing past.

    Parameters
    ----------
    notes
        With their sections: what stands in a family history is of somebody else.
    """
    return tuple(
        _flags(
            note.text[start:end],
            of_family=section_at(note.sections, start) == "family history",
        )
        for note in notes
        for start, end in sentence_spans(note.text)
    )


@lru_cache(maxsize=CACHED_SENTENCES)
def _flags(sentence: str, *, of_family: bool) -> tuple[bool, ...]:
    words = [_spelling().corrected(token.text) for token in tokens_of(sentence)]
    firsts = range(0, max(len(words) - OVERLAP_TOKENS, 1), MAX_TOKENS - OVERLAP_TOKENS)
    held: set[Context] = set()
    for first in firsts:
        text = Words(tuple(words[first : first + MAX_TOKENS]))
        for place in _names(text):
            held |= _held(text, Hit(0, place, place), of_family=of_family)
    return tuple(flag in held for flag in FLAGS)


@cache
def _spelling() -> Spelling:
    return Spelling((), fixed=CUE_WORDS)


def _names(text: Words) -> list[int]:
    """Return the places of words that may name something."""
    in_cues = {place for cue in text.cues for place in range(cue.first, cue.last + 1)}
    return [
        place
        for place, word in enumerate(text.words)
        if word[0].isalpha() and word not in _NAMES_NOTHING and place not in in_cues
    ]


def _held(text: Words, name: Hit, *, of_family: bool) -> set[Context]:
    says_patient = text.before(name, Kind.PATIENT) or text.after(name, Kind.PATIENT)
    holds: dict[Context, bool] = {
        "negated": is_negated(text, name),
        "uncertain": is_unsure(text, name),
        "someone_else": bool(persons(text, name)) or (of_family and not says_patient),
        "not_so_yet": is_not_so_yet(text, name),
        "past": is_past(text, name),
    }
    return {context for context, is_held in holds.items() if is_held}

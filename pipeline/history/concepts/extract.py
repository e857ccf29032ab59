"""Notes to the places that name a concept, each with what it says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.history.concepts.context import (
    Words,
    is_negated,
    is_not_so_yet,
    is_past,
    is_unsure,
    persons,
)
from pipeline.history.concepts.cues import CUE_WORDS, Kind
from pipeline.history.concepts.lexicon import Hit, Lexicon
from pipeline.history.concepts.values import SIDE_WORDS, drug_value, number_value, side_value
from pipeline.history.concepts.words import Spelling, Token, stem, tokens_of
from pipeline.history.notes.sections import section_at
from pipeline.sentences import sentence_spans
from schemas.history import ConceptFact, Context, Note
from schemas.notes_rule import Concept

LONG_AGO_YEARS = 5
MAX_TOKENS = 120
OVERLAP_TOKENS = 40
CACHED_SENTENCES = 200_000
_YEARS = {"year", "years", "yr", "yrs"}
_NUMBERS = {
    "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_DATED = re.compile(
    r"\b(?:in|during|of|about|around|summer|winter|spring|autumn) ((?:19|20)\d\d)\b"
)


@dataclass(frozen=True, slots=True)
class Found:
    """One place in a sentence that names a concept.

    Parameters
    ----------
    concept
        Position in the protocol.
    start, end
        Characters of the words.
    value
        What it says; None if nothing, as a number that is not there.
    contexts
        How.
    year
        The calendar year that the sentence names for it; None without.
    """

    concept: int
    start: int
    end: int
    value: ConceptFact | None
    contexts: tuple[Context, ...]
    year: int | None


class Extractor:
    """One protocol's concepts, compiled once.

    Parameters
    ----------
    concepts
        The protocol's, in order.
    """

    def __init__(self, concepts: Sequence[Concept]) -> None:
        self.concepts = tuple(concepts)
        self._lexicon = Lexicon(concepts)
        self._spelling = Spelling(self._lexicon.words, fixed=CUE_WORDS | SIDE_WORDS)
        self._may_name = lru_cache(maxsize=CACHED_SENTENCES)(self._is_first_word)
        self._cached = lru_cache(maxsize=CACHED_SENTENCES)(self._read)

    def note(self, note: Note) -> list[tuple[int, int, Found]]:
        """Return what is found in a note, with its sentence's first and one-past-last character."""
        return [
            (start, end, found)
            for start, end in sentence_spans(note.text)
            for found in self.sentence(note.text[start:end], section_at(note.sections, start))
        ]

    def sentence(self, text: str, section: str = "") -> tuple[Found, ...]:
        """Return what is found in one sentence.

        Parameters
        ----------
        section
            Under which heading it stands, if under one.
        """
        return self._cached(text, section if section in {"family history", "allergies"} else "")

    def _read(self, text: str, section: str) -> tuple[Found, ...]:
        if not any(map(self._may_name, _WORD.findall(text.lower()))):
            return ()
        tokens = tokens_of(text)
        found: dict[tuple[int, int], Found] = {}
        for first in range(0, max(len(tokens) - OVERLAP_TOKENS, 1), MAX_TOKENS - OVERLAP_TOKENS):
            for one in self._read_window(tokens[first : first + MAX_TOKENS], section):
                found.setdefault((one.concept, one.start), one)
        return tuple(found.values())

    def _is_first_word(self, word: str) -> bool:
        return stem(self._spelling.corrected(word)) in self._lexicon.first_stems

    def _read_window(self, tokens: Sequence[Token], section: str) -> list[Found]:
        text = Words(tuple(self._spelling.corrected(token.text) for token in tokens))
        hits = self._lexicon.hits([stem(word) for word in text.words])
        return [
            Found(
                concept=hit.concept,
                start=tokens[hit.first].start,
                end=tokens[hit.last].end,
                value=self._value(text, hit, hits, denied),
                contexts=_contexts(text, hit, self.concepts[hit.concept], section, denied),
                year=_year(text, hit),
            )
            for hit, denied in ((hit, is_negated(text, hit)) for hit in hits)
        ]

    def _value(
        self, text: Words, hit: Hit, hits: Sequence[Hit], denied: bool
    ) -> ConceptFact | None:
        concept = self.concepts[hit.concept]
        if concept.kind == "number":
            return number_value(text, hit, concept.low or 0.0, concept.high or 0.0)
        if concept.kind == "drug":
            return drug_value(text, hit, denied=denied)
        if hit.role != "words":
            says_absent = denied if hit.role == "wider" else not denied
            return "absent" if says_absent else None
        if denied:
            return "absent"
        if concept.kind == "side":
            others = [other for other in hits if other != hit and other.concept == hit.concept]
            return side_value(text, hit, others)
        return "present"


@lru_cache(maxsize=8)
def extractor_for(concepts: tuple[Concept, ...]) -> Extractor:
    """Return the compiled extractor of a protocol's concepts; the same one for the same."""
    return Extractor(concepts)


def _contexts(
    text: Words, hit: Hit, concept: Concept, section: str, denied: bool
) -> tuple[Context, ...]:
    contexts: list[Context] = []
    if denied:
        contexts.append("negated")
    if is_unsure(text, hit):
        contexts.append("uncertain")
    if _is_someone_else(text, hit, concept, section):
        contexts.append("someone_else")
    is_allergy = concept.kind == "drug" and section == "allergies"
    if is_allergy or is_not_so_yet(text, hit):
        contexts.append("not_so_yet")
    if is_past(text, hit) or _years_ago(text, hit):
        contexts.append("past")
    return tuple(contexts)


def _is_someone_else(text: Words, hit: Hit, concept: Concept, section: str) -> bool:
    """Say whether another person is meant than the concept is about."""
    whose = persons(text, hit)
    says_patient = bool(text.before(hit, Kind.PATIENT) or text.after(hit, Kind.PATIENT))
    in_family_section = section == "family history" and not says_patient
    if concept.about == "patient":
        return bool(whose) or in_family_section
    return not (in_family_section or whose & {Kind.KIN, Kind.FAMILY}) or Kind.STRANGER in whose


def _years_ago(text: Words, hit: Hit) -> bool:
    """Say whether the clause puts it five years back and more: ``twenty years ago``."""
    start, end = text.clause(hit.first)
    words = text.words[start:end]
    for place, word in enumerate(words[:-2]):
        if words[place + 1] in _YEARS and words[place + 2] in {"ago", "back", "before"}:
            number = float(word) if word.isdecimal() and len(word) < 4 else _NUMBERS.get(word, 0)
            if number >= LONG_AGO_YEARS:
                return True
    return False


def _year(text: Words, hit: Hit) -> int | None:
    start, end = text.clause(hit.first)
    match = _DATED.search(" ".join(text.words[start:end]))
    return int(match[1]) if match else None

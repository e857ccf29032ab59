"""Where the words of the protocol's concepts stand in a sentence."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.history.concepts.words import stem, tokens_of
from schemas.notes_rule import Concept

MAX_GAP = 5
GAP = "..."
_BREAKS = frozenset(".;!?:,()")


Role = Literal["words", "wider", "opposites", "but_not"]


@dataclass(frozen=True, slots=True)
class Hit:
    """Words of a concept: the tokens ``first`` to ``last``, both included.

    ``role`` says of which list of the concept they are, ``skipped`` which tokens between are not
    theirs.
    """

    concept: int
    first: int
    last: int
    role: Role = "words"
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Phrase:
    concept: int
    stems: tuple[str, ...]
    """With ``GAP`` where up to ``MAX_GAP`` words may stand."""
    role: Role


class Lexicon:
    """The words of all concepts, compiled.

    Parameters
    ----------
    concepts
        The protocol's, in order.
    """

    def __init__(self, concepts: Sequence[Concept]) -> None:
        self._phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
        self.words: set[str] = set()
        """Single words of all phrases."""
        for number, concept in enumerate(concepts):
            self._add(number, "words", concept.words)
            self._add(number, "wider", concept.wider)
            self._add(number, "opposites", concept.opposites)
            self._add(number, "but_not", concept.but_not)
        self.first_stems = frozenset(self._phrases)
        """A sentence without any of these names no concept."""

    def _add(self, concept: int, role: Role, phrases: Iterable[str]) -> None:
        for phrase in phrases:
            parts = [
                part
                for word in phrase.split()
                for part in ([GAP] if word == GAP else [token.text for token in tokens_of(word)])
            ]
            self.words.update(part for part in parts if part != GAP)
            stems = tuple(part if part == GAP else stem(part) for part in parts)
            self._phrases[stems[0]].append(_Phrase(concept, stems, role))

    def hits(self, stems: Sequence[str]) -> list[Hit]:
        """Return the hits in a sentence of stems, without those inside an excluded phrase.

        Of hits of one concept that overlap the longest stays.
        """
        found: list[Hit] = []
        excluded: list[Hit] = []
        for first, one in enumerate(stems):
            for phrase in self._phrases.get(one, ()):
                places = _match(stems, first, phrase.stems)
                if places:
                    last = places[-1]
                    skipped = tuple(sorted(set(range(first, last)) - set(places)))
                    hit = Hit(phrase.concept, first, last, phrase.role, skipped)
                    (excluded if phrase.role == "but_not" else found).append(hit)
        kept: list[Hit] = []
        for hit in sorted(found, key=lambda hit: (hit.first - hit.last, hit.first)):
            if not any(_overlap(hit, other) for other in (*kept, *excluded)):
                kept.append(hit)
        return _joined(sorted(kept, key=lambda hit: (hit.concept, hit.first)))


def _joined(hits: Sequence[Hit]) -> list[Hit]:
    """Make one hit of those of a concept that follow each other directly: `epileptic seizure`."""
    joined: list[Hit] = []
    for hit in hits:
        before = joined[-1] if joined else None
        if before and before.concept == hit.concept and before.last + 1 == hit.first:
            role: Role = "words" if "words" in {before.role, hit.role} else hit.role
            joined[-1] = Hit(
                hit.concept, before.first, hit.last, role, (*before.skipped, *hit.skipped)
            )  # fmt: skip
        else:
            joined.append(hit)
    return sorted(joined, key=lambda hit: hit.first)


def _overlap(one: Hit, other: Hit) -> bool:
    apart = one.last < other.first or other.last < one.first
    return one.concept == other.concept and not apart


def _match(stems: Sequence[str], first: int, phrase: Sequence[str]) -> list[int]:
    """Return where the words of a phrase that begins at ``first`` stand; none if it does not."""
    places: list[int] = []
    may_skip = False
    for part in phrase:
        if part == GAP:
            may_skip = True
            continue
        start = places[-1] + 1 if places else first
        found = _next(stems, start, part, MAX_GAP if may_skip else 0)
        if found is None:
            return []
        places.append(found)
        may_skip = False
    return places


def _next(stems: Sequence[str], start: int, part: str, may_skip: int) -> int | None:
    for place in range(start, min(start + may_skip + 1, len(stems))):
        if stems[place] == part:
            return place
        if stems[place] in _BREAKS:
            return None
    return None

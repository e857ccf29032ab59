"""How a sentence speaks of the words in it: by clauses, and cues that reach within them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.history.concepts.cues import (
    ASSERTS,
    DETERMINERS,
    HAPPENS,
    JOINERS,
    NAMED_VALUES_NONE,
    Cue,
    Kind,
    cues_in,
)
from pipeline.history.concepts.lexicon import Hit

REACH_AFTER = 6
REACH_TOPIC = 4
REACH_INFORMANT = 3
_NOT_WORDS = frozenset({"not", "never", "n't", "didn't", "wasn't", "weren't", "hasn't", "haven't"})


@dataclass(frozen=True)
class Words:
    """A sentence as words, typing errors put right.

    Parameters
    ----------
    words
        Of all tokens, marks included.
    """

    words: tuple[str, ...]

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        """All cues, in order."""
        return tuple(cues_in(self.words))

    @cached_property
    def clause_starts(self) -> tuple[int, ...]:
        """First tokens of the clauses, the sentence's own first."""
        starts = {0}
        starts |= {cue.first for cue in self.cues if cue.kind is Kind.BREAK}
        for place, word in enumerate(self.words[:-1]):
            if word in {",", "and", "."} and self._asserts(place + 1):
                starts.add(place)
        return tuple(sorted(starts))

    def _asserts(self, place: int) -> bool:
        """Say whether a clause of its own begins here: a verb, or a subject and a verb."""
        following = self.words[place : place + 2]
        if following[0] in {"and", "the", "then", "now"} and len(following) > 1:
            return following[1] in ASSERTS
        return following[0] in ASSERTS

    def clause(self, place: int) -> tuple[int, int]:
        """Return first token and one past the last of the clause that holds a token."""
        starts = self.clause_starts
        number = bisect_right(starts, place)
        return starts[number - 1], starts[number] if number < len(starts) else len(self.words)

    def before(self, hit: Hit, *kinds: Kind) -> list[Cue]:
        """Return the cues of these kinds before a hit in its clause, the nearest last."""
        start, _ = self.clause(hit.first)
        return [c for c in self.cues if c.kind in kinds and start <= c.first and c.last < hit.first]

    def after(self, hit: Hit, *kinds: Kind) -> list[Cue]:
        """Return the cues of these kinds behind a hit in its clause, the nearest first."""
        _, end = self.clause(hit.last)
        return [c for c in self.cues if c.kind in kinds and hit.last < c.first and c.last < end]

    def is_open(self, first: int, last: int, *halts: str) -> bool:
        """Say whether nothing between two tokens ends the reach of a cue."""
        between = range(first + 1, last)
        if any(cue.kind is Kind.HALT and cue.first in between for cue in self.cues):
            return False
        return not any(self.words[place] in halts for place in between)


def is_negated(text: Words, hit: Hit) -> bool:
    """Say whether a hit is denied, before, within or after it."""
    if any(cue.kind is Kind.NOT and cue.first in hit.skipped for cue in text.cues):
        return True  # "the chest does not hurt"
    return any(
        text.is_open(cue.last, hit.first, ":") for cue in text.before(hit, Kind.NOT)
    ) or _is_denied_after(text, hit)


def _is_denied_after(text: Words, hit: Hit) -> bool:
    words, (_, end) = text.words, text.clause(hit.last)
    behind = words[hit.last + 1 : end]
    if _is_named_none(behind):
        return True
    if any(
        cue.first - hit.last <= REACH_AFTER and text.is_open(hit.last, cue.first, ",")
        for cue in text.after(hit, Kind.NOT_AFTER)
    ):
        return not _is_unsure_after(text, hit)
    for step, word in enumerate(behind[:REACH_AFTER]):
        if word in _NOT_WORDS and HAPPENS & set(behind[step + 1 : step + 3]):
            return "," not in behind[:step]
    return False


def _is_named_none(behind: Sequence[str]) -> bool:
    """Read ``: none`` and ``- no``: a field, of one word more at most, and its value."""
    behind = behind[1:] if behind[:1] and behind[0].isalpha() else behind
    if len(behind) < 2 or behind[0] not in {":", "-", "="} or behind[1] not in NAMED_VALUES_NONE:
        return False
    return len(behind) == 2 or not behind[2].isalnum()


def is_unsure(text: Words, hit: Hit) -> bool:
    """Say whether a hit is doubted."""
    if any(text.is_open(cue.last, hit.first) for cue in text.before(hit, Kind.UNSURE)):
        return True
    nearby = text.words[max(hit.first - REACH_TOPIC, 0) : hit.first]
    if "?" in nearby or text.words[hit.last + 1 : hit.last + 2] == ("?",):
        return True
    return _is_unsure_after(text, hit)


def _is_unsure_after(text: Words, hit: Hit) -> bool:
    return any(
        cue.first - hit.last <= REACH_AFTER and text.is_open(hit.last, cue.first, ",")
        for cue in text.after(hit, Kind.UNSURE_AFTER)
    )


def is_not_so_yet(text: Words, hit: Hit) -> bool:
    """Say whether a hit is a condition, a plan, a warning or a subject of talk."""
    conditions = [cue for cue in text.cues if cue.kind is Kind.IF]
    begins = text.words[:1] == ("should",) or any(cue.first == 0 for cue in conditions)
    if text.words[max(hit.first - 2, 0) : hit.first] == ("[", "]"):  # a box that was not ticked
        return True
    if begins or any(cue.last < hit.first for cue in conditions):
        return True
    return any(
        hit.first - cue.last <= REACH_TOPIC and text.is_open(cue.last, hit.first, ",")
        for cue in text.before(hit, Kind.TOPIC)
    ) or any(
        cue.first - hit.last <= REACH_AFTER and text.is_open(hit.last, cue.first, ",")
        for cue in text.after(hit, Kind.PLAN_AFTER)
    )


def is_past(text: Words, hit: Hit) -> bool:
    """Say whether a hit is said of childhood or of long ago, not counting years."""
    return bool(text.before(hit, Kind.PAST) or text.after(hit, Kind.PAST))


def persons(text: Words, hit: Hit) -> frozenset[Kind]:
    """Return whose the hit is, other than the patient's: KIN, FAMILY, STRANGER, or nobody's."""
    kinds = (Kind.KIN, Kind.FAMILY, Kind.STRANGER)
    meant = [cue for cue in _before_in_subject(text, hit, kinds) if not _told(text, cue)]
    meant = [cue for cue in meant if not _patient_between(text, cue, hit)]
    for cue in text.after(hit, *kinds):
        is_whose = cue.kind is Kind.FAMILY or _belongs(text, cue, hit)
        if is_whose and not _told(text, cue) and not _patient_between(text, hit, cue):
            meant.append(cue)
    return frozenset(cue.kind for cue in meant)


def _before_in_subject(text: Words, hit: Hit, kinds: tuple[Kind, ...]) -> list[Cue]:
    """Return persons before a hit; a clause that begins with a verb has the subject before it."""
    found = text.before(hit, *kinds)
    start, _ = text.clause(hit.first)
    words = text.words[start + 1 : start + 2]
    carries_on = start > 0 and bool(words) and words[0] in ASSERTS - _SUBJECTS
    is_and = text.words[start] in {"and", ","} or text.words[start] in {"who", "which"}
    if not found and start > 0 and ((carries_on and is_and) or text.words[start] == "who"):
        earlier, _ = text.clause(start - 1)
        found = [c for c in text.cues if c.kind in kinds and earlier <= c.first and c.last < start]
    return found


_PASSIVE = frozenset({"was", "were", "been", "is", "are", "being"})  # "was found to have"
_SUBJECTS = frozenset({"he", "she", "they", "we", "patient", "pt", "there", "this"})


def _told(text: Words, person: Cue) -> bool:
    """Say whether a person only tells, sees or keeps company."""
    behind = range(person.last + 1, person.last + 1 + REACH_INFORMANT)
    for cue in text.cues:
        is_passive = text.words[cue.first - 1] in _PASSIVE
        if cue.kind is Kind.REPORTS and cue.first in behind and not is_passive:
            return True
    place = person.first - 1
    while place >= 0 and text.words[place] in DETERMINERS - {"of"}:
        place -= 1
    return any(cue.kind is Kind.SOURCE and cue.last == place for cue in text.cues)


def _patient_between(text: Words, one: Cue | Hit, other: Cue | Hit) -> bool:
    between = range(one.last + 1, other.first)
    return any(cue.kind is Kind.PATIENT and cue.first in between for cue in text.cues)


def _belongs(text: Words, person: Cue, hit: Hit) -> bool:
    """Say whether a hit is of the person behind it: ``fits in a cousin``, ``epilepsy (son)``."""
    if text.words[person.first].endswith("'s"):
        return text.words[person.last + 1 : person.last + 2] == ("side",)
    place = person.first - 1
    while place > hit.last and text.words[place] in DETERMINERS:
        place -= 1
    is_joined = place <= hit.last or text.words[place] in JOINERS
    between = text.words[hit.last + 1 : place]
    return is_joined and not (set(between) & (ASSERTS - _SUBJECTS) - {"is", "was"})

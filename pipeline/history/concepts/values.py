"""What a sentence says of a concept: taken or stopped, which side, how much."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.history.concepts.context import REACH_AFTER, Words
from pipeline.history.concepts.cues import Cue, Kind
from pipeline.history.concepts.lexicon import Hit

LIMBS = frozenset({
    "arm", "arms", "leg", "legs", "hand", "hands", "foot", "feet", "limb", "limbs", "face",
    "facial", "side", "sided", "hemi", "hemiparesis", "hemiplegia", "upper", "lower", "forearm",
    "thigh", "shoulder", "hip", "knee", "ankle", "wrist", "grip", "finger", "thumb", "toe",
    "fingers", "toes", "calf", "elbow", "body", "ue", "le", "ul", "ll", "eye", "ear", "lobe",
    "breast", "kidney", "hemisphere", "pronator",
})  # fmt: skip
Side = Literal["left", "right", "both", "present"]
_SIDES: Mapping[str, Side] = {
    "left": "left", "right": "right", "lt": "left", "rt": "right", "lue": "left", "lle": "left",
    "rue": "right", "rle": "right", "leftsided": "left", "rightsided": "right", "lhs": "left",
    "rhs": "right", "bilateral": "both", "bilaterally": "both", "both": "both", "l": "left",
    "r": "right",
}  # fmt: skip
SIDE_WORDS = frozenset(_SIDES)
_LEFT_VERB = frozenset({
    "the", "hospital", "home", "work", "school", "for", "at", "his", "her", "us", "him",
    "unchanged", "me", "behind", "over", "without", "after", "before", "yesterday", "today",
})  # fmt: skip
_NOT_A_SIDE = frozenset({"handed", "away", "now", "after", "before", "handedness"})
COMMA_PENALTY, BEHIND_PENALTY, OTHER_HIT_PENALTY = 6, 1, 12
MAX_STOP_GAP = 5
NUMBER_REACH = 6


Drug = Literal["present", "stopped", "absent"]


def drug_value(text: Words, hit: Hit, *, denied: bool) -> Drug:
    """Return ``present`` while the sentence has the drug taken, ``stopped`` if it was, else absent.

    Parameters
    ----------
    denied
        Whether the drug itself is denied. A denied stop is a drug that is taken: `was not
        stopped`, `never came off`.
    """
    stops = [*_stops_before(text, hit), *_stops_after(text, hit)]
    again = [cue for cue in text.cues if cue.kind is Kind.AGAIN]
    if stops:
        stop = stops[-1]
        resumed = any(cue.first > stop.last and not _is_denied(text, cue, hit) for cue in again)
        if resumed or _is_denied(text, stop, hit):
            return "present"
        # `no drug until the biopsy` begins with none.
        never = denied and stop.first > hit.last and bool(text.before(hit, Kind.NOT))
        return "absent" if never else "stopped"
    former = text.before(hit, Kind.FORMER)
    if denied:
        return "absent"
    return "stopped" if former and not again else "present"


def _stops_before(text: Words, hit: Hit) -> list[Cue]:
    return [
        cue
        for cue in text.before(hit, Kind.STOP)
        if hit.first - cue.last <= MAX_STOP_GAP and text.is_open(cue.last, hit.first, ",")
    ]


def _stops_after(text: Words, hit: Hit) -> list[Cue]:
    following = range(hit.last + 1, len(text.words))
    comma = next((p for p in following if text.words[p] == ","), len(text.words))
    return [
        cue
        for cue in text.after(hit, Kind.STOP_AFTER)
        if cue.first - hit.last <= REACH_AFTER + 4 and cue.first < comma
    ]


def _is_denied(text: Words, stop: Cue, hit: Hit) -> bool:
    """Say whether a denial stands right before the stop, or between drug and stop."""
    reach = range(max(stop.first - 4, 0), stop.first)
    return any(
        cue.kind is Kind.NOT and cue.first in reach and cue.last < stop.first
        and (stop.first < hit.first or cue.first > hit.last)
        for cue in text.cues
    )  # fmt: skip


def side_value(text: Words, hit: Hit, others: Sequence[Hit]) -> Side:
    """Return left, right or both, whichever stands nearest in the clause; present without one."""
    start, end = text.clause(hit.first)
    sides = {place: side for place in range(start, end) if (side := _side_at(text.words, place))}
    if _is_pair(text.words, sides):
        return "both"
    if not sides:
        return "present"
    return sides[min(sides, key=lambda place: _distance(text.words, place, hit, others))]


def _distance(words: Sequence[str], place: int, hit: Hit, others: Sequence[Hit]) -> float:
    if hit.first <= place <= hit.last:
        return 0.0
    low, high = (place, hit.first) if place < hit.first else (hit.last, place)
    commas = sum(word in {",", "and", ":"} for word in words[low:high])
    between = any(low < other.first < high for other in others)
    behind = BEHIND_PENALTY if place > hit.last else 0
    return high - low + COMMA_PENALTY * commas + OTHER_HIT_PENALTY * between + behind


def _side_at(words: Sequence[str], place: int) -> Side | None:
    side = _SIDES.get(words[place])
    if side is None:
        return None
    before = words[place - 1] if place else ""
    behind = words[place + 1] if place + 1 < len(words) else ""
    if words[place] in {"l", "r"} and not (behind in LIMBS or (before == "(" and behind == ")")):
        is_last = before.startswith("weak") and behind in {"", ".", ",", ";"}
        return side if is_last or behind.startswith(("weak", "hemi", "pare")) else None
    if behind in _NOT_A_SIDE or (words[place] == "both" and behind in {"on", "sides", "of", "in"}):
        return "both" if words[place] == "both" and behind in {"sides", "of"} else None
    is_verb = words[place] == "left" and before not in {"the", "on", "in", "of"}
    return None if is_verb and behind in _LEFT_VERB else side


def _is_pair(words: Sequence[str], sides: Mapping[int, Side]) -> bool:
    """Say whether two sides stand as a pair: ``left and right``."""
    return any(
        {side, sides.get(place + 2)} == {"left", "right"} and words[place + 1] in {"and", "&", "/"}
        for place, side in sides.items()
    )


def number_value(text: Words, hit: Hit, low: float, high: float) -> float | None:
    """Return the plausible number right behind the words, or else right before them."""
    _, end = text.clause(hit.last)
    behind = range(hit.last + 1, min(hit.last + 1 + NUMBER_REACH, end))
    before = [hit.first - 1] if hit.first else []
    is_near = any(_number(text.words[place]) is not None for place in behind[:2])
    for place in (*behind, *before) if is_near else (*before, *behind):
        number = _number_at(text.words, place)
        if number is not None and low <= number <= high:
            return number
    return None


def _number_at(words: Sequence[str], place: int) -> float | None:
    """Read a number that a point or a comma between digits may have parted."""
    number = _number(words[place])
    is_parted = place + 2 < len(words) and words[place + 1] in {".", ","}
    if number is not None and is_parted and words[place + 2].isdigit():
        return float(f"{words[place]}.{words[place + 2]}")
    return number


def _number(word: str) -> float | None:
    return float(word) if word.isdecimal() and word.isascii() and len(word) <= 9 else None

"""Text that was copied from an earlier note: it keeps the earlier note's date."""

import re
from collections import defaultdict
from collections.abc import Sequence

from rapidfuzz.distance import OSA

MIN_COPIED_WORDS = 12
LONG_WORD = 6
MAX_PLACES = 50
_WORD = re.compile(r"\w+")
_Place = tuple[int, int]


class EarlierText:
    """The sentences of a patient's notes that were read so far.

    Two sentences are alike if they have the same words in the same order, save one slip of the
    pen in a word of six letters and more: `left` for `right`, a `no` or another number is news.
    """

    def __init__(self) -> None:
        self._places: defaultdict[tuple[str, ...], list[tuple[_Place, tuple[str, ...]]]]
        self._places = defaultdict(list)
        self._n_notes = 0

    def copied(self, sentences: Sequence[str]) -> list[bool]:
        """Say of each sentence of the next note whether it was copied, and remember them all.

        A copy is a run of sentences that follow each other in one earlier note as they do here,
        of ``MIN_COPIED_WORDS`` words in all: `No seizures.` said again is news, a paragraph said
        again is not.
        """
        words = [tuple(_WORD.findall(sentence.casefold())) for sentence in sentences]
        matches = [self._alike(one) for one in words]
        is_copied = [False] * len(words)
        for first in range(len(words)):
            for place in matches[first]:
                if first and (place[0], place[1] - 1) in matches[first - 1]:
                    continue  # the run that began before holds this one
                length = _run_length(matches, first, place)
                if sum(len(one) for one in words[first : first + length]) >= MIN_COPIED_WORDS:
                    is_copied[first : first + length] = [True] * length
        for number, one in enumerate(words):
            places = self._places[_skeleton(one)]
            if len(places) < MAX_PLACES:
                places.append(((self._n_notes, number), one))
        self._n_notes += 1
        return is_copied

    def _alike(self, words: tuple[str, ...]) -> set[_Place]:
        candidates = self._places.get(_skeleton(words), ()) if words else ()
        return {place for place, other in candidates if words == other or _is_slip(words, other)}


def _run_length(matches: Sequence[set[_Place]], first: int, place: _Place) -> int:
    note, sentence = place
    length = 1
    while (
        first + length < len(matches) and (note, sentence + length) in matches[first + length]
    ):  # fmt: skip
        length += 1
    return length


def _skeleton(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with the long ones left open."""
    return tuple(word if len(word) < LONG_WORD or not word.isalpha() else "*" for word in words)


def _is_slip(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    differing = [pair for pair in zip(words, other, strict=True) if pair[0] != pair[1]]
    return len(differing) <= 1 + len(words) // 20 and all(
        OSA.distance(one, two, score_cutoff=1) <= 1 for one, two in differing
    )

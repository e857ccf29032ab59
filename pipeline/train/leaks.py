"""The guard before a training: no answer may be known where it is asked."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from pipeline.errors import LeakError
from pipeline.history.identifiers import normalised
from pipeline.train.examples import Example
from pipeline.train.fingerprints import Fingerprint, closest_pairs
from pipeline.train.similar_notes import compare_notes
from pipeline.train.splits import PARTS, Part
from schemas.leaks import EXPLAINED, Leak, LeakKind, LeakReport
from schemas.task import Task

IMAGE_LIMIT = 0.9
NOTE_LIMIT = 0.8
KEPT_OF_EACH_KIND = 20
SHOWN = 3

Parts = Mapping[Part, Sequence[Example]]


def find_leaks(parts: Parts, tasks: Sequence[Task]) -> LeakReport:
    """Look for whatever joins two parts, or states an outcome.

    Looked for: a patient in two parts (identifiers that differ in zeros, case or punctuation
    alone are one); the same image, or nearly so, in two parts; nearly the same note in two parts;
    and label words in the notes that a case reads. All images are compared with all.
    """
    cases = [(part, example) for part in PARTS for example in parts.get(part, ())]
    found = [*_patients(cases), *_same_images(cases)]
    images, n_images, closest = _similar_images(cases)
    notes, n_notes, compared, closest_notes = _similar_notes(cases)
    words = list(_label_words(cases, tasks))
    found += [*images, *notes, *words]
    return LeakReport(
        is_checked=True,
        n_patients={part: len({e.patient_id for e in parts.get(part, ())}) for part in PARTS},
        n_images=n_images,
        closest_images=closest,
        image_limit=IMAGE_LIMIT,
        n_notes=n_notes,
        n_notes_compared=compared,
        closest_notes=closest_notes,
        note_limit=NOTE_LIMIT,
        label_words=dict(Counter(leak.task for leak in words)),
        counts=dict(Counter(leak.kind for leak in found)),
        leaks=tuple(_first_of_each(found)),
    )


def require_clean(report: LeakReport) -> None:
    """Refuse a split through which answers leak.

    Raises
    ------
    LeakError
        If anything was found; says what, how often, and the first studies.
    """
    if report.is_clean:
        return
    said = []
    for kind, count in report.counts.items():
        of_kind = [leak for leak in report.leaks if leak.kind == kind][:SHOWN]
        where = "; ".join(" and ".join(leak.studies) for leak in of_kind)
        said.append(f"{EXPLAINED[kind]} ({count} times, studies {where})")
    msg = (
        f"the leak guard refuses this cohort: {'. '.join(said)}. Remove or correct these records, "
        "give one patient one patient_id, or correct the protocol's label_words"
    )
    raise LeakError(msg)


_Case = tuple[Part, Example]
_Key = Callable[[Example], str]


def _patients(cases: Sequence[_Case]) -> Iterator[Leak]:
    yield from _shared("patient", cases, lambda example: normalised(example.patient_id))


def _same_images(cases: Sequence[_Case]) -> Iterator[Leak]:
    for series in range(_n_series(cases)):

        def image(example: Example, number: int = series) -> str:
            found = _fingerprint(example, number)
            return "" if found is None else found.sha256

        yield from _shared("same-image", cases, image)


def _n_series(cases: Sequence[_Case]) -> int:
    return max((len(example.fingerprints) for _, example in cases), default=0)


def _fingerprint(example: Example, series: int) -> Fingerprint | None:
    return example.fingerprints[series] if series < len(example.fingerprints) else None


def _shared(kind: LeakKind, cases: Sequence[_Case], key: _Key) -> Iterator[Leak]:
    """Give a leak for each thing that two parts have in common."""
    first: dict[str, dict[Part, str]] = defaultdict(dict)
    for part, example in cases:
        if value := key(example):
            first[value].setdefault(part, example.study_uid)
    for owners in first.values():
        for one, other in pairwise(owners.items()):
            yield Leak(kind=kind, studies=(one[1], other[1]), parts=(one[0], other[0]), likeness=1)


def _similar_images(cases: Sequence[_Case]) -> tuple[list[Leak], int, float | None]:
    """Return nearly equal images (the same ones apart), how many there were, and the closest.

    Each named series is compared with the same of others.
    """
    found: list[Leak] = []
    likeness: list[float] = []
    n_images = 0
    for series in range(_n_series(cases)):
        seen, prints = [], []
        for case in cases:
            if (own := _fingerprint(case[1], series)) is not None:
                seen.append(case)
                prints.append(own)
        n_images += len(seen)
        leaks, closest = _similar(seen, prints)
        found += leaks
        likeness += [] if closest is None else [closest]
    return found, n_images, max(likeness, default=None)


def _similar(
    seen: Sequence[_Case], prints: Sequence[Fingerprint]
) -> tuple[list[Leak], float | None]:
    if len(seen) < 2:
        return [], None
    group = np.array([PARTS.index(part) for part, _ in seen])
    met = {
        (min(one, other), max(one, other)): likeness
        for one, other, likeness in closest_pairs(prints, group)
        if prints[one].sha256 != prints[other].sha256
    }
    found = [
        _pair("similar-image", seen[one], seen[other], likeness)
        for (one, other), likeness in sorted(met.items())
        if likeness >= IMAGE_LIMIT
    ]
    return found, max(met.values(), default=None)


def _similar_notes(cases: Sequence[_Case]) -> tuple[list[Leak], int, int, float]:
    """Return nearly equal notes, how many there were, how many were compared, the closest."""
    told = {
        (normalised(example.patient_id), note.text): (part, example)
        for part, example in cases
        for note in example.history.notes
    }
    owners = list(told.values())
    compared = compare_notes(
        [text for _, text in told], [patient for patient, _ in told],
        [part for part, _ in owners], at_least=NOTE_LIMIT,
    )  # fmt: skip
    found = [
        _pair("similar-note", owners[pair.first], owners[pair.second], pair.likeness)
        for pair in compared.pairs
    ]
    return found, len(told), compared.n_notes, compared.closest


def _pair(kind: LeakKind, one: _Case, other: _Case, likeness: float) -> Leak:
    return Leak(
        kind=kind,
        studies=(one[1].study_uid, other[1].study_uid),
        parts=(one[0], other[0]),
        likeness=round(min(likeness, 1.0), 4),
    )


def _label_words(cases: Sequence[_Case], tasks: Sequence[Task]) -> Iterator[Leak]:
    for task in tasks:
        if not task.label_words:
            continue
        words = "|".join(re.escape(word.casefold()) for word in task.label_words)
        stated = re.compile(rf"(?<!\w)(?:{words})(?!\w)")
        for part, example in cases:
            if any(stated.search(_plain(note.text)) for note in example.history.notes):
                studies = (example.study_uid,)
                yield Leak(kind="label-word", studies=studies, parts=(part,), task=task.name)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _first_of_each(leaks: Sequence[Leak]) -> Iterator[Leak]:
    met: Counter[LeakKind] = Counter()
    for leak in leaks:
        met[leak.kind] += 1
        if met[leak.kind] <= KEPT_OF_EACH_KIND:
            yield leak

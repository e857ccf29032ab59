"""Patients to parts: by hash, evenly by outcome, or by time; never by the order of files."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import get_args

from pipeline.history.identifiers import normalised
from schemas.settings import PartName, SplitRule
from schemas.splits import SplitRecord
from schemas.task import Task

Part = PartName
PARTS: tuple[Part, ...] = get_args(PartName)
SITE = "site"
"""Of a record: whose outcomes recalibrated the bundle after it was trained."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a split needs to know of one study."""

    patient_id: str
    acquired_at: datetime | None
    labels: tuple[float, ...]
    """One for each task, of few values; NaN where unknown. See :func:`strata`."""


@dataclass(frozen=True, slots=True)
class _Patient:
    """All studies under one identifier, whatever its spelling."""

    key: str
    place: float
    labels: frozenset[tuple[int, float]]
    """Known outcomes as (task number, label)."""
    last_study: datetime


def strata(labels: Sequence[float], tasks: Sequence[Task]) -> tuple[float, ...]:
    """Return one label a task to split by: its own; of ``survival`` whether there was an event.

    Parameters
    ----------
    labels
        In the order of the tasks' ``label_columns``; NaN where unknown.
    """
    ends = accumulate(len(task.label_columns) for task in tasks)
    return tuple(float(labels[end - 1]) for end in ends)


def assign_parts(members: Sequence[Member], rule: SplitRule, *, seed: int) -> Mapping[str, Part]:
    """Give each patient one part.

    Identifiers that differ in zeros, case or punctuation alone fall in the same part: if they are
    one patient after all, nothing has leaked.

    Parameters
    ----------
    members
        One for each study, in any order.
    rule
        ``hash`` depends on nothing but patient and seed, so adding cases moves nobody.
        ``stratified`` gives each part its share of each task's outcomes (iterative
        stratification; K. Sechidis, G. Tsoumakas, I. Vlahavas, 2011), rarest outcome first.
        ``time`` puts the patients with the earliest last study into train and the latest into
        test; those without a time come first.

    Returns
    -------
    By Patient ID as written.
    """
    patients = _patients(members, seed)
    match rule.by:
        case "hash":
            parts = {patient.key: _by_place(patient.place, rule) for patient in patients}
        case "stratified":
            parts = _stratified(patients, rule)
        case "time":
            parts = _in_order(sorted(patients, key=lambda one: (one.last_study, one.place)), rule)
    return {member.patient_id: parts[patient_key(member.patient_id)] for member in members}


def place_of(name: str, *, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but name and seed."""
    return int(_digest(name, seed)[:16], 16) / 2**64


def one_study_each(studies: Sequence[tuple[str, str]], *, seed: int) -> list[int]:
    """Return the places of one study of each patient, drawn by hash.

    Parameters
    ----------
    studies
        Patient ID, however it is spelled, and Study Instance UID.
    """
    drawn: dict[str, int] = {}
    order = sorted(
        range(len(studies)), key=lambda place: place_of(f"study:{studies[place][1]}", seed=seed)
    )
    for place in order:
        drawn.setdefault(patient_key(studies[place][0]), place)
    return sorted(drawn.values())


def split_record(parts: Mapping[str, Part], rule: SplitRule, *, seed: int) -> SplitRecord:
    """Return who was where, without saying who: each patient is a hash."""
    return SplitRecord(
        by=rule.by,
        seed=seed,
        parts={
            part: _digests([who for who, mine in parts.items() if mine == part], seed)
            for part in PARTS
        },
    )


def with_site(record: SplitRecord, patients: Iterable[str]) -> SplitRecord:
    """Return the record with the patients whose outcomes a bundle was recalibrated on."""
    names = {*record.parts.get(SITE, ()), *_digests(patients, record.seed)}
    return record.model_copy(update={"parts": {**record.parts, SITE: tuple(sorted(names))}})


def was_seen(record: SplitRecord, patient_id: str) -> bool:
    """Say whether a patient helped to make a bundle: in any part but the test part.

    A patient of the test part whose outcome recalibrated the bundle is in the site's part as well.
    """
    digests = {_digest(name, record.seed) for name in (patient_id, patient_key(patient_id))}
    return any(
        not digests.isdisjoint(names) for part, names in record.parts.items() if part != "test"
    )


def _digests(patients: Iterable[str], seed: int) -> tuple[str, ...]:
    """Return one hash a patient, whatever the spelling of the identifier."""
    return tuple(sorted({_digest(patient_key(who), seed) for who in patients}))


def _digest(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def patient_key(patient_id: str) -> str:
    """Return what an identifier's spellings have in common: those that may be one patient's."""
    return normalised(patient_id) or patient_id


def _patients(members: Sequence[Member], seed: int) -> list[_Patient]:
    """Gather studies by patient, in the order of a hash."""
    studies: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        studies[patient_key(member.patient_id)].append(member)
    patients = [
        _Patient(
            key,
            place_of(key, seed=seed),
            frozenset(
                (task, label)
                for study in mine
                for task, label in enumerate(study.labels)
                if label == label  # noqa: PLR0124  not NaN
            ),
            max(_moment(study.acquired_at) for study in mine),
        )
        for key, mine in studies.items()
    ]
    return sorted(patients, key=lambda one: (one.place, one.key))


def _moment(at: datetime | None) -> datetime:
    """Return a time that can be compared: UTC if it has an offset, the first of all if unknown."""
    if at is None:
        return datetime.min
    return at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None)


def _by_place(place: float, rule: SplitRule) -> Part:
    upper = 0.0
    for part, share in rule.shares().items():
        upper += share
        if place < upper:
            return part
    return "test"


def _in_order(patients: Sequence[_Patient], rule: SplitRule) -> dict[str, Part]:
    return {
        patient.key: _by_place((number + 0.5) / len(patients), rule)
        for number, patient in enumerate(patients)
    }


def _stratified(patients: Sequence[_Patient], rule: SplitRule) -> dict[str, Part]:
    """Serve the rarest outcome first; each patient goes where that outcome is most wanted."""
    shares = rule.shares()
    holders: dict[tuple[int, float], dict[str, _Patient]] = defaultdict(dict)
    for patient in patients:
        for label in patient.labels:
            holders[label][patient.key] = patient
    wanted = {
        label: {part: share * len(mine) for part, share in shares.items()}
        for label, mine in holders.items()
    }
    room = {part: share * len(patients) for part, share in shares.items()}
    parts: dict[str, Part] = {}
    while holders:
        rarest = min(holders, key=lambda label: (len(holders[label]), label))
        for patient in list(holders[rarest].values()):
            part = max(shares, key=lambda one: (wanted[rarest][one], room[one]))
            parts[patient.key] = part
            room[part] -= 1
            for label in patient.labels:
                wanted[label][part] -= 1
                del holders[label][patient.key]
        holders = defaultdict(dict, {label: mine for label, mine in holders.items() if mine})
    for patient in patients:
        if patient.key not in parts:
            parts[patient.key] = max(shares, key=lambda one: room[one])
            room[parts[patient.key]] -= 1
    return parts

"""Every trap that the simulated worlds plant is counted, and none reaches a Case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.cohort import open_cohort
from pipeline.history import Pairing, pair
from pipeline.phantom import WORLDS, Design, Matrix, write_cohort
from pipeline.phantom.benchmark import memory_records
from pipeline.phantom.mixups import draw_mixups
from pipeline.phantom.patient import Patient, draw_patient
from pipeline.phantom.records import Records, draw_records
from pipeline.phantom.traps import Trap
from pipeline.protocol import read_protocol
from schemas.history import History
from schemas.identity import IdentityRule
from schemas.issue import IssueCode, has_errors
from schemas.protocol import Protocol
from schemas.series import Study

PROTOCOLS = Path(__file__).parents[2] / "data_samples" / "protocols"
N_PATIENTS = 300
SEEDS = {"brain_mr": 3, "chest_ct": 3}
LATER = {Trap.FUTURE, Trap.MINUTES_AFTER, Trap.DAY_ONLY}
NEVER_READ = {*LATER, Trap.TOO_OLD, Trap.LOOKALIKE_ID}


@dataclass(frozen=True)
class Cohort:
    """Patients without images, all their records, and those of their lookalikes."""

    protocol: Protocol
    patients: tuple[Patient, ...]
    own: Mapping[str, Records]
    strangers: Mapping[str, Records]
    """By the patient whom somebody may take them for."""

    def studies(self) -> list[Study]:
        return [
            Study(
                study_uid=patient.study_uid,
                patient_id=patient.patient_id,
                sex=patient.sex,
                birth_year=patient.birth_date.year,
                acquired_at=patient.scanned_at,
                series=(),
                content_sha256="",
            )
            for patient in self.patients
        ]

    def paired(self, records: Iterable[Records], protocol: Protocol) -> Pairing:
        return pair(memory_records(records, protocol), self.studies(), protocol)

    def histories(self, protocol: Protocol | None = None) -> dict[str, History]:
        protocol = protocol or self.protocol
        pairing = self.paired([*self.own.values(), *self.strangers.values()], protocol)
        return {study.patient_id: pairing.history(study) for study in self.studies()}

    def shared(self) -> set[str]:
        """Patients whose ID somebody else was given."""
        return {who for who, records in self.strangers.items() if records.patient_id == who}

    def count(self, traps: set[Trap], who: str) -> int:
        """Values and notes of a patient's own that are planted for one of these reasons."""
        counts = [self.own[who].with_trap(trap) for trap in traps]
        return sum(n_values + n_notes for _, n_values, n_notes in counts)


@pytest.fixture(scope="module", params=sorted(WORLDS))
def cohort(request: pytest.FixtureRequest) -> Cohort:
    design = Design(world=WORLDS[request.param], seed=17)
    patients = tuple(draw_patient(design, index) for index in range(N_PATIENTS))
    mixups = [draw_mixups(design, index, one) for index, one in enumerate(patients)]
    return Cohort(
        read_protocol(PROTOCOLS / f"{request.param}.yaml"),
        patients,
        {
            one.patient_id: draw_records(design.stream(index, "records"), design, one)
            for index, one in enumerate(patients)
        },
        {one.patient_id: drawn[0] for one, drawn in zip(patients, mixups, strict=True) if drawn},
    )


@pytest.fixture(scope="module")
def histories(cohort: Cohort) -> dict[str, History]:
    return cohort.histories()


def test_every_kind_of_trap_is_there(cohort: Cohort) -> None:
    records = [*cohort.own.values(), *cohort.strangers.values()]
    assert all(any(any(record.with_trap(trap)) for record in records) for trap in Trap)


def test_records_after_the_scan_and_too_old_ones_are_counted_one_by_one(
    cohort: Cohort, histories: dict[str, History]
) -> None:
    read = set(histories) - cohort.shared()
    assert {who: histories[who].n_after_scan for who in read} == {
        who: cohort.count(LATER, who) for who in read
    }
    assert {who: histories[who].n_too_old for who in read} == {
        who: cohort.count({Trap.TOO_OLD}, who) for who in read
    }


def test_no_planted_record_reaches_a_case(cohort: Cohort, histories: dict[str, History]) -> None:
    def honest(records: Records) -> Records:
        return replace(
            records,
            rows=tuple(row for row in records.rows if not NEVER_READ & set(row.traps)),
            notes=tuple(note for note in records.notes if not NEVER_READ & set(note.traps)),
        )

    clean = cohort.paired(map(honest, cohort.own.values()), cohort.protocol)
    for study in cohort.studies():
        if study.patient_id in cohort.shared():
            continue
        expected, found = clean.history(study), histories[study.patient_id]
        assert (found.values, found.notes) == (expected.values, expected.notes)


def test_no_note_that_states_an_outcome_is_read(
    cohort: Cohort, histories: dict[str, History]
) -> None:
    stated = {
        sentence
        for records in cohort.own.values()
        for note in records.notes
        if LATER & set(note.traps)
        for sentence in note.text.split(". ")
    }
    texts = [note.text for history in histories.values() for note in history.notes]
    assert stated
    assert not any(sentence in text for sentence in stated for text in texts)


def test_two_patients_under_one_id_have_no_history_and_no_result(
    cohort: Cohort, histories: dict[str, History]
) -> None:
    conflicts = {
        who
        for who, history in histories.items()
        if IssueCode.IDENTITY_CONTRADICTED in {issue.code for issue in history.issues}
    }
    assert conflicts == cohort.shared()
    assert all(has_errors(histories[who].issues) for who in conflicts)
    assert all(histories[who].is_empty for who in conflicts)


def test_lookalike_ids_are_counted(cohort: Cohort, histories: dict[str, History]) -> None:
    similar = {
        who
        for who, history in histories.items()
        if IssueCode.IDENTITY_SIMILAR in {issue.code for issue in history.issues}
    }
    assert similar == set(cohort.strangers) - cohort.shared()


def test_even_a_protocol_that_joins_spellings_reads_no_lookalike(
    cohort: Cohort, histories: dict[str, History]
) -> None:
    rule = cohort.protocol.identity.model_dump() | {"match": "normalised"}
    joining = cohort.protocol.model_copy(update={"identity": IdentityRule.model_validate(rule)})
    for who, history in cohort.histories(joining).items():
        if history.values != histories[who].values or history.notes != histories[who].notes:
            assert has_errors(history.issues), "a stranger's record was read"


def test_numbers_in_another_unit_are_converted_or_set_missing(
    cohort: Cohort, histories: dict[str, History]
) -> None:
    mixed = {
        one.patient_id: name
        for one in cohort.patients
        for name, mix in one.mixed_units.items()
        if mix == "unstated" and one.patient_id not in cohort.shared()
    }
    assert mixed
    for who, name in mixed.items():
        value = next(value for value in histories[who].values if value.name == name)
        assert value.value is None
    implausible = {
        who
        for who, history in histories.items()
        if IssueCode.VALUE_IMPLAUSIBLE in {issue.code for issue in history.issues}
    }
    assert implausible == set(mixed)
    stated = [
        (one, name)
        for one in cohort.patients
        for name, mix in one.mixed_units.items()
        if mix == "stated" and one.patient_id not in cohort.shared()
    ]
    assert stated
    columns = {column.name: column for column in WORLDS[cohort.protocol.name].columns}
    for one, name in stated:
        value = next(value for value in histories[one.patient_id].values if value.name == name)
        # Written in whole units of the other kind, so off by half of one at most.
        assert value.value == pytest.approx(columns[name].value(one.facts[name]), rel=0.02)


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_a_cohort_on_disk_is_read_as_its_list_of_traps_says(world: str, tmp_path: Path) -> None:
    design = Design(world=WORLDS[world], seed=SEEDS[world], matrix=Matrix(in_plane=16, slices=8))
    write_cohort(tmp_path / "c", design=design, n_cases=30)
    opened = open_cohort(tmp_path / "c", read_protocol(PROTOCOLS / f"{world}.yaml"))
    traps = pd.read_csv(tmp_path / "c" / "traps.csv", dtype=str)
    counts = traps[["n_values", "n_notes"]].astype(int).sum(axis=1)
    later = counts[traps["trap"].isin([trap.value for trap in LATER])].groupby(traps["study_uid"])
    planted = later.sum().to_dict()
    shared = set(traps.loc[traps["trap"] == Trap.SHARED_ID.value, "study_uid"])
    assert planted
    assert shared
    for study in opened.inventory.studies:
        history = opened.history(study)
        assert has_errors(history.issues) == (study.study_uid in shared)
        if study.study_uid not in shared:
            assert history.n_after_scan == planted.get(study.study_uid, 0)

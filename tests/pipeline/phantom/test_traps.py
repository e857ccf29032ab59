"""What is planted is counted, and does not reach a case."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cohort import open_cohort
from pipeline.history import history_at
from pipeline.phantom.mixups import draw_mixups, lookalike_id
from pipeline.phantom.patient import Design, draw_patient
from pipeline.phantom.records import draw_records
from pipeline.phantom.traps import Trap
from pipeline.protocol import read_protocol
from schemas.history import History

PROTOCOLS = Path(__file__).parents[3] / "data_samples" / "protocols"
NOT_READ = {Trap.FUTURE, Trap.MINUTES_AFTER, Trap.DAY_ONLY}
IDENTITY = {Trap.SHARED_ID, Trap.LOOKALIKE_ID}


def table(cohort: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(cohort / name, dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def planted(cohort: Path) -> pd.DataFrame:
    counts = ["n_rows", "n_values", "n_notes"]
    return table(cohort, "traps.csv").astype(dict.fromkeys(counts, int))


@pytest.fixture(scope="module")
def histories(cohort: Path, design: Design) -> dict[str, History]:
    """By patient, as every command reads them."""
    opened = open_cohort(cohort, read_protocol(PROTOCOLS / f"{design.world.name}.yaml"))
    return {
        study.patient_id: history_at(
            opened.pairing.records, study.patient_id, study.acquired_at, opened.protocol
        )
        for study in opened.inventory.studies
    }


def test_every_kind_is_planted_somewhere(design: Design) -> None:
    found: set[Trap] = set()
    for index in range(150):
        patient = draw_patient(design, index)
        own = draw_records(design.stream(index, "records"), design, patient)
        for records in (own, *draw_mixups(design, index, patient)):
            found |= {trap for trap in Trap if any(records.with_trap(trap))}
    assert found == set(Trap)


def test_exactly_the_planted_records_are_left_out_as_later_than_the_scan(
    planted: pd.DataFrame, histories: dict[str, History]
) -> None:
    expected: Counter[str] = Counter()
    for _, line in planted.iterrows():
        if line["trap"] in NOT_READ:
            expected[line["patient_id"]] += line["n_values"] + line["n_notes"]
    assert sum(expected.values()) > 30
    for patient, history in histories.items():
        assert history.n_after_scan == expected[patient]


def test_truth_counts_what_was_written(cohort: Path, planted: pd.DataFrame) -> None:
    truth = table(cohort, "truth.csv").set_index("patient_id")
    later = planted[planted["trap"].isin(NOT_READ)].groupby("patient_id")
    foreign = planted[planted["trap"] == Trap.SHARED_ID].set_index("patient_id")
    for name, column in (("rows", "tabular.csv"), ("notes", "notes.csv")):
        future = later[f"n_{name}"].sum()
        for patient in truth.index:
            assert int(truth[f"n_future_{name}"][patient]) == future.get(patient, 0)
        if name == "notes":
            written = Counter(table(cohort, column)["patient_id"])
            for patient in truth.index:
                own = int(truth["n_notes"][patient]) + int(truth["n_future_notes"][patient])
                extra = int(foreign["n_notes"].get(patient, 0))
                assert written[patient] == own + extra


def test_no_history_holds_a_word_of_the_outcome(
    design: Design, histories: dict[str, History]
) -> None:
    stated = {
        sentence for risk in design.world.risks for part in risk.outcome_notes for sentence in part
    }
    for history in histories.values():
        for note in history.notes:
            assert not any(sentence in note.text for sentence in stated)


def test_lookalike_records_are_there_and_belong_to_nobody_scanned(
    cohort: Path, planted: pd.DataFrame
) -> None:
    scanned = set(table(cohort, "truth.csv")["patient_id"])
    written = Counter(table(cohort, "notes.csv")["patient_id"])
    lines = planted[planted["trap"] == Trap.LOOKALIKE_ID]
    assert len(lines) > 0
    for _, line in lines.iterrows():
        assert line["record_id"] not in scanned
        assert written[line["record_id"]] == line["n_notes"]
        one, two = line["record_id"].lower(), line["patient_id"].lower()
        assert one.replace("0", "") == two.replace("0", "")


@pytest.mark.parametrize("patient_id", ["BR007-00012", "000070001291", "BR007-00000"])
def test_a_lookalike_is_another_id(patient_id: str) -> None:
    for seed in range(20):
        other = lookalike_id(np.random.default_rng(seed), patient_id)
        assert other != patient_id
        assert other.lower().replace("0", "") == patient_id.lower().replace("0", "")


def test_one_id_for_two_people_contradicts_itself_in_sex_and_age(design: Design) -> None:
    found = 0
    for index in range(120):
        patient = draw_patient(design, index)
        for records in draw_mixups(design, index, patient):
            if records.patient_id != patient.patient_id:
                continue
            found += 1
            told = {name: text for row in records.rows for name, text in row.values.items()}
            assert all(
                r.recorded_at is None or r.recorded_at <= patient.scanned_at for r in records.rows
            )
            assert told.get("sex", "") != patient.sex
            born = patient.scanned_at.year - int(told["age_years"])
            assert abs(born - patient.birth_date.year) >= 10
    assert found > 0


def test_the_newest_value_and_the_truth_agree(
    cohort: Path, design: Design, planted: pd.DataFrame, histories: dict[str, History]
) -> None:
    truth = table(cohort, "truth.csv").set_index("patient_id")
    shared = set(planted["patient_id"][planted["trap"] == Trap.SHARED_ID])
    unstated = planted[planted["trap"] == Trap.UNIT_UNSTATED]
    seen: dict[str, set[str]] = defaultdict(set)
    for patient in truth.index:
        seen[patient] = set(truth["seen"][patient].split())
    columns = {column.name: column for column in design.world.columns}
    for patient, history in histories.items():
        if patient in shared:
            continue
        for value in history.values:
            column = columns.get(value.name)
            if column is None or value.value is None:
                continue
            assert value.name in seen[patient]
            written = column.written(float(value.value))
            assert written == truth[f"fact_{value.name}"][patient]
    assert set(unstated["patient_id"]) <= set(truth.index)

import numpy as np
import pytest

from pipeline.phantom.case import draw_case
from pipeline.phantom.cohort import WORLDS, WorldName
from pipeline.phantom.patient import Patient, draw_patient, stream
from pipeline.phantom.records import draw_records
from pipeline.phantom.world import World

MANY = 1500


@pytest.fixture(scope="module")
def world(world_name: WorldName) -> World:
    return WORLDS[world_name]


@pytest.fixture(scope="module")
def patients(world: World) -> list[Patient]:
    return [draw_patient(world, 11, index) for index in range(MANY)]


def test_outcomes_come_as_often_as_the_true_probabilities_say(
    world: World, patients: list[Patient]
) -> None:
    for risk in world.risks:
        p = np.array([patient.risks[risk.task] for patient in patients])
        y = np.array([patient.outcomes[risk.task] for patient in patients])
        for part in np.array_split(p.argsort(), 5):
            # Four standard errors of a sum of independent yes-or-no draws.
            bound = 4.0 * np.sqrt((p[part] * (1 - p[part])).sum())
            assert abs(y[part].sum() - p[part].sum()) < bound


def test_base_rates_lie_between_8_and_40_percent(world: World, patients: list[Patient]) -> None:
    for risk in world.risks:
        rate = np.mean([patient.outcomes[risk.task] for patient in patients])
        assert 0.08 < rate < 0.40


def test_the_finding_alone_decides_its_task(world: World, patients: list[Patient]) -> None:
    for patient in patients[:200]:
        expected = 0.02 if patient.radius_mm is None else 0.97
        assert patient.risks[world.finding] == pytest.approx(expected, abs=1e-3)


def test_a_larger_finding_raises_the_risk_and_an_absent_one_has_no_size(world: World) -> None:
    risk = world.risks[1]
    small, large = (
        risk.probability({f"has_{world.finding}": 1.0, f"{world.finding}_size": size})
        for size in (-1.0, 1.0)
    )
    assert risk.probability({}) < small < large


def test_shares_of_statuses_sum_to_one(world: World) -> None:
    for topic in world.topics:
        assert sum(status.share for status in topic.statuses) == pytest.approx(1.0)


def test_every_weight_names_a_fact(world: World, patients: list[Patient]) -> None:
    known = {name for patient in patients for name in patient.facts}
    for risk in world.risks:
        assert set(risk.weights) <= known


def test_age_at_the_scan_is_the_age_in_the_table(patients: list[Patient]) -> None:
    for patient in patients[:100]:
        age = (patient.scanned_at.date() - patient.birth_date).days / 365.25
        assert 0.0 <= age - round(patient.values["age_years"]) <= 1.0


def test_a_tenth_lacks_notes_a_tenth_lacks_a_table_and_a_third_has_a_future(
    world: World, patients: list[Patient]
) -> None:
    records = [
        draw_records(stream(world, 11, index, "records"), world, patient)
        for index, patient in enumerate(patients)
    ]
    moments = [patient.scanned_at for patient in patients]
    pairs = list(zip(records, moments, strict=True))
    no_notes = [len(record.notes) == record.notes_after(at) for record, at in pairs]
    no_table = [len(record.rows) == record.rows_after(at) for record, at in pairs]
    future = [record.notes_after(at) > 0 and record.rows_after(at) > 0 for record, at in pairs]
    assert 0.07 < np.mean(no_notes) < 0.13
    assert 0.07 < np.mean(no_table) < 0.13
    assert 0.26 < np.mean(future) < 0.34


def test_the_brightest_voxel_is_seldom_in_the_finding(world: World) -> None:
    inside = []
    for index in range(36):
        scan = draw_case(world, 5, index).scan
        if scan.finding is not None:
            inside.append(bool(scan.finding.mask.flat[scan.array.argmax()]))
    assert len(inside) > 8
    assert np.mean(inside) < 0.2


def test_scans_of_the_chest_hold_air_lung_muscle_and_bone() -> None:
    hu = draw_case(WORLDS["chest_ct"], 5, 0).scan.array
    for low, high, share in (
        (-1024, -940, 0.15),
        (-920, -780, 0.08),
        (-150, -50, 0.03),
        (20, 80, 0.10),
        (300, 900, 0.005),
    ):
        assert ((hu >= low) & (hu <= high)).mean() > share

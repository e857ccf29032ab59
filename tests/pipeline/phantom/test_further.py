import numpy as np
import pytest

from pipeline.phantom.further import YEAR, further_columns, further_labels
from pipeline.phantom.patient import Design, draw_patient

N = 1200


@pytest.fixture(scope="module")
def drawn(world_name: str):  # type: ignore[no-untyped-def]
    from pipeline.phantom import WORLDS  # noqa: PLC0415

    design = Design(world=WORLDS[world_name], seed=11)
    patients = [draw_patient(design, index) for index in range(N)]
    labels = [further_labels(design, index, one) for index, one in enumerate(patients)]
    return design, patients, labels


def test_side_and_grade_are_those_of_the_finding(drawn) -> None:  # type: ignore[no-untyped-def]
    design, patients, labels = drawn
    side, grade, *_ = further_columns(design.world)
    middle = sum(design.world.radius_mm) / 2
    for patient, row in zip(patients, labels, strict=True):
        if patient.target is None:
            assert row[side] == row[grade] == "none"
            continue
        assert row[side] == patient.target.side
        assert (row[grade] == "large") == (patient.target.radius_mm > middle)


def test_times_agree_with_the_outcome_of_the_year_and_with_its_probability(drawn) -> None:  # type: ignore[no-untyped-def]
    design, patients, labels = drawn
    *_, days_of, event_of = further_columns(design.world)
    days = np.array([float(row[days_of]) for row in labels])
    event = np.array([row[event_of] == "1" for row in labels])
    came = np.array([patient.outcomes[design.world.timed] for patient in patients])
    assert (days >= 1).all()
    known = event | (days > YEAR)
    assert ((event & (days <= YEAR)) == came)[known].all()
    # Constant hazards: of those watched long enough, 1 - (1 - p) ** 2 have the event in two years.
    risk = np.array([patient.risks[design.world.timed] for patient in patients])
    watched = event | (days > 2 * YEAR)
    weight = np.where(event & (days <= 2 * YEAR), (1500 - np.maximum(days, 120)) / 1380, 770 / 1380)
    weight = np.where(watched, 1 / np.maximum(weight, 1e-9), 0.0)
    share = (weight * (event & (days <= 2 * YEAR))).sum() / weight.sum()
    assert share == pytest.approx((1 - (1 - risk) ** 2).mean(), abs=0.04)
    assert 0.05 < event.mean() < 0.5

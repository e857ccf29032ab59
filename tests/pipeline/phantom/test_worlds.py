from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.phantom.case import draw_case, draw_localizer
from pipeline.phantom.patient import Design, Patient, draw_patient
from pipeline.phantom.scan import Look, Scan, Target, draw_scan
from pipeline.phantom.site import Matrix
from pipeline.phantom.truth import task_limit
from pipeline.phantom.world import FAMILIES, Risk

MANY = 1500
BAYES = {
    "lesion": 0.97, "deficit": 0.90, "progression": 0.82, "seizure": 0.82, "left_lesion": 0.94,
    "nodule": 0.97, "resection": 0.90, "malignancy": 0.82, "infection": 0.82,
}  # fmt: skip


@pytest.fixture(scope="module")
def patients(design: Design) -> list[Patient]:
    return [draw_patient(design, index) for index in range(MANY)]


def test_outcomes_come_as_often_as_both_probabilities_say(
    design: Design, patients: list[Patient]
) -> None:
    for risk in design.world.risks:
        y = np.array([patient.outcomes[risk.task] for patient in patients])
        for known in ("risks", "observable"):
            p = np.array([getattr(patient, known)[risk.task] for patient in patients])
            for part in np.array_split(p.argsort(), 5):
                # Four standard errors of a sum of independent yes-or-no draws.
                bound = 4.0 * np.sqrt((p[part] * (1 - p[part])).sum())
                assert abs(y[part].sum() - p[part].sum()) < bound


def test_base_rates_lie_between_8_and_36_percent(design: Design, patients: list[Patient]) -> None:
    for risk in design.world.risks:
        assert 0.08 < np.mean([patient.risks[risk.task] for patient in patients]) < 0.36


def test_the_limit_of_each_task_is_as_designed(design: Design, patients: list[Patient]) -> None:
    for risk in design.world.risks:
        full = task_limit(risk.task, [patient.risks[risk.task] for patient in patients])
        seen = task_limit(risk.task, [patient.observable[risk.task] for patient in patients])
        assert full.auroc == pytest.approx(BAYES[risk.task], abs=0.03)
        assert seen.auroc < full.auroc
        assert seen.log_loss > full.log_loss


def test_the_finding_alone_decides_its_task(design: Design, patients: list[Patient]) -> None:
    for patient in patients[:200]:
        expected = 0.02 if patient.target is None else 0.97
        assert patient.risks[design.world.finding] == pytest.approx(expected, abs=1e-3)


def log_odds(risk: Risk, strength: float, *on: str) -> float:
    """Log-odds where these facts are 1 and all others 0."""
    p = risk.probability(dict.fromkeys(risk.facts, 0.0) | dict.fromkeys(on, 1.0), strength)
    return float(np.log(p / (1 - p)))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_two_facts_together_add_the_product_as_far_as_it_is_on(
    design: Design, strength: float
) -> None:
    n_products = 0
    for risk in design.world.risks:
        nothing = log_odds(risk, strength)
        for product in risk.products:
            alone = sum(log_odds(risk, strength, name) - nothing for name in product.facts)
            together = log_odds(risk, strength, *product.facts) - nothing
            assert together - alone == pytest.approx(strength * product.weight)
            n_products += 1
    assert n_products == 4


def test_the_strength_changes_outcomes_and_nothing_else(design: Design) -> None:
    off = replace(design, interaction=0.0)
    for index in range(20):
        one, two = draw_patient(design, index), draw_patient(off, index)
        assert (one.facts, one.statuses, one.seen) == (two.facts, two.statuses, two.seen)
        finding = design.world.finding
        assert one.risks[finding] == two.risks[finding]
    changed = [
        draw_patient(d, i).risks[design.world.risks[1].task]
        for i in range(20)
        for d in (design, off)
    ]
    assert len(set(changed)) > 4


def test_a_lesion_counts_on_the_side_opposite_to_the_weakness_and_a_nodule_on_that_of_the_pain(
    design: Design, patients: list[Patient]
) -> None:
    is_brain = design.world.name == "brain_mr"
    task, topic = ("deficit", "weakness") if is_brain else ("resection", "pain")
    fits, not_fits = [], []
    for patient in patients:
        if patient.target is not None and patient.statuses[topic] != "none":
            is_same = patient.target.side == patient.statuses[topic]
            (fits if is_same != is_brain else not_fits).append(patient.risks[task])
    assert min(fits) > 0.8
    assert max(not_fits) < 0.1


def test_shares_of_statuses_sum_to_one(design: Design) -> None:
    for topic in design.world.topics:
        assert sum(status.share for status in topic.statuses) == pytest.approx(1.0)


def test_every_weight_names_a_fact(design: Design, patients: list[Patient]) -> None:
    for risk in design.world.risks:
        assert risk.facts <= set(patients[0].facts)


def test_age_at_the_scan_is_the_age_in_the_table(design: Design, patients: list[Patient]) -> None:
    column = next(column for column in design.world.columns if column.name == "age_years")
    for patient in patients[:100]:
        age = (patient.scanned_at.date() - patient.birth_date).days / 365.25
        assert 0.0 <= age - column.value(patient.facts["age_years"]) <= 1.0


def test_a_tenth_lacks_each_modality_whatever_the_others(patients: list[Patient]) -> None:
    has = np.array([(p.has_image, p.has_table, p.has_notes) for p in patients])
    assert ((1 - has.mean(axis=0)) > 0.07).all()
    assert ((1 - has.mean(axis=0)) < 0.13).all()
    for one, two in ((0, 1), (0, 2), (1, 2)):
        both = (~has[:, one] & ~has[:, two]).mean()
        assert both < 0.025


def test_whether_a_column_is_recorded_depends_on_what_it_would_say(
    design: Design, patients: list[Patient]
) -> None:
    for column in design.world.columns:
        facts = np.array([p.facts[column.name] for p in patients if p.has_table])
        missing = np.array([column.name not in p.recorded for p in patients if p.has_table])
        expected = column.missing_chance(facts)
        assert missing.mean() == pytest.approx(expected.mean(), abs=0.04)
        if abs(column.missing_slope) >= 0.8:
            shift = facts[missing].mean() - facts[~missing].mean()
            assert shift * column.missing_slope > 0.0


def test_a_finding_is_on_its_side_for_every_scanner_and_generator(design: Design) -> None:
    world, found = design.world, 0
    for family in FAMILIES:
        for site in world.sites[family]:
            look = Look(site=site, family=family, frame_of_reference_uid="2.25.1")
            for x in (-1.0, 1.0):
                places = world.anatomy.places()
                near = places[np.argsort(np.abs(places[:, 0] - x * 15.0))[found % 9]]
                rng = np.random.default_rng(found)
                finding = draw_scan(rng, world.anatomy, look, Target(near, 9.0)).finding
                assert finding is not None
                assert finding.mask.any()
                assert np.sign(finding.centre_mm[0]) == np.sign(near[0]) == x
                found += 1


def test_a_large_scan_is_drawn_on_the_same_body(design: Design) -> None:
    index = next(
        i for i in range(40) if (p := draw_patient(design, i)).has_image and p.target is not None
    )
    large = draw_case(replace(design, matrix=Matrix(144, 120)), index).scan
    assert large is not None
    assert large.finding is not None
    assert large.array.shape == large.finding.mask.shape == (120, 144, 144)
    middle = large.geometry.to_mm(np.argwhere(large.finding.mask)).mean(axis=0)
    assert np.linalg.norm(middle - large.finding.centre_mm) < 5.0
    radius = draw_patient(design, index).target.radius_mm
    volume = large.finding.mask.sum() * np.prod(large.geometry.spacing_mm)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.5)


def test_a_localizer_shows_no_finding(design: Design) -> None:
    patient = draw_patient(design, 0)
    scan = draw_localizer(design, 0, patient)
    assert scan.array.shape[0] == 3
    assert scan.finding is None


def in_the_organ(scan: Scan, name: str) -> NDArray[np.bool_]:
    """The whole head; of the chest the lungs with what lies in them, or its bones are brightest."""
    if name == "brain_mr":
        return np.ones(scan.array.shape, dtype=bool)
    body = np.array([ndimage.binary_fill_holes(plane) for plane in scan.array > -300])
    air = np.pad((scan.array < -500) & body, 4)
    return np.asarray(ndimage.binary_closing(air, iterations=3)[4:-4, 4:-4, 4:-4])


def test_the_brightest_voxel_is_seldom_in_the_finding(design: Design) -> None:
    inside = []
    for index in range(40):
        scan = draw_case(design, index).scan
        if scan is not None and scan.finding is not None:
            organ = in_the_organ(scan, design.world.name)
            assert organ[scan.finding.mask > 0].any()
            searched = np.where(organ, scan.array, scan.array.min())
            inside.append(bool(scan.finding.mask.flat[searched.argmax()]))
    assert len(inside) > 8
    assert np.mean(inside) < 0.2


def test_scanners_of_a_family_differ_by_an_offset(design: Design) -> None:
    for sites in design.world.sites.values():
        assert len({site.offset for site in sites}) > 2

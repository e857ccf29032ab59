"""The probability given what is recorded, against brute force."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.phantom.observe import observable_risks
from pipeline.phantom.patient import Design, Patient, draw_patient

EVERYTHING = {"table": True, "notes": True}


@pytest.fixture(scope="module")
def patients(design: Design) -> list[Patient]:
    return [draw_patient(design, index) for index in range(3000)]


def names(design: Design) -> frozenset[str]:
    world = design.world
    columns = {column.name for column in world.columns}
    return frozenset({"image"} | columns | {topic.name for topic in world.topics})


def test_who_knows_every_fact_knows_the_true_probability(
    design: Design, patients: list[Patient]
) -> None:
    for patient in patients[:50]:
        found = observable_risks(design.world, 1.0, patient.facts, names(design), EVERYTHING)
        assert found == pytest.approx(patient.risks, abs=1e-12)


def test_who_knows_nothing_knows_the_base_rate(design: Design, patients: list[Patient]) -> None:
    nothing = {"table": False, "notes": False}
    found = observable_risks(design.world, 1.0, patients[0].facts, frozenset(), nothing)
    for task, p in found.items():
        risks = np.array([patient.risks[task] for patient in patients])
        # Four standard errors of a mean.
        assert p == pytest.approx(risks.mean(), abs=4.0 * risks.std() / np.sqrt(len(risks)))


def test_unknown_facts_of_others_are_not_used(design: Design, patients: list[Patient]) -> None:
    one, two = patients[0], patients[1]
    for hidden in names(design):
        seen = names(design) - {hidden}
        mixed = dict(one.facts)
        if hidden == "image":
            mixed |= {k: v for k, v in two.facts.items() if design.world.finding in k}
        else:
            mixed |= {k: v for k, v in two.facts.items() if k.startswith(hidden)}
        ours, theirs = (
            observable_risks(design.world, 1.0, facts, seen, EVERYTHING)
            for facts in (one.facts, mixed)
        )
        assert ours == pytest.approx(theirs)


def test_silence_tells_what_those_who_are_silent_have(
    design: Design, patients: list[Patient]
) -> None:
    """Among patients with a table and notes, group by what is unseen; compare means."""
    world = design.world
    for risk in world.risks:
        for name in names(design) - {"image"}:
            if not any(fact.startswith(name) for fact in risk.facts):
                continue
            silent = [p for p in patients if name not in p.seen and p.has_table and p.has_notes]
            true = np.array([p.risks[risk.task] for p in silent])
            told = np.array([p.observable[risk.task] for p in silent])
            gap = true - told
            assert len(silent) > 100
            assert abs(gap.mean()) < 4.0 * gap.std() / np.sqrt(len(gap))


def test_the_tables_of_truth_follow_the_strength(design: Design) -> None:
    off = replace(design, interaction=0.0)
    task = design.world.risks[1].task
    changed = [
        draw_patient(design, i).observable[task] != draw_patient(off, i).observable[task]
        for i in range(10)
    ]
    assert any(changed)

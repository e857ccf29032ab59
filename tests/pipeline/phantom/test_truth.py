import math
from pathlib import Path

import pytest

from pipeline.phantom.patient import Design
from pipeline.phantom.truth import cohort_limits, limits_table, task_limit


def test_a_coin_can_not_be_ranked() -> None:
    limit = task_limit("coin", [0.5, 0.5, 0.5, 0.5])
    assert limit.auroc == pytest.approx(0.5)
    assert limit.brier == pytest.approx(0.25)
    assert limit.log_loss == pytest.approx(math.log(2))


def test_two_kinds_of_patients_have_a_known_limit() -> None:
    limit = task_limit("two", [0.9, 0.1])
    # Positive and negative weigh 1 each; 0.81 of pairs are right, 2 x 0.09 tied, 0.01 wrong.
    assert limit.auroc == pytest.approx(0.81 + 0.5 * 0.18)
    assert limit.brier == pytest.approx(0.09)
    assert limit.base_rate == pytest.approx(0.5)


def test_a_single_case_has_no_auroc() -> None:
    assert math.isnan(task_limit("one", [0.3]).auroc)


def test_limits_of_a_cohort_cover_every_task_and_both_readers(cohort: Path, design: Design) -> None:
    limits = cohort_limits(cohort)
    tasks = [risk.task for risk in design.world.risks]
    assert [limit.task for limit in limits[::2]] == tasks
    assert [limit.known for limit in limits[:2]] == ["every fact", "what is recorded"]
    assert {limit.n_cases for limit in limits} == {30}
    assert limits_table(limits) in (cohort / "README.md").read_text()

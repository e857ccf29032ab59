import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.train.splits import (
    PARTS,
    Member,
    Part,
    assign_parts,
    one_study_each,
    place_of,
    split_record,
    strata,
    was_seen,
    with_site,
)
from schemas.settings import SplitRule
from schemas.splits import SplitRecord
from schemas.task import Task

NAN = float("nan")
RULE = SplitRule(by="hash", train=0.6, validation=0.1, calibration=0.1, conformal=0.05)
FIRST = datetime(2020, 1, 1)


def rule(by: str) -> SplitRule:
    return SplitRule.model_validate(RULE.model_dump() | {"by": by})


def members(count: int, seed: int = 0) -> list[Member]:
    """Patients with two tasks; the second is bad in 2 % and unknown in a quarter."""
    random = np.random.default_rng(seed)
    return [
        Member(
            f"p{number}",
            FIRST + timedelta(days=int(random.integers(0, 1500))),
            (
                float(random.random() < 0.3),
                NAN if random.random() < 0.25 else float(random.random() < 0.02),
            ),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("by", ["hash", "stratified", "time"])
def test_parts_do_not_depend_on_the_order_of_the_studies(by: str) -> None:
    cohort = members(300)
    shuffled = [cohort[place] for place in np.random.default_rng(1).permutation(300)]
    forward, backward = (assign_parts(some, rule(by), seed=7) for some in (cohort, shuffled))
    assert dict(forward) == dict(backward)


@pytest.mark.parametrize("by", ["hash", "stratified"])
def test_parts_change_with_the_seed_and_with_nothing_else(by: str) -> None:
    cohort = members(2000)
    first, again, other = (assign_parts(cohort, rule(by), seed=seed) for seed in (1, 1, 2))
    assert dict(first) == dict(again)
    moved = np.mean([first[who] != other[who] for who in first])
    # Two independent draws differ with chance 1 - (.36 + .01 + .01 + .0025 + .0225) = 0.595.
    assert 0.5 < moved < 0.7


@pytest.mark.parametrize("by", ["hash", "stratified", "time"])
def test_every_part_has_its_share(by: str) -> None:
    parts = list(assign_parts(members(5000), rule(by), seed=1).values())
    for part, share in RULE.shares().items():
        # Binomial standard error of a hash's share at n = 5,000 is at most 0.007.
        assert abs(parts.count(part) / 5000 - share) < 0.025


@pytest.mark.parametrize(("task", "label"), list(product([0, 1], [0.0, 1.0])))
def test_stratified_parts_have_their_share_of_every_outcome(task: int, label: float) -> None:
    cohort = members(3000)
    parts = assign_parts(cohort, rule("stratified"), seed=1)
    mine = [parts[member.patient_id] for member in cohort if member.labels[task] == label]
    assert len(mine) > 30
    for part, share in RULE.shares().items():
        assert abs(mine.count(part) - share * len(mine)) <= 2


def test_a_rare_outcome_reaches_every_part_that_it_can() -> None:
    cohort = [Member(f"p{n}", FIRST, (float(n < 5),)) for n in range(1000)]
    even = SplitRule(by="stratified", train=0.2, validation=0.2, calibration=0.2, conformal=0.2)
    parts = assign_parts(cohort, even, seed=3)
    assert sorted(parts[f"p{n}"] for n in range(5)) == sorted(PARTS)


def test_all_studies_and_spellings_of_a_patient_fall_in_one_part() -> None:
    spellings = ["007", "7", "0 07", "7"]
    cohort = members(200) + [Member(who, FIRST, (1.0, NAN)) for who in spellings]
    for by in ("hash", "stratified", "time"):
        parts = assign_parts(cohort, rule(by), seed=1)
        assert len({parts[who] for who in spellings}) == 1


def test_by_time_nobody_in_training_was_scanned_after_anybodys_last_study_in_test() -> None:
    cohort = [*members(500), *members(500, seed=9)]  # two studies each
    parts = assign_parts(cohort, rule("time"), seed=1)
    last: dict[str, datetime] = {}
    for member in cohort:
        assert member.acquired_at is not None
        last[member.patient_id] = max(last.get(member.patient_id, FIRST), member.acquired_at)
    spans = {
        part: [when for who, when in last.items() if parts[who] == part] for part in PARTS
    }  # fmt: skip
    for earlier, later in pairwise(PARTS):
        assert max(spans[earlier]) <= min(spans[later])


def test_a_study_without_a_time_comes_first_among_times_with_an_offset() -> None:
    cohort = [Member(f"p{n}", FIRST.replace(tzinfo=UTC) + timedelta(days=n), ()) for n in range(9)]
    parts = assign_parts([*cohort, Member("none", None, ())], rule("time"), seed=1)
    assert parts["none"] == "train"


def test_new_patients_move_nobody_in_a_split_by_hash() -> None:
    few, many = members(100), members(1000)
    before = assign_parts(few, RULE, seed=1)
    after = assign_parts(many, RULE, seed=1)
    assert all(after[who] == part for who, part in before.items())


def test_a_part_without_a_share_stays_empty() -> None:
    none = SplitRule(train=0.6, validation=0.2, calibration=0.1, conformal=0.0)
    assert "conformal" not in assign_parts(members(500), none, seed=0).values()


def test_the_record_names_nobody_and_finds_everybody_who_is_known() -> None:
    parts: dict[str, Part] = {"BR-1": "train", "BR-2": "test"}
    record = split_record(parts, RULE, seed=5)
    assert "BR-" not in record.model_dump_json()
    # printf 5:br2 | sha256sum
    digest = "c39e293a0c19d00583daed553562dca46369b91bbf2ede7de0c6928e337db990"
    assert record.parts["test"] == (digest,)
    assert [part for part, hashes in record.parts.items() if hashes] == ["train", "test"]


@pytest.mark.parametrize("spelling", ["BR-01", "br 1", "br1"])
def test_a_patient_was_seen_under_every_spelling_but_not_if_only_judged(spelling: str) -> None:
    record = split_record({"BR-01": "conformal", "BR-2": "test"}, RULE, seed=5)
    assert was_seen(record, spelling)
    assert not was_seen(record, "BR-2")
    assert not was_seen(record, "BR-3")


def test_a_record_of_an_earlier_version_finds_patients_as_they_were_written() -> None:
    digest = hashlib.sha256(b"5:BR-01").hexdigest()
    record = SplitRecord(by="hash", seed=5, parts={"train": (digest,), "test": ()})
    assert was_seen(record, "BR-01")


def test_whose_outcomes_recalibrated_a_bundle_was_seen_even_of_the_test_part() -> None:
    record = split_record({"BR-1": "train", "BR-2": "test"}, RULE, seed=5)
    once = with_site(record, ["BR-2", "BR-7"])
    twice = with_site(once, ["BR-8"])
    assert not was_seen(once, "BR-8")
    assert [was_seen(twice, f"br{n}") for n in (1, 2, 7, 8, 9)] == [True] * 4 + [False]
    assert twice.parts["train"] == record.parts["train"]
    assert "BR-" not in twice.model_dump_json()


@given(st.text(), st.integers(0, 2**31))
def test_a_place_is_below_one(name: str, seed: int) -> None:
    assert 0.0 <= place_of(name, seed=seed) < 1.0


def test_time_to_an_event_is_split_by_the_event_and_classes_by_their_own_number() -> None:
    question = "What will come of it?"
    tasks = (
        Task(name="kind", kind="multiclass", question=question, classes=("a", "b", "c")),
        Task(name="death", kind="survival", question=question, horizons_days=(90, 180)),
        Task(name="yes", question=question),
    )
    assert strata([2.0, 143.0, 1.0, 0.0], tasks) == (2.0, 1.0, 0.0)
    # A thousand different days would each be an outcome of its own; events are shared out evenly.
    random = np.random.default_rng(0)
    rows = [(0.0, float(day), float(day % 10 == 0), 0.0) for day in random.permutation(1000)]
    cohort = [Member(f"p{n}", None, strata(row, tasks)) for n, row in enumerate(rows)]
    parts = assign_parts(cohort, rule("stratified"), seed=1)
    events = [parts[f"p{n}"] for n, row in enumerate(rows) if row[2]]
    assert events.count("train") == 60
    assert events.count("calibration") == 10


def test_each_patient_gives_one_study_whatever_the_spelling_and_the_order() -> None:
    studies = [(f"p{number // 3}", f"1.2.{number}") for number in range(30)]
    studies += [(f" P{number} ", f"1.3.{number}") for number in range(10)]
    drawn = {studies[place] for place in one_study_each(studies, seed=1)}
    assert sorted(patient.strip().lower() for patient, _ in drawn) == [f"p{n}" for n in range(10)]
    backward = studies[::-1]
    assert {backward[place] for place in one_study_each(backward, seed=1)} == drawn
    assert {studies[place] for place in one_study_each(studies, seed=2)} != drawn
    unlike = [("--", "1.4"), ("-", "1.5"), ("-", "1.6")]
    assert len(one_study_each(unlike, seed=0)) == 2


def test_single_studies_are_all_kept_in_their_order() -> None:
    studies = [(f"p{number}", f"1.2.{number}") for number in range(9)]
    assert one_study_each(studies, seed=0) == list(range(9))

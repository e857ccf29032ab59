from datetime import datetime

import pytest
from pydantic import ValidationError

from schemas.column import Column
from schemas.history import History, Note, TableValue
from schemas.prediction import Evidence, NoteEvidence, RiskEstimate, TableEvidence

SCAN = datetime(2024, 5, 31, 14, 30)
LATER = datetime(2024, 5, 31, 14, 31)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"notes": (Note(written_at=LATER, kind="x", text="x"),)}, id="note"),
        pytest.param({"values": (TableValue(name="a", value=1.0, recorded_at=LATER),)}, id="value"),
    ],
)
def test_a_history_cannot_hold_anything_later_than_its_moment(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="nothing later"):
        History.model_validate({"at": SCAN, **content})


def test_a_history_may_hold_what_was_recorded_at_its_moment() -> None:
    note = Note(written_at=SCAN, kind="x", text="x")
    assert History(at=SCAN, notes=(note,)).notes == (note,)


def test_note_text_and_values_stay_out_of_the_repr() -> None:
    note = Note(written_at=SCAN, kind="clinic", text="secret words")
    value = TableValue(name="a", value="secret words", recorded_at=SCAN)
    assert "secret" not in repr(History(at=SCAN, notes=(note,), values=(value,)))


def test_evidence_must_sum_to_the_logit() -> None:
    evidence = Evidence(
        bias=-1.0,
        image=0.5,
        table=(TableEvidence(name="a", value=None, contribution=0.25),),
        notes=(NoteEvidence(written_at=SCAN, kind="k", quote="q", contribution=-0.125),),
    )
    assert evidence.total() == -1.0 + 0.5 + 0.25 - 0.125
    RiskEstimate(task="t", logit=-0.375, probability=0.4, calibrated_logit=-0.4, evidence=evidence)
    with pytest.raises(ValidationError, match="evidence sums"):
        RiskEstimate(
            task="t", logit=-0.4, probability=0.4, calibrated_logit=-0.4, evidence=evidence
        )


def test_an_interval_must_hold_the_probability() -> None:
    even = {
        "task": "t",
        "logit": 0.0,
        "probability": 0.5,
        "calibrated_logit": 0.0,
        "evidence": Evidence(bias=0.0, image=0.0),
    }
    for bound in ({"lower": 0.6}, {"upper": 0.4}):
        with pytest.raises(ValidationError, match="must hold"):
            RiskEstimate.model_validate(even | bound)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": (5.0, 0.0)}, "lower end of normal must not be above the upper"),
        ({"kind": "flag", "low": None, "high": None}, "normal range belongs to a number"),
    ],
)
def test_a_normal_range_is_of_a_number_and_the_right_way_round(
    change: dict[str, object], message: str
) -> None:
    column = {"name": "crp", "kind": "number", "low": 0.0, "high": 600.0, "normal": (0.0, 5.0)}
    assert Column.model_validate(column).normal == (0.0, 5.0)
    with pytest.raises(ValidationError, match=message):
        Column.model_validate(column | change)

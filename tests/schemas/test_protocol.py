import pytest
from pydantic import ValidationError

from schemas.protocol import Protocol
from tests.pipeline.history.question import QUESTION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"surprise": 1}, "Extra inputs", id="unknown field"),
        pytest.param({"name": "../x"}, "pattern", id="name is no path"),
        pytest.param(
            {"grid": {"spacing_mm": [0, 4, 4], "size": [16, 16, 16]}}, "0.1", id="spacing"
        ),
        pytest.param({"grid": {"spacing_mm": [4, 4, 4], "size": [15, 16, 16]}}, "8", id="size"),
        pytest.param({"intensity": {"kind": "window", "low": 9, "high": 1}}, "below", id="window"),
        pytest.param(
            {"intensity": {"kind": "percentile", "low": -1, "high": 99}}, "0 and 100", id="percent"
        ),
        pytest.param({"table": [{"name": "age", "kind": "number"}]}, "plausible", id="range"),
        pytest.param({"table": [{"name": "sex", "kind": "category"}]}, "categories", id="choices"),
        pytest.param({"tasks": [QUESTION["tasks"][0]] * 2}, "differ", id="same task twice"),
        pytest.param(
            {"tasks": [QUESTION["tasks"][0] | {"sets_by": "age_years"}]},
            "sets_by",
            id="sets by age",
        ),
        pytest.param(
            {
                "tasks": [
                    QUESTION["tasks"][0]
                    | {"sets_by": "sex", "kind": "ordinal", "classes": ["a", "b", "c"]}
                ]
            },
            "sets_by belongs to binary",
            id="sets of levels by sex",
        ),
        pytest.param({"model": {"width": 10, "heads": 4}}, "multiple", id="heads"),
        pytest.param(
            {
                "concepts": [{"name": "limp", "kind": "side", "words": ["limp"]}],
                "training": {"flips": ["L"]},
            },
            "tells apart: leave L out",
            id="a side that is mirrored away",
        ),
        pytest.param(
            {"training": {"splits": {"train": 0.8, "validation": 0.1, "calibration": 0.1}}},
            "test part",
            id="no test part",
        ),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Protocol.model_validate(QUESTION | change)


def test_only_the_assessment_section_leaves_the_trained_hash_as_it_was() -> None:
    protocol = Protocol.model_validate(QUESTION)
    policy = Protocol.model_validate(QUESTION | {"assessment": {"out_of_distribution": "caution"}})
    other = Protocol.model_validate(QUESTION | {"look_back_days": 30})
    assert protocol.trained_sha256() == policy.trained_sha256()
    assert protocol.sha256() != policy.sha256()
    assert protocol.trained_sha256() != other.trained_sha256()

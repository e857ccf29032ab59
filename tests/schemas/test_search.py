import pytest
from pydantic import ValidationError

from schemas.search import FIXED, SearchSpace, number_type


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param({}, "at least one setting", id="nothing"),
        pytest.param({"optimiser": {}}, "optimiser", id="unknown section"),
        pytest.param(
            {"training": {"learning_rat": {"low": 0.1, "high": 1}}},
            "training.learning_rat: there is no such setting", id="unknown setting",
        ),
        pytest.param(
            {"training": {"learning_rate": {"low": 0.1}}}, "low and high, or choices", id="half",
        ),
        pytest.param(
            {"training": {"learning_rate": {"low": 0.1, "high": 1, "choices": [1, 2]}}},
            "low and high, or choices", id="both forms",
        ),
        pytest.param(
            {"training": {"learning_rate": {"low": 1, "high": 0.1}}}, "must be below", id="turned",
        ),
        pytest.param(
            {"training": {"sparsity": {"low": 0, "high": 1, "log": True}}}, "above 0", id="log 0",
        ),
        pytest.param(
            {"training": {"modality_dropout": {"low": 0, "high": 1}}},
            "training.modality_dropout: 1.0: Input should be less than 1", id="out of bounds",
        ),
        pytest.param(
            {"model": {"layers": {"low": 1, "high": 2.5}}}, "model.layers: 2.5", id="half a layer",
        ),
        pytest.param(
            {"model": {"fusion": {"low": 1, "high": 2}}}, "is no number", id="range of words",
        ),
        pytest.param(
            {"model": {"fusion": {"choices": ["cross", "crosss"]}}}, "crosss", id="unknown choice",
        ),
        pytest.param(
            {"training": {"batch_size": {"choices": [8, "16"]}}}, "16", id="number as text",
        ),
        pytest.param(
            {"training": {"batch_size": {"choices": [8, 8]}}}, "differ", id="the same twice",
        ),
        pytest.param(
            {"training": {"learning_rate": {"low": 1e-3, "high": 1e-2, "steps": 3}}}, "steps",
            id="unknown word",
        ),
    ],
)  # fmt: skip
def test_a_wrong_space_is_refused_in_words(content: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        SearchSpace.model_validate(content)
    assert words in str(error.value)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_would_make_trials_incomparable_cannot_be_varied(name: str) -> None:
    section, _, field = name.partition(".")
    content = {section: {field: {"choices": [1, 2]}}}
    with pytest.raises(ValidationError, match=f"{name}: cannot be varied: {FIXED[name]}"):
        SearchSpace.model_validate(content)


def test_every_fault_is_named_at_once() -> None:
    content = {
        "model": {"wdth": {"low": 1, "high": 2}},
        "training": {"seed": {"low": 1, "high": 2}},
    }
    with pytest.raises(ValidationError, match=r"model\.wdth.*training\.seed"):
        SearchSpace.model_validate(content)


def test_a_space_holds_what_lies_in_all_its_ranges() -> None:
    space = SearchSpace.model_validate(
        {
            "model": {"fusion": {"choices": ["cross", "late"]}},
            "training": {
                "epochs": {"low": 2, "high": 4}, "freeze_image": {"choices": [True, False]},
            },
        }
    )  # fmt: skip
    inside = {"model.fusion": "late", "training.epochs": 4, "training.freeze_image": False}
    assert space.holds(inside)
    assert not space.holds(inside | {"training.epochs": 5})
    assert not space.holds(inside | {"model.fusion": "concat"})
    assert number_type("training.epochs") is int
    assert number_type("training.learning_rate") is float
    assert number_type("training.freeze_image") is None

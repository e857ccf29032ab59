from datetime import datetime

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.preprocess import TableTransform, fit_table_transform, table_input
from schemas.history import ConceptFact, ConceptValue, History, TableValue
from schemas.notes_rule import Concept
from schemas.protocol import Protocol

SCAN = datetime(2024, 5, 31)


def history(age: float | None, sex: str | None = None, smoker: bool | None = None) -> History:
    values = {"age": age, "sex": sex, "smoker": smoker}
    return History(
        at=SCAN, values=tuple(TableValue(name=n, value=v) for n, v in values.items())
    )  # fmt: skip


def test_numbers_are_standardised_on_the_known_training_values(protocol: Protocol) -> None:
    train = [history(40.0), history(60.0), history(None)]
    transform = fit_table_transform(train, protocol.table)
    table = table_input(history(70.0, "M", False), transform)
    assert table is not None
    # mean 50, standard deviation 10; F and M, then no and yes
    assert np.allclose(table.values.numpy(), [[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert table.is_known.tolist() == [True, True, True]


def test_a_missing_value_is_marked_and_not_a_zero_that_counts(protocol: Protocol) -> None:
    transform = fit_table_transform([history(40.0), history(60.0)], protocol.table)
    table = table_input(history(None, "F"), transform)
    assert table is not None
    assert table.is_known.tolist() == [False, True, False]


def test_a_table_without_any_value_is_no_table(protocol: Protocol) -> None:
    transform = fit_table_transform([history(40.0)], protocol.table)
    assert table_input(history(None), transform) is None


CONCEPTS = (
    Concept(name="side", kind="side", words=("weak",)),
    Concept(name="fits", words=("fit",)),
    Concept(name="score", kind="number", words=("score",), low=0, high=100),
)


def told(side: ConceptFact | None, fits: ConceptFact | None, score: ConceptFact | None) -> History:
    concepts = {"side": side, "fits": fits, "score": score}
    return history(50.0).model_copy(
        update={"concepts": tuple(ConceptValue(name=n, value=v) for n, v in concepts.items())}
    )


def test_concepts_follow_the_columns_one_hot_and_unknown_is_missing(protocol: Protocol) -> None:
    train = [told("left", None, 40.0), told(None, "present", 60.0)]
    transform = fit_table_transform(train, protocol.table, CONCEPTS)
    table = table_input(told("right", "absent", 60.0), transform)
    assert table is not None
    assert transform.width == 5  # absent, left, right, both, present
    assert table.values[3].tolist() == [0, 0, 1, 0, 0]
    assert table.values[4].tolist() == [1, 0, 0, 0, 0]
    assert table.values[5].tolist() == [1, 0, 0, 0, 0]  # (60 - 50) / 10
    unknown = table_input(told(None, None, None), transform)
    assert unknown is not None
    assert unknown.is_known.tolist() == [True, False, False, False, False, False]


def test_a_history_without_its_concepts_is_refused(protocol: Protocol) -> None:
    transform = fit_table_transform([told(None, None, None)], protocol.table, CONCEPTS)
    with pytest.raises(ValueError, match="zip"):
        table_input(history(50.0), transform)


def test_a_transform_keeps_the_values_that_it_was_fitted_with(protocol: Protocol) -> None:
    transform = fit_table_transform([told("left", None, 40.0)], protocol.table, CONCEPTS)
    assert transform.choices == (
        (), ("F", "M"), ("False", "True"), ("absent", "left", "right", "both", "present"),
        ("absent", "present"), (),
    )  # fmt: skip
    assert TableTransform.model_validate_json(transform.model_dump_json()) == transform


@pytest.mark.parametrize(
    ("number", "trained", "said"),
    [
        (1, ["M", "F"], "sex was trained with the values M, F, but is now read as F, M"),
        (4, ["absent"], "fits was trained with the values absent, but is now read as absent, "),
        (5, ["low", "high"], "score was trained with the values low, high, but is now read as a n"),
    ],
)
def test_a_transform_whose_values_are_read_otherwise_is_refused(
    protocol: Protocol, number: int, trained: list[str], said: str
) -> None:
    transform = fit_table_transform([told("left", None, 40.0)], protocol.table, CONCEPTS)
    kept = transform.model_dump(mode="json")
    kept["choices"][number] = trained
    with pytest.raises(ValidationError, match=said):
        TableTransform.model_validate(kept)

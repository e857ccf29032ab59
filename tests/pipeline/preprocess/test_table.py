from datetime import datetime

import numpy as np

from pipeline.preprocess import fit_table_transform, table_input
from schemas.history import History, TableValue
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

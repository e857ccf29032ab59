from dataclasses import replace

import numpy as np

from pipeline.train.groups import groups_of
from schemas.history import TableValue
from schemas.protocol import Protocol
from tests.pipeline.train.test_fit import example


def test_numbers_are_halved_and_categories_and_absences_stand_apart(
    tiny_protocol: Protocol,
) -> None:
    ages: list[float | None] = [40.0, 50.0, 60.0, 70.0, None]
    name = next(column.name for column in tiny_protocol.table if column.kind == "number")
    cases = []
    for number, age in enumerate(ages):
        case = example(number)
        values = tuple(
            TableValue(name=name, value=age) if value.name == name else value
            for value in case.history.values
        )
        cases.append(replace(case, history=case.history.model_copy(update={"values": values})))
    groups = groups_of(cases, tiny_protocol)
    (low,) = (key for key in groups if "below 55" in key)
    (high,) = (key for key in groups if "55" in key and "or more" in key)
    assert groups[low].tolist() == [True, True, False, False, False]
    assert groups[high].tolist() == [False, False, True, True, False]
    assert groups["without image"].tolist() == [case.image is None for case in cases]


def test_a_number_that_never_differs_makes_no_groups(tiny_protocol: Protocol) -> None:
    cases = [example(1)] * 3
    assert not [key for key in groups_of(cases, tiny_protocol) if "below" in key]


def test_most_at_the_smallest_value_still_makes_two_groups(tiny_protocol: Protocol) -> None:
    name = next(column.name for column in tiny_protocol.table if column.kind == "number")
    cases = []
    for number, value in enumerate((1.0, 1.0, 1.0, 4.0)):
        case = example(number)
        values = tuple(
            TableValue(name=name, value=value) if one.name == name else one
            for one in case.history.values
        )
        cases.append(replace(case, history=case.history.model_copy(update={"values": values})))
    halves = {key: flags for key, flags in groups_of(cases, tiny_protocol).items() if "4" in key}
    assert sorted(flags.sum() for flags in halves.values()) == [1, 3]
    assert np.array(list(halves.values())).any(0).all()

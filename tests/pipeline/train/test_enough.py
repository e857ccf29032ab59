"""What would stop a training at its end stops it before it begins."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import CalibrationError
from pipeline.train.enough import require_enough
from pipeline.train.examples import Example
from pipeline.train.splits import PARTS, Part
from schemas.protocol import Protocol
from tests.pipeline.train.test_fit import example

SIZES = {"train": 24, "validation": 8, "calibration": 24, "conformal": 8, "test": 8}


def parts() -> dict[Part, list[Example]]:
    """Return cases of which every second had each outcome."""
    return {
        part: [
            replace(
                example(number),
                patient_id=f"{part}{number}",
                labels=np.full(2, number % 2, np.float32),
            )
            for number in range(SIZES[part])
        ]
        for part in PARTS
    }


def without_images(cases: Sequence[Example]) -> list[Example]:
    return [replace(case, image=None) for case in cases]


def with_outcome(cases: Sequence[Example], outcome: float) -> list[Example]:
    return [replace(case, labels=np.array([outcome, case.labels[1]], np.float32)) for case in cases]


def test_twenty_images_are_enough_and_nineteen_are_refused(tiny_protocol: Protocol) -> None:
    found, train = parts(), parts()["train"]
    found["train"] = [*without_images(train[:4]), *train[4:]]
    require_enough(found, tiny_protocol.tasks)
    found["train"] = [*without_images(train[:5]), *train[5:]]
    with pytest.raises(CalibrationError, match="needs 20 training and as many held-out images"):
        require_enough(found, tiny_protocol.tasks)


@pytest.mark.parametrize(
    ("part", "outcome", "message"),
    [
        ("calibration", 0.0, "of 24 calibration patients yes has 0; each outcome needs at least 5"),
        ("calibration", np.nan, "of 0 calibration patients no has 0, yes has 0"),
        ("test", 1.0, "the test cases hold one outcome only"),
        ("test", np.nan, "the test cases hold one outcome only"),
    ],
)
def test_a_task_of_which_a_part_knows_too_little_is_refused(
    part: Part, outcome: float, message: str, tiny_protocol: Protocol
) -> None:
    found = parts()
    found[part] = with_outcome(found[part], outcome)
    with pytest.raises(CalibrationError, match=f"task {tiny_protocol.tasks[0].name}: {message}"):
        require_enough(found, tiny_protocol.tasks)


def test_patients_are_counted_not_studies(tiny_protocol: Protocol) -> None:
    found = parts()
    found["calibration"] = [
        replace(case, patient_id="one" if case.labels[0] == 1 else case.patient_id)
        for case in found["calibration"]
    ]
    with pytest.raises(CalibrationError, match="of 13 calibration patients yes has 1"):
        require_enough(found, tiny_protocol.tasks)

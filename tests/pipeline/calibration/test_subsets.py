import numpy as np
import pytest

from pipeline.calibration.maps import MODALITIES
from pipeline.calibration.subsets import fit_shifts
from schemas.calibration import CalibrationMap
from tests.pipeline.calibration.drawn import drawn

COMMON = CalibrationMap(method="temperature")
IMAGE = ("image",)


def test_many_cases_decide_the_shift_and_few_hardly_move_it() -> None:
    logits, labels, _ = drawn(5000, slope=0.5, shift=-0.5)
    (many,) = fit_shifts(COMMON, {MODALITIES: logits, IMAGE: logits}, labels)
    assert many.slope == pytest.approx(0.5, abs=0.05)
    assert many.intercept == pytest.approx(-0.5, abs=0.1)
    (few,) = fit_shifts(COMMON, {MODALITIES: logits[:25], IMAGE: logits[:25]}, labels[:25])
    assert abs(few.slope - 1.0) < abs(many.slope - 1.0)


def test_cases_that_lack_a_modality_are_left_out_of_its_fit() -> None:
    logits, labels, _ = drawn(400)
    with_gaps = np.where(np.arange(400) % 2 == 0, logits, np.nan)
    (shift,) = fit_shifts(COMMON, {MODALITIES: logits, IMAGE: with_gaps}, labels)
    assert shift.n_cases == 200
    assert np.isfinite([shift.slope, shift.intercept]).all()


def test_a_subset_that_hardly_occurs_gets_no_shift() -> None:
    logits, labels, _ = drawn(100)
    rare = np.where(np.arange(100) < 10, logits, np.nan)
    assert fit_shifts(COMMON, {MODALITIES: logits, IMAGE: rare}, labels) == ()

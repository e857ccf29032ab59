import numpy as np
import pytest
from scipy.special import expit

from pipeline.calibration import fit_calibrator, to_probability
from pipeline.calibration.maps import MODALITIES
from pipeline.calibration.subsets import fit_shifts
from schemas.calibration import CalibrationMap
from tests.pipeline.calibration.drawn import drawn

COMMON = CalibrationMap(method="temperature")
IMAGE = ("image",)


def partly_blind(
    share: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[tuple[str, ...], np.ndarray]]:
    """Draw log-odds, labels, scores and hidden scores; a share of the cases has an image.

    Without it the score says a third of what it should.
    """
    random = np.random.default_rng(0)
    odds = random.normal(-0.5, 1.5, 4000)
    labels = (random.random(4000) < expit(odds)).astype(np.int64)
    has_image = random.random(4000) < share
    hidden = {MODALITIES: np.where(has_image, odds, np.nan), ("notes", "table"): odds / 3}
    return odds, labels, np.where(has_image, odds, odds / 3), hidden


def test_many_cases_decide_the_shift_and_few_hardly_move_it() -> None:
    logits, labels, _ = drawn(5000, slope=0.5, shift=-0.5)
    (many,) = fit_shifts(COMMON, {MODALITIES: logits, IMAGE: logits}, labels, is_mixed=False)
    assert many.slope == pytest.approx(0.5, abs=0.05)
    assert many.intercept == pytest.approx(-0.5, abs=0.1)
    (few,) = fit_shifts(
        COMMON, {MODALITIES: logits[:25], IMAGE: logits[:25]}, labels[:25], is_mixed=False
    )
    assert abs(few.slope - 1.0) < abs(many.slope - 1.0)


def test_cases_that_lack_a_modality_are_left_out_of_its_fit() -> None:
    logits, labels, _ = drawn(400)
    with_gaps = np.where(np.arange(400) % 2 == 0, logits, np.nan)
    (shift,) = fit_shifts(COMMON, {MODALITIES: logits, IMAGE: with_gaps}, labels, is_mixed=False)
    assert shift.n_cases == 200
    assert np.isfinite([shift.slope, shift.intercept]).all()


def test_a_subset_that_hardly_occurs_gets_no_shift() -> None:
    logits, labels, _ = drawn(100)
    rare = np.where(np.arange(100) < 10, logits, np.nan)
    assert fit_shifts(COMMON, {MODALITIES: logits, IMAGE: rare}, labels, is_mixed=False) == ()


def test_the_common_map_is_that_of_cases_with_every_modality() -> None:
    odds, labels, score, hidden = partly_blind(0.8)
    fitted = fit_calibrator("t", score, labels, hidden)
    assert fitted.map.slope == pytest.approx(1.0, abs=0.08)
    assert fitted.shifts[0].slope == pytest.approx(3.0, abs=0.6)
    mixed = fit_calibrator("t", score, labels, {})
    assert mixed.map.slope > 1.1
    few = {MODALITIES: np.where(np.arange(4000) < 30, odds, np.nan)}
    assert fit_calibrator("t", score, labels, few).map == mixed.map


def test_where_the_common_map_is_mixed_whole_cases_have_a_map_of_their_own() -> None:
    odds, labels, score, hidden = partly_blind(0.4)
    fitted = fit_calibrator("t", score, labels, hidden)
    assert {shift.present for shift in fitted.shifts} == set(hidden)
    mixed = fitted.model_copy(update={"shifts": ()})
    for present, scores in ((MODALITIES, odds), (("notes", "table"), odds / 3)):
        far = [
            np.abs(to_probability(one, scores, present) - expit(odds)).mean()
            for one in (fitted, mixed)
        ]
        assert far[0] < 0.7 * far[1]

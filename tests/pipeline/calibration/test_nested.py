from unittest.mock import patch

import numpy as np
import pytest

from pipeline.calibration import choose, fit_calibrator, nested, with_nested_loss
from pipeline.calibration.fit import fit_platt
from pipeline.calibration.nested import nested_loss
from schemas.calibration import CalibrationMap
from tests.pipeline.calibration.drawn import drawn


def test_the_loss_is_near_that_on_new_patients() -> None:
    # Slope 0.5: the raw score is overconfident, and a calibrated one gains.
    logits, labels, truth = drawn(1500, slope=0.5)
    found = nested_loss(logits, labels.astype(np.float64), None)
    assert found is not None
    # That of the true probabilities, on the same cases.
    best = float(np.mean(np.logaddexp(0.0, truth) - labels * truth))
    assert found.log_loss == pytest.approx(best, abs=0.01)
    assert found.log_loss < found.log_loss_uncalibrated - 0.05
    assert (len(found.methods), found.n_cases) == (5, 1500)


def test_choice_and_fit_never_see_the_cases_they_are_judged_on() -> None:
    logits, labels, _ = drawn(200)
    patients = np.repeat(np.arange(100), 2).astype(str)
    seen: list[np.ndarray] = []

    def spy(score: np.ndarray, truth: np.ndarray, of: np.ndarray) -> CalibrationMap:
        assert len(score) == len(truth) == len(of)
        seen.append(of)
        return fit_platt(score, truth)

    with patch.object(nested, "chosen_map", spy):
        found = nested_loss(logits, labels.astype(np.float64), patients)
    assert found is not None
    left_out = [set(patients) - set(of) for of in seen]
    assert sorted(one for fold in left_out for one in fold) == sorted(set(patients))
    # A fold's patients are wholly in or out.
    assert [len(of) for of in seen] == [160] * 5


def gap_to_the_winners_own(seed: int) -> float:
    """Return nested loss less that by which the winner was chosen, of ten guesses at a slope."""
    random = np.random.default_rng(seed)
    logits, labels = random.normal(size=60), (np.arange(60) % 2).astype(np.float64)
    slopes = random.uniform(0.0, 2.0, 10)
    guesses = {
        str(n): lambda *_, slope=slope: CalibrationMap(method="platt", slope=slope)
        for n, slope in enumerate(slopes)
    }
    won: list[float] = []

    def best(losses: dict[str, np.ndarray]) -> str:
        name = min(losses, key=lambda one: losses[one].mean())
        won.append(losses[name].mean())
        return name

    with (
        patch.object(choose, "CANDIDATES", guesses),
        patch.object(choose, "_allowed", lambda _: list(guesses)),
        patch.object(choose, "simplest", best),
    ):
        found = nested_loss(logits, labels, None)
    assert found is not None
    return found.log_loss - float(np.mean(won))


def test_the_winners_own_loss_is_flattered_and_the_nested_one_is_not() -> None:
    assert np.mean([gap_to_the_winners_own(seed) for seed in range(6)]) > 0.0


def test_too_few_patients_have_no_nested_loss() -> None:
    logits, labels, _ = drawn(400)
    few = np.flatnonzero(labels == 1)[:9]
    kept = np.append(few, np.flatnonzero(labels == 0))
    assert nested_loss(logits[kept], labels[kept].astype(np.float64), None) is None


def test_a_calibrator_keeps_it_and_its_own_map_is_chosen_on_all() -> None:
    logits, labels, _ = drawn(120, slope=0.5)
    fitted = fit_calibrator("t", logits, labels, hidden={})
    fitted = with_nested_loss(fitted, logits, labels, hidden={})
    assert fitted.nested == nested_loss(logits, labels.astype(np.float64), None)
    assert fitted.map == choose.fit_map(logits, labels, task="t")

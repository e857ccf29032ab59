import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from pipeline.calibration import choose
from pipeline.calibration.choose import chosen_out_of_bag, fit_map, left_out_losses
from pipeline.calibration.fit import (
    CANDIDATES,
    fit_four_parameter,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    log_loss_of,
)
from pipeline.calibration.maps import in_words, map_log_odds, to_log_odds, to_probability
from pipeline.errors import CalibrationError
from schemas.calibration import CalibrationMap, Calibrator, Method, Recalibration, SubsetShift
from tests.pipeline.calibration.drawn import drawn


def test_temperature_finds_the_slope_of_an_overconfident_score() -> None:
    logits, labels, _ = drawn(20_000, slope=0.5)
    # Standard error of the slope is about 0.01 at this size.
    assert fit_temperature(logits, labels).slope == pytest.approx(0.5, abs=0.03)


def test_platt_finds_slope_and_shift() -> None:
    fitted = fit_platt(*drawn(20_000, slope=0.5, shift=-0.7)[:2])
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.intercept == pytest.approx(-0.7, abs=0.06)


def test_platt_agrees_with_unpenalised_logistic_regression() -> None:
    logits, labels, _ = drawn(500, slope=0.5, shift=0.3)
    line = LogisticRegression(C=np.inf, tol=1e-8).fit(logits[:, None], labels)
    fitted = fit_platt(logits, labels)
    assert fitted.slope == pytest.approx(line.coef_[0, 0], abs=1e-3)
    assert fitted.intercept == pytest.approx(line.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("method", CANDIDATES)
def test_no_map_changes_the_ranking(method: str) -> None:
    logits, labels, _ = drawn(1500, slope=0.5)
    odds = map_log_odds(CANDIDATES[method](logits, labels), np.sort(logits))
    assert (np.diff(odds) >= 0).all()
    assert np.isfinite(odds).all()


def test_beta_is_the_formula_of_its_authors() -> None:
    fitted = CalibrationMap(method="beta", slope=2.0, slope_low=0.5, intercept=0.1)
    s = 0.3
    score = np.log(s / (1 - s))
    # a ln s - b ln(1 - s) + c; here a belongs to ln s (low scores) and b to ln(1 - s) (high ones).
    expected = 0.5 * np.log(s) - 2.0 * np.log(1 - s) + 0.1
    assert map_log_odds(fitted, score) == pytest.approx(expected)


def drawn_with_ends(n: int, floor: float, ceiling: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    score = random.normal(0.0, 4.0, n)
    risk = floor + (ceiling - floor) * expit(1.5 * score - 0.5)
    return score, (random.random(n) < risk).astype(np.float64)


def test_a_four_parameter_logistic_finds_floor_and_ceiling() -> None:
    fitted = fit_four_parameter(*drawn_with_ends(40_000, 0.05, 0.8))
    # Standard errors: 0.002 and 0.003 of the ends, 0.04 of slope and intercept.
    assert fitted.floor == pytest.approx(0.05, abs=0.008)
    assert fitted.ceiling == pytest.approx(0.8, abs=0.012)
    assert fitted.slope == pytest.approx(1.5, abs=0.15)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.15)
    ends = expit(map_log_odds(fitted, np.array([-1e4, 1e4])))
    assert ends == pytest.approx([fitted.floor, fitted.ceiling])


def test_no_four_parameter_logistic_near_the_fitted_one_is_likelier() -> None:
    score, labels = drawn_with_ends(20_000, 0.05, 0.8)
    fitted = fit_four_parameter(score, labels)
    best = log_loss_of(fitted, score, labels).mean()
    for name in ("slope", "intercept", "floor", "ceiling"):
        for factor in (0.9, 1.1):
            other = fitted.model_copy(update={name: factor * getattr(fitted, name)})
            assert log_loss_of(other, score, labels).mean() > best


@pytest.mark.parametrize("labels", [np.zeros(30), np.ones(30), np.arange(30) % 2.0])
def test_a_four_parameter_logistic_of_few_cases_is_never_certain(labels: np.ndarray) -> None:
    fitted = fit_four_parameter(np.linspace(-50.0, 50.0, 30), labels)
    assert 1e-5 < fitted.floor < fitted.ceiling < 1.0 - 1e-5


def test_wrong_labels_are_told_by_floor_and_ceiling() -> None:
    score, labels = drawn_with_ends(1500, 0.05, 0.9)
    assert fit_map(score, labels, task="t").method == "four_parameter_logistic"


@pytest.mark.parametrize("ends", [{}, {"floor": 0.3, "ceiling": 0.2}, {"floor": 0.1}])
def test_a_four_parameter_logistic_needs_both_its_ends(ends: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="floor < ceiling"):
        CalibrationMap(method="four_parameter_logistic", **ends)


def test_no_other_map_has_a_floor_or_a_ceiling() -> None:
    for floor, ceiling in ((0.1, 1.0), (0.0, 0.9), (0.1, 0.9)):
        with pytest.raises(ValueError, match="only it has them"):
            CalibrationMap(method="platt", floor=floor, ceiling=ceiling)


def test_isotonic_never_says_certain() -> None:
    logits = np.linspace(-4, 4, 40)
    fitted = fit_isotonic(logits, (logits > 0).astype(np.float64))
    p = expit(map_log_odds(fitted, np.array([-100.0, 100.0])))
    assert p == pytest.approx([1 / 42, 41 / 42])


def test_the_simplest_map_wins_where_it_is_enough() -> None:
    drawings = [drawn(3000, slope=0.5, seed=seed)[:2] for seed in range(10)]
    chosen = [fit_map(*one, task="t").method for one in drawings]
    # By chance a further parameter seems to help now and then.
    assert chosen.count("temperature") >= 6


def test_a_shifted_prevalence_needs_an_intercept() -> None:
    assert fit_map(*drawn(3000, shift=-1.0)[:2], task="t").method == "platt"


def test_a_bent_score_is_straightened_only_with_many_cases() -> None:
    _, labels, truth = drawn(6000)
    bent = np.where(truth < 0, truth * 0.1, truth * 5.0)
    assert fit_map(bent, labels, task="t").method in {"beta", "isotonic", "venn_abers"}
    few = fit_map(bent[:400], labels[:400], task="t")
    assert few.method not in {"isotonic", "venn_abers"}


@pytest.mark.parametrize(
    ("n_cases", "n_rarer", "is_free"),
    [(1000, 200, True), (999, 200, False), (1000, 199, False), (5000, 199, False)],
)
@pytest.mark.parametrize("rarer", [0.0, 1.0])
def test_free_forms_are_tried_from_1000_cases_with_200_of_the_rarer_answer_on(
    n_cases: int, n_rarer: int, rarer: float, *, is_free: bool
) -> None:
    labels = np.full(n_cases, 1.0 - rarer)
    labels[:n_rarer] = rarer
    tried = set(choose._allowed(labels))
    assert ({"isotonic", "venn_abers"} <= tried) == is_free
    assert {"temperature", "platt", "beta"} <= tried


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        pytest.param(np.zeros(50), np.zeros(50), "yes has 0; each outcome needs", id="one class"),
        pytest.param(np.full(50, np.nan), np.arange(50) % 2, "not finite", id="nan"),
        pytest.param(-5.0 * (np.arange(50) % 2), np.arange(50) % 2, "rank", id="reversed"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    logits: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(CalibrationError, match=f"task t: .*{message}"):
        fit_map(logits, labels, task="t")


def test_a_shift_and_a_site_act_after_the_common_map() -> None:
    calibrator = Calibrator(
        task="t",
        map=CalibrationMap(method="platt", slope=2.0, intercept=1.0),
        shifts=(
            SubsetShift(present=("image",), slope=0.5, intercept=-1.0, n_cases=9),
        ),
        recalibration=Recalibration(
            slope=1.5, intercept=0.2, n_cases=60, n_events=50, intercept_sd=0.1,
            labels_sha256="0", from_bundle_sha256="0",
        ),
        n_cases=100, n_events=20,
    )  # fmt: skip
    # 2 * 3 + 1 = 7; the image alone: 0.5 * 7 - 1 = 2.5; the site: 1.5 x + 0.2.
    assert to_log_odds(calibrator, 3.0) == pytest.approx(1.5 * 7 + 0.2)
    assert to_log_odds(calibrator, 3.0, ["image"]) == pytest.approx(1.5 * 2.5 + 0.2)
    assert to_probability(calibrator, 3.0, ["image"]) == pytest.approx(expit(3.95))
    assert "without notes and table" in in_words(calibrator, ["image"])
    assert "without" not in in_words(calibrator, ["image", "notes"])


@pytest.mark.parametrize(("n", "n_events"), [(40, 8), (60, 10), (300, 50)])
def test_a_score_that_makes_no_error_is_calibrated_without_being_certain(
    n: int, n_events: int
) -> None:
    random = np.random.default_rng(n)
    labels = (np.arange(n) < n_events).astype(float)
    logits = random.uniform(0.5, 3.0, n) * np.where(labels == 1.0, 1.0, -1.0)
    fitted = fit_map(logits, labels, task="t")
    slope = fitted.slope if fitted.method != "beta" else max(fitted.slope, fitted.slope_low)
    assert 1.0 < slope < 10.0


def test_a_patients_studies_are_left_out_together() -> None:
    random = np.random.default_rng(0)
    patients = np.repeat(random.permutation(40), 5).astype(str)
    labels = np.repeat(np.arange(40) % 2, 5)
    seen = []

    def losses(kept: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        assert not set(patients[kept]) & set(patients[left_out])
        seen.append(len(left_out))
        return np.ones(len(left_out))

    assert left_out_losses(labels, losses, patients) == pytest.approx(np.ones(200))
    assert seen == [40] * 20


def test_few_patients_with_many_studies_are_few() -> None:
    labels = np.repeat([1, 0], [60, 140])
    patients = np.append(np.repeat(["a", "b", "c"], 20), np.arange(140).astype(str))
    with pytest.raises(CalibrationError, match="of 143 calibration patients yes has 3"):
        fit_map(np.linspace(2, -2, 200), labels, task="t", patients=patients)


@pytest.mark.parametrize("method", ["temperature", "platt", "beta"])
def test_a_case_that_was_not_read_has_no_log_odds(method: Method) -> None:
    found = map_log_odds(CalibrationMap(method=method), np.array([np.nan, 0.5]))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.5)


@pytest.mark.parametrize(("shift", "is_shifted"), [(-1.5, True), (0.0, False)])
def test_a_bootstraps_method_is_chosen_by_what_it_left_out(shift: float, is_shifted: bool) -> None:
    logits, labels, _ = drawn(900, shift=-1.5)
    others, theirs, _ = drawn(900, seed=2, shift=shift)
    inside = np.arange(900)
    found = chosen_out_of_bag(np.r_[logits, others], np.r_[labels, theirs], inside)
    assert (found.method != "temperature") == is_shifted
    assert found == CANDIDATES[found.method](logits, labels)

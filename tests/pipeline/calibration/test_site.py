import numpy as np
import pytest
from scipy.special import expit, logit

from pipeline.calibration import label_set, to_log_odds
from pipeline.calibration.fit import fit_platt
from pipeline.calibration.site import recalibrated
from pipeline.errors import CalibrationError
from schemas.calibration import (
    CalibrationMap,
    Calibrator,
    ConformalThresholds,
    GroupThresholds,
    OperatingPoint,
    Recalibration,
    SubsetThresholds,
)
from tests.pipeline.calibration.drawn import drawn

SETS = ConformalThresholds(
    coverage=0.9, negative=0.35, positive=0.2, n_negative=80, n_positive=40
)  # fmt: skip
POINTS = tuple(
    OperatingPoint(
        goal=goal, at_least=0.9, confidence=0.9, threshold=0.25, n_cases=120, n_events=40
    )
    for goal in ("sensitivity", "ppv")
)  # fmt: skip
APART = SubsetThresholds(
    present=("notes",), coverage=0.9, negative=0.6, positive=0.3, n_negative=80, n_positive=40
)  # fmt: skip
GROUP = GroupThresholds(
    value="True", group="Smoker: True", coverage=0.9, negative=0.7, positive=0.2, n_negative=50,
    n_positive=20,
)  # fmt: skip
OLD = Calibrator(
    task="t", map=CalibrationMap(method="temperature"), conformal=SETS, operating=POINTS,
    conformal_apart=(APART,), conformal_groups=(GROUP,),
    n_cases=200, n_events=60,
)  # fmt: skip


def updated(
    n: int, *, shift: float, slope: float = 1.0, old: Calibrator = OLD
) -> Calibrator | None:
    odds, labels, _ = drawn(n, shift=shift, slope=slope)
    return recalibrated(
        old, odds, labels.astype(np.float64), labels_sha256="a", from_bundle_sha256="b"
    )


def test_fewer_than_fifty_events_change_nothing() -> None:
    assert updated(100, shift=-1.0) is None


@pytest.mark.parametrize(("rarer", "is_moved", "is_turned"), [
    (49, False, False), (50, True, False), (199, True, False), (200, True, True),
])  # fmt: skip
def test_from_50_of_the_rarer_outcome_the_intercept_moves_and_from_200_the_slope(
    rarer: int, *, is_moved: bool, is_turned: bool
) -> None:
    odds = np.linspace(-2.0, 2.0, 600)
    labels = np.zeros(600)
    labels[-2 * rarer :: 2] = 1.0
    new = recalibrated(OLD, odds, labels, labels_sha256="a", from_bundle_sha256="b")
    assert (new is not None) == is_moved
    if new is not None:
        assert new.recalibration is not None
        assert (new.recalibration.slope != 1.0) == is_turned


@pytest.mark.parametrize("n", [400, 4000])
@pytest.mark.parametrize("how", ["shuffled", "reversed"])
def test_a_site_whose_outcomes_do_not_belong_to_its_answers_is_refused(n: int, how: str) -> None:
    odds, labels, _ = drawn(n, shift=-1.0)
    truth = np.asarray(labels, dtype=np.float64)
    wrong = 1.0 - truth if how == "reversed" else np.random.default_rng(1).permutation(truth)
    with pytest.raises(CalibrationError, match="no better than chance"):
        recalibrated(OLD, odds, wrong, labels_sha256="a", from_bundle_sha256="b")


def test_some_events_move_the_intercept_alone() -> None:
    new = updated(400, shift=-1.0)
    assert new is not None
    assert new.recalibration is not None
    assert new.recalibration.slope == 1.0
    # Standard error of an intercept at 400 cases with 30 % events is about 0.12.
    assert new.recalibration.intercept == pytest.approx(-1.0, abs=0.4)


def test_many_events_move_the_slope_as_well() -> None:
    new = updated(6000, shift=-1.0, slope=0.5)
    assert new is not None
    assert new.recalibration is not None
    assert new.recalibration.slope == pytest.approx(0.5, abs=0.05)
    assert new.recalibration.intercept == pytest.approx(-1.0, abs=0.1)


def test_the_same_cases_keep_the_same_sets() -> None:
    new = updated(6000, shift=-1.0, slope=0.7)
    assert new is not None
    for p in np.linspace(0.021, 0.981, 49):  # no threshold among them: a tie may fall either way
        moved = float(expit(to_log_odds(new, logit(p))))
        assert label_set(new.conformal, moved) == label_set(OLD.conformal, p)
        assert label_set(new.conformal_apart[0], moved) == label_set(APART, p)
        assert label_set(new.conformal_groups[0], moved) == label_set(GROUP, p)


def test_a_sensitivity_is_carried_along_and_a_predictive_value_is_not() -> None:
    new = updated(6000, shift=-1.0)
    assert new is not None
    sensitivity, ppv = new.operating
    assert sensitivity.threshold == pytest.approx(float(expit(to_log_odds(new, logit(0.25)))))
    assert ppv.threshold is None


def test_a_second_site_comes_after_the_first() -> None:
    first = updated(6000, shift=-1.0)
    assert first is not None
    odds, labels, _ = drawn(6000)
    second = recalibrated(
        first, to_log_odds(first, odds), labels.astype(np.float64), labels_sha256="c",
        from_bundle_sha256="d",
    )  # fmt: skip
    assert second is not None
    assert to_log_odds(second, 0.4) == pytest.approx(0.4, abs=0.1)


def line_sd(site: Recalibration, odds: float) -> float:
    variance = site.intercept_sd**2 + 2 * odds * site.covariance + odds**2 * site.slope_sd**2
    return float(np.sqrt(variance))


@pytest.mark.parametrize("at", [-4.0, -1.0, 2.0])
def test_the_error_of_slope_and_intercept_is_that_of_bootstraps(at: float) -> None:
    new = updated(1500, shift=-1.0, slope=0.7)
    assert new is not None
    assert new.recalibration is not None
    odds, labels, _ = drawn(1500, shift=-1.0, slope=0.7)
    random, found = np.random.default_rng(0), []
    for _ in range(150):
        chosen = random.integers(len(odds), size=len(odds))
        line = fit_platt(odds[chosen], labels[chosen].astype(np.float64))
        found.append(line.slope * at + line.intercept)
    # Relative standard error of a standard deviation of 150 draws: 0.06.
    assert line_sd(new.recalibration, at) == pytest.approx(np.std(found, ddof=1), rel=0.2)


def test_a_slope_that_was_not_refitted_has_no_error() -> None:
    new = updated(400, shift=-1.0)
    assert new is not None
    assert new.recalibration is not None
    assert (new.recalibration.slope_sd, new.recalibration.covariance) == (0.0, 0.0)


def test_a_slope_of_an_earlier_site_keeps_its_error_away_from_the_later_sites_cases() -> None:
    first = updated(1500, shift=-1.0, slope=0.7)
    assert first is not None
    odds, labels, _ = drawn(400, shift=0.5, seed=3)
    second = recalibrated(
        first, odds, labels.astype(np.float64), labels_sha256="c", from_bundle_sha256="d"
    )
    assert second is not None
    assert first.recalibration is not None
    assert second.recalibration is not None
    one, two = first.recalibration, second.recalibration
    assert two.slope == one.slope
    # The later intercept holds at the mean of its own cases, weighed as its fit weighs them.
    chance = expit(odds + (two.intercept - one.intercept))
    weights = chance * (1 - chance)
    centre = float(np.average((odds - one.intercept) / one.slope, weights=weights))
    assert line_sd(two, centre) == pytest.approx(weights.sum() ** -0.5)
    far = float(np.hypot(weights.sum() ** -0.5, 3.0 * one.slope_sd))
    assert line_sd(two, centre - 3.0) == pytest.approx(far)


def test_an_update_of_an_earlier_version_is_read_with_its_intercepts_error_alone() -> None:
    new = updated(400, shift=-1.0)
    assert new is not None
    assert new.recalibration is not None
    told = new.recalibration.model_dump(exclude={"slope_sd", "covariance"})
    assert Recalibration.model_validate(told) == new.recalibration


def test_a_covariance_beyond_both_errors_is_no_update() -> None:
    new = updated(400, shift=-1.0)
    assert new is not None
    assert new.recalibration is not None
    with pytest.raises(ValueError, match="exceeds their standard errors"):
        Recalibration.model_validate(new.recalibration.model_dump() | {"covariance": 0.1})

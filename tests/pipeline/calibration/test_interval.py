from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import f as fisher
from scipy.stats import t as student

from pipeline.calibration import MODALITIES, fit_calibrator, interval, to_log_odds, with_interval
from pipeline.calibration.interval import typical_variance
from schemas.calibration import (
    AbsentSpread,
    CalibrationMap,
    Calibrator,
    IntervalModel,
    Recalibration,
    SubsetShift,
)

WITHOUT_IMAGE = ("notes", "table")
N_MEMBERS, DF = 4, 6


def world(
    n: int, *, error: float, seed: int, n_members: int = N_MEMBERS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw true log-odds (n,), labels (n,) and members' scores (M, n).

    A trained network strays from the truth by ``error``, which differs from case to case; members
    stray as far from it again, as bootstraps do.
    """
    random = np.random.default_rng(seed)
    truth = random.normal(-1.0, 1.5, n)
    labels = (random.random(n) < expit(truth)).astype(np.float64)
    scale = error * np.sqrt(DF / random.chisquare(DF, n))
    trained = truth + random.normal(size=n) * scale
    return truth, labels, trained + random.normal(size=(n_members, n)) * scale


def fitted(members: np.ndarray, labels: np.ndarray, blind: np.ndarray) -> Calibrator:
    hidden = {MODALITIES: members.mean(0), WITHOUT_IMAGE: blind}
    common = fit_calibrator("t", members.mean(0), labels.astype(np.int64), hidden)
    return with_interval(common, members, labels, hidden)


def moved_by(
    *, slope: float = 1.0, intercept_sd: float, slope_sd: float = 0.0, covariance: float = 0.0
) -> Recalibration:
    return Recalibration(
        slope=slope, intercept=0.0, n_cases=60, n_events=50, intercept_sd=intercept_sd,
        slope_sd=slope_sd, covariance=covariance, labels_sha256="0", from_bundle_sha256="0",
    )  # fmt: skip


def ends(
    calibrator: Calibrator, members: np.ndarray, present: Sequence[str] = MODALITIES
) -> np.ndarray:
    found = [interval(calibrator, case, present) for case in members.T]
    return np.array(found)


@pytest.mark.parametrize("error", [0.2, 0.5])
def test_nine_in_ten_intervals_hold_the_true_probability(error: float) -> None:
    _, labels, members = world(5000, error=error, seed=1)
    calibrator = fitted(members, labels, members.mean(0))
    truth, _, others = world(2000, error=error, seed=2)
    lower, upper = ends(calibrator, others).T
    assert 0.85 <= np.mean((lower <= expit(truth)) & (expit(truth) <= upper)) <= 0.95


def test_an_interval_holds_its_probability_and_grows_with_disagreement() -> None:
    _, labels, members = world(1000, error=0.3, seed=3)
    calibrator = fitted(members, labels, members.mean(0))
    score = np.array([0.2, 0.3, 0.4, 0.5])
    narrow = interval(calibrator, score, MODALITIES)
    wide = interval(calibrator, score.mean() + 5 * (score - score.mean()), MODALITIES)
    assert narrow is not None
    assert wide is not None
    centre = expit(to_log_odds(calibrator, score.mean()))
    assert wide[0] < narrow[0] < centre < narrow[1] < wide[1]


def test_members_that_agree_by_chance_are_not_taken_for_certain() -> None:
    _, labels, members = world(1000, error=0.5, seed=4)
    calibrator = fitted(members, labels, members.mean(0))
    found = interval(calibrator, np.full(N_MEMBERS, 0.3), MODALITIES)
    assert found is not None
    assert found[1] - found[0] > 0.05


def test_where_the_map_is_flat_the_spread_of_scores_moves_nothing() -> None:
    ends_apart = CalibrationMap(
        method="four_parameter_logistic", slope=2.0, intercept=0.0, floor=0.1, ceiling=0.8
    )
    model = IntervalModel(
        level=0.9, n_members=3, typical_score_variance=0.3, typical_df=5.0,
        mean_score_variance=0.3, knots=(0.0,), map_sd=(0.0,),
    )  # fmt: skip
    calibrator = Calibrator(task="t", map=ends_apart, interval=model, n_cases=300, n_events=90)
    members = np.array([[-0.5, 0.0, 0.5], [-9.5, -9.0, -8.5]]).T
    steep, flat = np.diff(logit(ends(calibrator, members)), axis=1).ravel()
    assert steep > 1.0
    assert flat < 0.01


def test_what_is_absent_widens() -> None:
    _, labels, members = world(1000, error=0.2, seed=5)
    blind = members.mean(0) + np.random.default_rng(6).normal(0, 2.0, members.shape[1])
    calibrator = fitted(members, labels, blind)
    known, unknown = (
        ends(calibrator, members[:, :50], present) for present in (MODALITIES, WITHOUT_IMAGE)
    )
    assert ((unknown[:, 1] - unknown[:, 0]) > (known[:, 1] - known[:, 0])).all()
    # Of cases with the image alone no calibration case tells anything, so they get the widest.
    alone = ends(calibrator, members[:, :50], ("image",))
    assert ((alone[:, 1] - alone[:, 0]) > (known[:, 1] - known[:, 0])).all()


def test_a_sites_own_map_stretches_the_interval_and_adds_its_own_doubt() -> None:
    _, labels, members = world(1000, error=0.3, seed=7)
    before = fitted(members, labels, members.mean(0))

    def moved(slope: float, sd: float) -> float:
        site = moved_by(slope=slope, intercept_sd=sd)
        after = before.model_copy(update={"recalibration": site})
        low, high = interval(after, np.array([0.1, 0.2, 0.3, 0.4]), MODALITIES) or (0.0, 0.0)
        return float(np.log(high / (1 - high)) - np.log(low / (1 - low)))

    assert moved(2.0, 0.0) == pytest.approx(2 * moved(1.0, 0.0))
    assert moved(1.0, 0.5) > moved(1.0, 0.0)


def test_at_low_risk_the_interval_counts_how_uncertain_the_sites_slope_is() -> None:
    _, labels, members = world(1000, error=0.3, seed=7)
    before = fitted(members, labels, members.mean(0))
    sites = (
        moved_by(intercept_sd=0.2),
        moved_by(intercept_sd=0.2, slope_sd=0.1, covariance=0.015),
    )
    case = np.array([-4.2, -4.1, -4.0, -3.9])
    x = float(to_log_odds(before, case.mean()))
    halves = []
    for site in sites:
        after = before.model_copy(update={"recalibration": site})
        low, high = logit(ends(after, case[:, None])[0])
        halves.append((high - low) / 2)
    fit = before.interval
    assert fit is not None
    times = student.ppf((1 + fit.level) / 2, N_MEMBERS - 1 + fit.typical_df)
    # Var(slope x + intercept) = Var(intercept) + 2 x Cov + x^2 Var(slope).
    added = (halves[1] ** 2 - halves[0] ** 2) / times**2
    assert x < -3.0
    assert added == pytest.approx(2 * x * 0.015 + x**2 * 0.1**2)


def test_two_networks_give_no_interval() -> None:
    _, labels, members = world(500, error=0.3, seed=8, n_members=2)
    calibrator = fitted(members, labels, members.mean(0))
    assert calibrator.interval is None
    assert interval(calibrator, members[:, 0], MODALITIES) is None


def test_the_typical_variance_is_found_again() -> None:
    drawn = 0.5 * fisher.rvs(3, 10, size=40_000, random_state=0)
    variance, df = typical_variance(drawn, 3)
    assert variance == pytest.approx(0.5, rel=0.03)
    assert df == pytest.approx(10, rel=0.1)


def test_equal_variances_are_worth_many_degrees_of_freedom() -> None:
    variance, df = typical_variance(np.random.default_rng(0).chisquare(3, 5000) / 3, 3)
    assert variance == pytest.approx(1.0, rel=0.05)
    assert df > 50


def test_where_no_case_ever_has_a_table_the_others_are_whole() -> None:
    _, labels, members = world(600, error=0.3, seed=1)
    scores, nobody = members.mean(0), np.full(600, np.nan)
    hidden = {
        MODALITIES: nobody,
        ("image", "notes"): scores,
        ("image", "table"): nobody,
        ("image",): scores + np.random.default_rng(2).normal(0.0, 1.0, 600),
    }
    common = fit_calibrator("t", scores, labels.astype(np.int64), hidden)
    calibrator = with_interval(common, members, labels, hidden)
    lower, upper = ends(calibrator, members[:, :50], ("image", "notes")).T
    assert np.median(upper - lower) < 0.5
    wider = np.diff(ends(calibrator, members[:, :50], ("image",)))
    assert (wider[:, 0] > upper - lower).mean() > 0.9


def test_a_subsets_shift_turns_the_maps_own_error_too() -> None:
    shift = SubsetShift(present=WITHOUT_IMAGE, slope=2.0, intercept=0.0, n_cases=90)
    fitted = IntervalModel(
        level=0.9, n_members=N_MEMBERS, typical_score_variance=1e-9, mean_score_variance=0.0,
        typical_df=1e4, knots=(-1.0, 1.0), map_sd=(0.5, 0.5),
        absent=(AbsentSpread(present=WITHOUT_IMAGE, sd=0.0),),
    )  # fmt: skip
    calibrator = Calibrator(
        task="t", map=CalibrationMap(method="temperature"), shifts=(shift,), interval=fitted,
        n_cases=90, n_events=40,
    )  # fmt: skip
    same = np.full(N_MEMBERS, 0.2)
    widths = []
    for present in (MODALITIES, WITHOUT_IMAGE):
        found = interval(calibrator, same, present)
        assert found is not None
        widths.append(np.diff(logit(found))[0])
    assert widths[1] == pytest.approx(2.0 * widths[0], rel=1e-3)

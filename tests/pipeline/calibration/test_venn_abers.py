import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from pipeline.calibration import interval
from pipeline.calibration.fit import CANDIDATES, fit_venn_abers, ranks
from pipeline.calibration.maps import map_log_odds, to_probability
from pipeline.calibration.venn_abers import fit_range, range_of
from schemas.calibration import (
    CalibrationMap,
    Calibrator,
    IntervalModel,
    Recalibration,
    SubsetShift,
)
from tests.pipeline.calibration.drawn import drawn

OUTSIDE = np.array([-50.0, 50.0])


def refitted(logits: np.ndarray, labels: np.ndarray, x: float, outcome: float) -> float:
    """Return what isotonic regression says of one more case with this outcome."""
    line = IsotonicRegression().fit(np.append(logits, x), np.append(labels, outcome))
    return float(line.predict([x])[0])


@pytest.mark.parametrize(("n", "decimals"), [(1, 1), (2, 1), (7, 0), (40, 0), (60, 1), (90, 9)])
@pytest.mark.parametrize("seed", range(4))
def test_both_step_functions_are_those_of_a_refit_for_each_score(
    n: int, decimals: int, seed: int
) -> None:
    logits, labels, _ = drawn(n, seed=seed)
    logits = np.round(logits, decimals)  # 0 and 1: with ties
    own = np.unique(logits)
    asked = np.concatenate([own, (own[1:] + own[:-1]) / 2, OUTSIDE])
    p0, p1 = range_of(fit_range(logits, labels.astype(np.float64)), asked)
    assert p0 == pytest.approx([refitted(logits, labels, x, 0.0) for x in asked], abs=1e-12)
    assert p1 == pytest.approx([refitted(logits, labels, x, 1.0) for x in asked], abs=1e-12)


def test_a_score_that_ranks_the_wrong_way_round_is_still_what_a_refit_says() -> None:
    logits, labels = np.linspace(-2.0, 2.0, 21), (np.linspace(-2.0, 2.0, 21) < 0.3).astype(float)
    p0, p1 = range_of(fit_range(logits, labels), logits)
    assert p0 == pytest.approx([refitted(logits, labels, x, 0.0) for x in logits])
    assert p1 == pytest.approx([refitted(logits, labels, x, 1.0) for x in logits])
    assert not ranks(fit_venn_abers(logits, labels))
    assert ranks(fit_venn_abers(-logits, labels))


def test_p0_and_p1_are_merged_as_their_authors_do() -> None:
    logits, labels, _ = drawn(300)
    fitted = fit_venn_abers(logits, labels.astype(np.float64))
    asked = np.linspace(-8.0, 8.0, 400)
    assert fitted.venn_abers is not None
    p0, p1 = range_of(fitted.venn_abers, asked)
    merged = expit(map_log_odds(fitted, asked))
    assert merged == pytest.approx(p1 / (1.0 - p0 + p1))
    assert (p0 < p1).all()
    assert ((p0 <= merged) & (merged <= p1)).all()
    for rising in (p0, p1, merged):
        assert (np.diff(rising) >= 0.0).all()


def test_what_was_not_read_has_no_range() -> None:
    logits, labels, _ = drawn(50)
    fitted = fit_venn_abers(logits, labels.astype(np.float64))
    assert np.isnan(map_log_odds(fitted, [np.nan, 0.0])).tolist() == [True, False]


def test_one_map_holds_as_many_outcomes_as_it_says() -> None:
    # Validity of a Venn predictor: the mean of p0 and of p1 bracket the share of events.
    shares, lows, highs = [], [], []
    for seed in range(30):
        logits, labels, truth = drawn(600, seed=seed)
        p0, p1 = range_of(fit_range(logits[:300], labels[:300].astype(float)), logits[300:])
        shares.append(expit(truth[300:]).mean())
        lows.append(p0.mean())
        highs.append(p1.mean())
    assert np.mean(lows) < np.mean(shares) < np.mean(highs)
    # 9,000 new cases: the standard error of the gap is under a point.
    assert np.mean(highs) - np.mean(lows) < 0.1


def test_the_merged_probability_comes_close_to_the_truth_with_many_cases() -> None:
    logits, labels, truth = drawn(20_000, slope=0.5, shift=-0.7)
    fitted = fit_venn_abers(logits, labels.astype(np.float64))
    error = np.abs(expit(map_log_odds(fitted, logits)) - expit(truth))
    uncalibrated = np.abs(expit(logits) - expit(truth))
    assert error.mean() < 0.015
    assert error.mean() < uncalibrated.mean() / 5


def test_it_is_kept_small_and_comes_back_from_json_the_same() -> None:
    logits, labels, _ = drawn(3000)
    fitted = fit_venn_abers(logits, labels.astype(np.float64))
    text = fitted.model_dump_json()
    assert len(text) < 20_000
    again = CalibrationMap.model_validate_json(text)
    assert again == fitted
    asked = np.concatenate([logits, OUTSIDE])
    assert (map_log_odds(again, asked) == map_log_odds(fitted, asked)).all()


def test_a_map_of_an_earlier_bundle_still_loads() -> None:
    text = '{"method":"isotonic","slope":1.0,"intercept":0.0,"knots":[0,1],"levels":[0.2,0.7]}'
    assert CalibrationMap.model_validate_json(text).venn_abers is None
    assert Calibrator.model_validate_json(
        f'{{"task":"t","map":{text},"n_cases":9,"n_events":3}}'
    ).nested is None  # fmt: skip


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param({"method": "venn_abers"}, id="no range"),
        pytest.param({"method": "platt", "venn_abers": {
            "lower_knots": (0.0,), "lower": (0.1,), "upper_knots": (0.0,), "upper": (0.2,),
        }}, id="of another method"),
        pytest.param({"method": "venn_abers", "venn_abers": {
            "lower_knots": (0.0, 1.0), "lower": (0.1,), "upper_knots": (0.0,), "upper": (0.2,),
        }}, id="a level too few"),
        pytest.param({"method": "venn_abers", "venn_abers": {
            "lower_knots": (0.0, 1.0), "lower": (0.3, 0.1), "upper_knots": (0.0,), "upper": (0.2,),
        }}, id="falling"),
        pytest.param({"method": "venn_abers", "venn_abers": {
            "lower_knots": (0.0,), "lower": (1.0,), "upper_knots": (0.0,), "upper": (1.0,),
        }}, id="certain"),
    ],
)  # fmt: skip
def test_a_map_that_is_not_whole_is_refused(kept: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CalibrationMap.model_validate(kept)


def with_narrow_interval(fitted: CalibrationMap, **more: object) -> Calibrator:
    """Return a calibrator whose networks agree and whose map is taken for sure."""
    model = IntervalModel(
        level=0.9, n_members=3, typical_score_variance=1e-8, typical_df=100.0,
        mean_score_variance=1e-8, knots=(0.0,), map_sd=(0.0,),
        absent=({"present": ("image",), "sd": 0.0},),
    )  # fmt: skip
    return Calibrator(task="t", map=fitted, interval=model, n_cases=300, n_events=90, **more)


def test_an_interval_holds_p0_and_p1_at_least() -> None:
    logits, labels, _ = drawn(300)
    fitted = fit_venn_abers(logits, labels.astype(np.float64))
    assert fitted.venn_abers is not None
    for score in (-50.0, -1.0, 0.3, 50.0):
        low, high = range_of(fitted.venn_abers, score)
        found = interval(
            with_narrow_interval(fitted), np.full(3, score), ("image", "notes", "table")
        )
        assert found == pytest.approx((float(low), float(high)), abs=1e-5)
    isotonic = CANDIDATES["isotonic"](logits, labels.astype(np.float64))
    narrow = interval(with_narrow_interval(isotonic), np.full(3, 0.3), ("image", "notes", "table"))
    assert narrow is not None
    assert narrow[1] - narrow[0] < 0.001


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_p0_and_p1_move_with_a_subset_and_a_site(slope: float) -> None:
    logits, labels, _ = drawn(300)
    calibrator = with_narrow_interval(
        fit_venn_abers(logits, labels.astype(np.float64)),
        shifts=(SubsetShift(present=("image",), slope=slope, intercept=-1.0, n_cases=50),),
        recalibration=Recalibration(
            slope=1.2, intercept=0.4, n_cases=99, n_events=50, intercept_sd=0.0,
            labels_sha256="0", from_bundle_sha256="0",
        ),
    )  # fmt: skip
    assert calibrator.map.venn_abers is not None
    for score in (-50.0, 0.3):
        found = interval(calibrator, np.full(3, score), ["image"])
        ends = np.clip(range_of(calibrator.map.venn_abers, score), 1e-9, 1.0)
        odds = np.log(ends) - np.log1p(-ends)
        assert found is not None
        expected = expit(1.2 * (slope * odds - 1.0) + 0.4)
        assert found == pytest.approx(expected, abs=1e-3)
        assert found[0] <= to_probability(calibrator, score, ["image"]) <= found[1]

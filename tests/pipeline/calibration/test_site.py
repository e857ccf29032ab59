import numpy as np
import pytest
from scipy.special import expit, logit

from pipeline.calibration import label_set, to_log_odds
from pipeline.calibration.site import recalibrated
from schemas.calibration import (
    CalibrationMap,
    Calibrator,
    ConformalThresholds,
    OperatingPoint,
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
OLD = Calibrator(
    task="t", map=CalibrationMap(method="temperature"), conformal=SETS, operating=POINTS,
    conformal_apart=(APART,),
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
    for p in np.linspace(0.02, 0.98, 49):
        moved = float(expit(to_log_odds(new, logit(p))))
        assert label_set(new.conformal, moved) == label_set(OLD.conformal, p)
        assert label_set(new.conformal_apart[0], moved) == label_set(APART, p)


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

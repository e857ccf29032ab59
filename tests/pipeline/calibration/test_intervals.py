import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from pipeline.calibration import fit_calibrator, interval, to_probability
from pipeline.calibration.maps import MODALITIES
from pipeline.calibration.venn_abers import fit_venn_abers, merged_probability, venn_abers_range
from schemas.calibration import Recalibration
from tests.pipeline.calibration.drawn import drawn


def test_venn_abers_is_the_isotonic_fit_with_the_case_added() -> None:
    odds, labels, _ = drawn(80)
    fitted = fit_venn_abers(odds, labels)
    assert fitted is not None
    at = float(np.sort(odds)[33])
    low, high = venn_abers_range(fitted, at)
    for label, answer in ((0, low), (1, high)):
        line = IsotonicRegression().fit(np.append(odds, at), np.append(labels, label))
        assert answer == pytest.approx(float(line.predict([at])[0]))


def test_venn_abers_agrees_with_the_package_on_new_scores() -> None:
    venn_abers = pytest.importorskip("venn_abers")
    odds, labels, _ = drawn(300)
    new, _, _ = drawn(50, seed=2)
    p = 1 / (1 + np.exp(-odds))
    q = 1 / (1 + np.exp(-new))
    theirs = venn_abers.VennAbers()
    theirs.fit(np.column_stack([1 - p, p]), labels)
    merged, _ = theirs.predict_proba(np.column_stack([1 - q, q]))
    fitted = fit_venn_abers(odds, labels)
    assert fitted is not None
    # Ours holds both neighbours' answers between two knots, so it may be a step wider.
    assert np.abs(merged_probability(fitted, new) - merged[:, 1]).max() < 0.05


def test_few_cases_give_no_interval() -> None:
    assert fit_venn_abers(*drawn(49)[:2]) is None


def fitted(n: int = 600):
    logits, labels, _ = drawn(n, slope=0.6)
    noisy = logits + np.random.default_rng(5).normal(0, 1.0, n)
    hidden = {MODALITIES: logits, ("image",): noisy}
    return fit_calibrator("t", logits, labels, [MODALITIES] * n, hidden)


def test_an_interval_holds_its_probability_and_widens_with_disagreement_and_gaps() -> None:
    calibrator = fitted()
    widths = []
    for present, spread in ((MODALITIES, 0.0), (MODALITIES, 0.5), (("image",), 0.5)):
        bounds = interval(calibrator, 0.7, present, spread=spread)
        assert bounds is not None
        assert 0.0 < bounds[0] <= float(to_probability(calibrator, 0.7, present)) <= bounds[1] < 1.0
        widths.append(bounds[1] - bounds[0])
    assert widths == sorted(widths)
    assert widths[1] > 1.2 * widths[0]


def test_a_site_moves_the_interval_with_the_probability() -> None:
    site = Recalibration(
        slope=0.8, intercept=1.0, n_cases=90, n_events=50, labels_sha256="0",
        from_bundle_sha256="0",
    )  # fmt: skip
    before = fitted()
    after = before.model_copy(update={"recalibration": site})
    old, new = (interval(c, -0.5, MODALITIES, spread=0.2) for c in (before, after))
    assert old is not None
    assert new is not None
    assert new[0] > old[0]
    assert new[0] <= float(to_probability(after, -0.5)) <= new[1]

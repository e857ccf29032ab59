"""What is written here against what others wrote: crepes, venn-abers and scikit-learn."""

import numpy as np
import pytest
from crepes import WrapClassifier
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.calibration import calibration_curve
from venn_abers import VennAbers

from pipeline.calibration import label_set
from pipeline.calibration.conformal import fit_conformal
from pipeline.calibration.reliability import N_BINS, reliability
from pipeline.calibration.venn_abers import fit_range, range_of
from tests.pipeline.calibration.drawn import drawn


class Known:
    """A classifier for crepes that says the probability it is given."""

    classes_ = np.array([0, 1])

    def predict_proba(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([1.0 - p, p], axis=1)


@pytest.mark.parametrize("n", [60, 300])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_are_those_of_crepes(n: int, coverage: float) -> None:
    logits, labels, _ = drawn(n)
    p, asked = expit(logits), expit(drawn(500, seed=2)[0])
    theirs = WrapClassifier(Known())
    theirs.calibrate(p[:, None], labels, class_cond=True)
    members = theirs.predict_set(asked[:, None], confidence=coverage, smoothing=False)
    ours = fit_conformal(p, labels, coverage=coverage)
    assert ours is not None
    held = [label_set(ours, value) for value in asked]
    expected = [tuple(str(int(label)) for label in row) for row in members]
    assert held == expected
    assert any(expected)


def test_venn_abers_ranges_are_those_of_the_package() -> None:
    logits, labels, _ = drawn(200)
    asked = drawn(100, seed=2)[0]
    package = VennAbers()
    package.fit(_both(logits), labels)
    _, theirs = package.predict_proba(_both(asked))
    p0, p1 = range_of(fit_range(logits, labels.astype(np.float64)), asked)
    assert p0 == pytest.approx(theirs[:, 0], abs=1e-12)
    assert p1 == pytest.approx(theirs[:, 1], abs=1e-12)


def test_bins_are_those_of_scikit_learn() -> None:
    logits, labels, _ = drawn(1000)
    p = expit(logits)
    found = reliability(labels.astype(np.float64), p)
    assert found is not None
    observed, predicted = calibration_curve(labels, p, n_bins=N_BINS, strategy="quantile")
    assert [one.observed for one in found.bins] == pytest.approx(observed)
    assert [one.predicted for one in found.bins] == pytest.approx(predicted)
    assert found.ece == pytest.approx(np.abs(observed - predicted).mean())


def _both(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([expit(-logits), expit(logits)], axis=1)

"""A finding must be told by shape and place: no measure of brightness alone finds it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from pipeline.phantom.case import draw_case
from pipeline.phantom.patient import Design
from pipeline.phantom.scan import Scan

N_CASES = 160
BLOB_MM = 8.0
SCALP_MM = 22.0


def normalised(scan: Scan, name: str) -> NDArray[np.float32]:
    """HU from -950 up, or shares of the head's median."""
    if name == "chest_ct":
        return np.maximum(scan.array, -950.0)
    head = scan.array[scan.array > 0.3 * np.percentile(scan.array, 99)]
    return scan.array / np.float32(np.median(head))


def brightness(array: NDArray[np.float32], spacing: tuple[float, float, float]) -> list[float]:
    """The brightest voxel, percentiles, bright volumes, and the brightest smoothed spots."""
    ranks = np.percentile(array, [50, 90, 95, 98, 99, 99.5, 99.9])
    smooth = [
        float(ndimage.gaussian_filter(array, np.array([mm] * 3) / spacing).max())
        for mm in (3.0, 6.0, 9.0)
    ]
    volumes = [float((array > level).mean()) for level in (0.0, 1.2, 1.4, 1.7, 100.0)]
    return [float(array.max()), float(array.mean()), float(array.std()), *ranks, *smooth, *volumes]


def roundness(array: NDArray[np.float32], spacing: tuple[float, float, float], name: str) -> float:
    """The most that brightness falls off in every direction at once, away from the surface."""
    smooth = ndimage.gaussian_filter(array, np.array([BLOB_MM] * 3) / spacing)
    slopes = np.gradient(smooth, *spacing)
    bends = np.array([np.gradient(slope, *spacing) for slope in slopes])
    fall = -np.linalg.eigvalsh(np.moveaxis(bends, (0, 1), (-2, -1)))[..., 2]
    if name == "brain_mr":
        head = ndimage.binary_fill_holes(ndimage.binary_closing(array > 0.35, iterations=2))
        depth = ndimage.distance_transform_edt(np.pad(head, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
        fall = np.where(depth > SCALP_MM, fall, 0.0)
    return float(fall.max())


@pytest.mark.slow
def test_brightness_finds_little_and_shape_finds_much(design: Design) -> None:
    bright, round_, labels = [], [], []
    for index in range(N_CASES):
        scan = draw_case(design, index).scan
        if scan is None:
            continue
        array = normalised(scan, design.world.name)
        bright.append(brightness(array, scan.geometry.spacing_mm))
        round_.append(roundness(array, scan.geometry.spacing_mm, design.world.name))
        labels.append(scan.finding is not None)
    found = [roc_auc_score(labels, values) for values in np.array(bright).T]
    best = max(max(auroc, 1.0 - auroc) for auroc in found)
    assert best < 0.78
    assert roc_auc_score(labels, round_) > best + 0.05

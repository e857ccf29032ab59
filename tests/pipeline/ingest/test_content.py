"""What a CT shows by its values alone."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.geometry import Geometry
from pipeline.ingest import content_of, discover
from pipeline.ingest.content import Content, content
from pipeline.phantom.dicom import write_series
from tests.factories import header

SHAPE = (12, 128, 160)


def body(*, lungs: bool, blood_hu: float, noise_hu: float = 12.0) -> np.ndarray:
    """A body of soft tissue in air, with bone, and perhaps lungs; two vessels of a given HU."""
    random = np.random.default_rng(0)
    row, column = np.mgrid[:128, :160]
    image = np.full((128, 160), -1000.0)
    inside = ((row - 64) / 50) ** 2 + ((column - 80) / 70) ** 2 < 1
    image[inside] = 50.0
    if lungs:
        for middle in (52, 108):
            image[((row - 60) / 30) ** 2 + ((column - middle) / 20) ** 2 < 1] = -850.0
    for middle in (72, 88):
        image[(row - 80) ** 2 + (column - middle) ** 2 < 49] = blood_hu
    slices = np.repeat(image[None], 12, axis=0) + random.normal(0, noise_hu, SHAPE)
    bone = (row - 102) ** 2 + (column - 80) ** 2 < 64
    slices[:, bone] = 250.0 + random.normal(0, 90.0, (12, int(bone.sum())))
    return slices.astype(np.float32)


@pytest.mark.parametrize("lungs", [True, False])
@pytest.mark.parametrize(("blood_hu", "contrast"), [(250.0, True), (45.0, False)])
def test_lungs_and_contrast_are_told_from_values(
    lungs: bool, blood_hu: float, contrast: bool
) -> None:
    assert content(body(lungs=lungs, blood_hu=blood_hu)) == Content(lungs=lungs, contrast=contrast)


def test_trabecular_bone_is_not_taken_for_contrast() -> None:
    slices = body(lungs=False, blood_hu=50.0)
    assert (slices > 130).mean() > 0.005
    assert content(slices).contrast is False


def test_air_alone_says_nothing() -> None:
    assert content(np.full(SHAPE, -1000.0, np.float32)) == Content(lungs=None, contrast=None)


@pytest.mark.parametrize("tilt_mm", [0.0, 1.0])
def test_a_few_slices_of_a_series_are_read_tilted_or_not(tmp_path: Path, tilt_mm: float) -> None:
    affine = np.array([[0, 0, 2.0, 0], [tilt_mm, 2.5, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    values = np.clip(np.rint(body(lungs=True, blood_hu=250.0)), -1024, 3000).astype(np.float32)
    write_series(tmp_path, values, Geometry(affine, SHAPE), header("CT"))
    (series,) = discover(tmp_path).studies[0].series
    assert (series.resampling is not None) == (tilt_mm > 0)
    assert content_of(tmp_path, series) == Content(lungs=True, contrast=True)


def test_mr_values_are_not_asked(tmp_path: Path) -> None:
    values = np.full((4, 8, 8), 7.0, np.float32)
    write_series(tmp_path, values, Geometry(np.eye(4)[[2, 1, 0, 3]], (4, 8, 8)), header("MR"))
    (series,) = discover(tmp_path).studies[0].series
    assert content_of(tmp_path, series) is None

"""Two blobs of known size, place and side in a head of known middle."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry import Geometry
from pipeline.heatmap import Heatmap
from pipeline.regions import body_middle_mm, regions_of
from pipeline.volume import Volume
from schemas.report import HeatmapRegion
from schemas.series import FrameSource

SHAPE = (12, 60, 80)
SPACING_MM = (5.0, 2.0, 1.5)
VOXEL_ML = 0.015
HEAD_MM = 37.0
"""Where the head's middle lies; the image's lies at 50 mm."""

Array = NDArray[np.float64]


def turned(degrees: float) -> Array:
    """Columns to the left, rows to the back, slices to the head, turned about the last two."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    axes: Array = (about_y @ about_z @ np.eye(3))[:, ::-1] * SPACING_MM
    return axes


UPRIGHT = np.eye(3)[:, ::-1] * np.array(SPACING_MM)
# Columns to the right and slices to the feet; and rows to the front and slices to the feet.
FLIPPED = UPRIGHT * np.array([-1.0, 1.0, -1.0])
PRONE = UPRIGHT * np.array([-1.0, -1.0, 1.0])
GRIDS = {"upright": UPRIGHT, "flipped": FLIPPED, "prone": PRONE, "oblique": turned(20.0)}


def grid(axes: Array) -> Geometry:
    """The same middle, 50 mm to the left of the scanner's origin, whatever the axes."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = np.array([50.0, 0.0, 0.0]) - axes @ ((np.array(SHAPE) - 1) / 2)
    return Geometry(affine, SHAPE)


def places(geometry: Geometry) -> Array:
    axes = [np.arange(size) for size in geometry.shape]
    return geometry.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))


def head(geometry: Geometry, *, radius_mm: float = 40.0) -> Volume:
    away = np.linalg.norm(places(geometry)[..., :2] - [HEAD_MM, 0.0], axis=-1)
    array = np.where(away <= radius_mm, 100.0, 0.0).astype(np.float32)
    sources = tuple(
        FrameSource(file=f"{n}.dcm", sop_instance_uid=f"1.2.{n}", frame=n + 1)
        for n in range(SHAPE[0])
    )
    return Volume(array, geometry, "scanner", "1.2", sources)


def cube(array: Array, start: tuple[int, int, int], size: int, value: float) -> None:
    where = tuple(slice(one, one + size) for one in start)
    array[where] = value


def mapped(geometry: Geometry, *, faint: float = 0.0) -> Heatmap:
    """Blobs of 27 voxels of 1.0 with a peak of 1.5, and 64 of 0.8; all other evidence is faint."""
    array = np.full(SHAPE, faint)
    cube(array, (2, 20, 10), 3, 1.0)
    array[3, 21, 11] = 1.5
    cube(array, (6, 30, 60), 4, 0.8)
    array[0] = np.nan
    array[-1, :10] = -3.0
    return Heatmap(array.astype(np.float32), geometry, "mass")


def found(name: str) -> tuple[HeatmapRegion, ...]:
    geometry = grid(GRIDS[name])
    return regions_of(mapped(geometry), head(geometry))


@pytest.mark.parametrize("name", GRIDS)
def test_regions_come_by_what_they_hold_with_their_shares_and_sizes(name: str) -> None:
    most, less = found(name)
    held = 64 * 0.8, 26 + 1.5
    assert most.share == pytest.approx(held[0] / sum(held), rel=1e-5)
    assert less.share == pytest.approx(held[1] / sum(held), rel=1e-5)
    assert (most.volume_ml, less.volume_ml) == pytest.approx((64 * VOXEL_ML, 27 * VOXEL_ML))


@pytest.mark.parametrize("name", GRIDS)
def test_a_peak_is_where_its_region_is_largest_and_names_its_slice(name: str) -> None:
    _, less = found(name)
    assert less.index == (3, 21, 11)
    assert less.position_mm == pytest.approx(grid(GRIDS[name]).to_mm((3, 21, 11)), abs=1e-3)
    assert (less.sop_instance_uid, less.frame) == ("1.2.3", 4)
    assert not less.is_resampled


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("upright", ("left", "right")),
        ("flipped", ("right", "left")),
        ("prone", ("left", "right")),
        ("oblique", ("left", "right")),
    ],
)
def test_the_side_is_the_patients_whichever_way_the_columns_run(
    name: str, sides: tuple[str, str]
) -> None:
    assert tuple(region.side for region in found(name)) == sides


@pytest.mark.parametrize(
    ("column", "side"), [(31, "midline"), (36, "midline"), (39, "left"), (22, "right")]
)
def test_the_side_is_from_the_heads_middle_and_not_the_images(column: int, side: str) -> None:
    geometry = grid(UPRIGHT)
    array = np.zeros(SHAPE, np.float32)
    array[5, 30, column] = 1.0
    # A column is 1.5 mm wide, the head's middle at column 30.8, the image's at 39.5.
    (region,) = regions_of(Heatmap(array, geometry, "mass"), head(geometry))
    assert region.side == side


@pytest.mark.parametrize("name", GRIDS)
def test_the_middle_halves_the_head(name: str) -> None:
    assert body_middle_mm(head(grid(GRIDS[name]), radius_mm=25.0)) == pytest.approx(37.0, abs=1.0)


def test_of_ct_air_is_no_body_and_without_any_body_the_images_middle_counts() -> None:
    seen = head(grid(UPRIGHT))
    lung = replace(seen, array=np.where(seen.array > 0, 40.0, -1000.0).astype(np.float32))
    assert body_middle_mm(replace(lung, unit="HU")) == pytest.approx(HEAD_MM, abs=1.0)
    assert body_middle_mm(replace(seen, array=np.zeros_like(seen.array))) == pytest.approx(50.0)


def test_a_large_volume_is_looked_at_in_steps() -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ::-1]
    affine[:3, 3] = [50.0 - 149.5, 0.0, 0.0]
    array = np.zeros((16, 300, 300), np.float32)
    array[:, :, 100:180] = 1.0
    sources = (FrameSource(file="0.dcm", sop_instance_uid="1.2"),) * 16
    large = Volume(array, Geometry(affine, array.shape), "scanner", "1.2", sources)
    assert body_middle_mm(large) == pytest.approx(139.5 - 99.5, abs=1.0)


def test_of_many_regions_the_three_that_hold_most_are_given() -> None:
    geometry = grid(UPRIGHT)
    array = np.zeros(SHAPE)
    for number in range(5):
        cube(array, (1, 10 * number, 5), number + 1, 1.0)
    kept = regions_of(Heatmap(array.astype(np.float32), geometry, "mass"), head(geometry))
    assert [region.volume_ml for region in kept] == pytest.approx(
        [n**3 * VOXEL_ML for n in (5, 4, 3)]
    )
    assert sum(region.share for region in kept) == pytest.approx(216 / 225)


def test_what_is_faint_everywhere_counts_for_shares_and_not_for_regions() -> None:
    geometry = grid(UPRIGHT)
    most, less = regions_of(mapped(geometry, faint=0.1), head(geometry))
    assert most.volume_ml == pytest.approx(64 * VOXEL_ML)
    assert most.share + less.share < 0.05


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan])
def test_where_nothing_is_positive_there_is_no_region(level: float) -> None:
    geometry = grid(UPRIGHT)
    nothing = Heatmap(np.full(SHAPE, level, np.float32), geometry, "mass")
    assert regions_of(nothing, head(geometry)) == ()

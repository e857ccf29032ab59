"""Whatever the grid, the voxels lie where the headers say, or the series is refused."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipeline.geometry import Geometry
from pipeline.ingest import discover, load_volume
from pipeline.ingest.admit import admitted
from schemas.issue import IssueCode
from schemas.series_rule import SeriesRule
from tests.series_factory.slices import Slices, field, moved, normal_of, save, slices_of
from tests.series_factory.trial import all_series, ingest, is_true

SIZES = st.tuples(st.integers(4, 9), st.integers(3, 12), st.integers(3, 12))
SPACINGS = st.tuples(st.floats(0.5, 6.0), st.floats(0.4, 2.0), st.floats(0.4, 2.0))
AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T


@st.composite
def grids(draw: st.DrawFn) -> Geometry:
    """A grid turned, spaced and sized at random."""
    turn = Rotation.random(rng=np.random.default_rng(draw(st.integers(0, 2**31)))).as_matrix()
    shape = draw(SIZES)
    affine = np.eye(4)
    affine[:3, :3] = turn @ AXIAL * draw(SPACINGS)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-20.0, 20.0)] * 3))
    return Geometry(affine, shape)


def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def jitter(random: np.random.Generator, n: int, bound_mm: float) -> NDArray[np.float64]:
    way = random.normal(size=(n, 3))
    return way / np.linalg.norm(way, axis=1, keepdims=True) * random.uniform(0, bound_mm, (n, 1))


@settings(max_examples=40, deadline=None)
@given(grid=grids(), seed=st.integers(0, 2**31))
def test_a_series_on_any_grid_in_any_order_is_read_where_it_lies(grid: Geometry, seed: int) -> None:
    slices = slices_of(grid)
    # The fit moves by less than the jitter, so that 0.004 mm stays within 0.01 mm of every slice.
    for one, by_mm in zip(
        slices, jitter(np.random.default_rng(seed), len(slices), 0.004), strict=True
    ):
        moved(one, by_mm)
    with folder() as place:
        outcome = ingest(slices, Path(place), seed=seed)
    assert outcome.codes == frozenset()
    assert outcome.n_slices == (grid.shape[0],)
    assert outcome.n_misplaced == 0
    found = outcome.volumes[0].geometry
    assert Geometry(found.affine, grid.shape).matches(grid, atol_mm=0.01)


@settings(max_examples=25, deadline=None)
@given(grid=grids(), data=st.data())
def test_a_slice_missing_inside_any_stack_is_refused(grid: Geometry, data: st.DataObject) -> None:
    slices = slices_of(grid)
    del slices[data.draw(st.integers(1, len(slices) - 2))]
    with folder() as place:
        outcome = ingest(slices, Path(place))
    assert outcome.n_slices == ()
    assert IssueCode.GEOMETRY_IRREGULAR in outcome.codes


@settings(max_examples=30, deadline=None)
@given(
    grid=grids(),
    tilt_deg=st.floats(1.0, 30.0),
    way_deg=st.floats(0.0, 360.0),
)
def test_any_tilt_is_undone_to_a_right_grid_with_every_voxel_in_its_place(
    grid: Geometry, tilt_deg: float, way_deg: float
) -> None:
    travel_mm = np.tan(np.radians(tilt_deg)) * grid.spacing_mm[0] * (grid.shape[0] - 1)
    assume(travel_mm > 0.15)  # up to 0.1 mm it is read as it stands
    slices = slices_of(grid)
    tilted(slices, grid, tilt_deg, way_deg)
    with folder() as place:
        outcome = ingest(slices, Path(place))
    assert outcome.codes == {IssueCode.GEOMETRY_TILTED}
    assert outcome.n_slices == (grid.shape[0],)
    assert outcome.n_misplaced == 0
    volume = outcome.volumes[0]
    axes = volume.geometry.affine[:3, :3] / np.array(volume.geometry.spacing_mm)
    assert np.abs(axes.T @ axes - np.eye(3)).max() < 1e-5
    # Every scanned voxel is inside.
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in volume.scanned_grid.shape]))
    index = volume.geometry.to_index(volume.scanned_grid.to_mm(corners.reshape(3, -1).T))
    assert (index >= -0.01).all()
    assert (index <= np.array(volume.array.shape) - 0.99).all()


@settings(max_examples=25, deadline=None)
@given(grid=grids(), gaps=st.lists(st.floats(0.6, 3.0), min_size=4, max_size=8))
def test_uneven_gaps_are_interpolated_only_within_the_protocols_bound(
    grid: Geometry, gaps: list[float]
) -> None:
    grid = Geometry(grid.affine, (len(gaps) + 1, *grid.shape[1:]))
    slices = slices_of(grid)
    depth = np.concatenate([[0.0], np.cumsum(gaps)])
    for index, one in enumerate(slices):
        moved(one, (depth[index] - index * grid.spacing_mm[0]) * normal_of(one))
    rule = SeriesRule(
        name="x", modality="CT", irregular="resample", largest_gap_mm=max(gaps) + 0.01
    )
    strict = rule.model_copy(update={"largest_gap_mm": max(gaps) - 0.01})
    with folder() as place:
        save(slices, Path(place))
        (series,) = all_series(discover(Path(place)))
        if series.is_usable:  # nearly even by chance
            return
        assert not admitted(series, strict).is_usable
        assert not admitted(series, SeriesRule(name="x", modality="CT")).is_usable
        volume = load_volume(Path(place), admitted(series, rule))
    assert is_true(volume)
    ends = volume.geometry.to_mm([(0, 0, 0), (volume.array.shape[0] - 1, 0, 0)])
    scanned = [np.array(one.ImagePositionPatient, float) for one in (slices[0], slices[-1])]
    assert np.abs(ends - scanned).max() < 0.01
    assert np.abs(field(ends[0]) - volume.array[0, 0, 0]) < 0.1


def tilted(slices: Slices, grid: Geometry, tilt_deg: float, way_deg: float) -> None:
    """Shift the slices within their planes, in any direction of the plane."""
    axes = grid.affine[:3, 1:3] / np.array(grid.spacing_mm[1:])
    way = axes @ [np.cos(np.radians(way_deg)), np.sin(np.radians(way_deg))]
    step = grid.spacing_mm[0] * np.tan(np.radians(tilt_deg))
    for index, one in enumerate(slices):
        moved(one, index * step * way)

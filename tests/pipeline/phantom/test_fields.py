import numpy as np
import pytest

from pipeline.geometry import Geometry
from pipeline.phantom.fields import smooth_field, soft_blob, tubes

SPACING = np.array([4.0, 3.0, 2.0])


@pytest.fixture
def geometry() -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * SPACING
    return Geometry(affine, (20, 30, 40))


def test_a_smooth_field_has_unit_variance_at_every_voxel(geometry: Geometry) -> None:
    rng = np.random.default_rng(0)
    fields = np.array([smooth_field(rng, geometry, scale_mm=12.0) for _ in range(200)])
    assert fields.std(axis=0).mean() == pytest.approx(1.0, abs=0.03)
    assert abs(fields.mean()) < 0.03


def test_a_blob_has_its_radius_and_its_place(geometry: Geometry) -> None:
    centre = geometry.centre_mm + np.array([1.0, -2.0, 3.0])
    blob = soft_blob(np.random.default_rng(1), geometry, centre, 10.0)
    inside = blob >= 0.5
    volume_mm3 = inside.sum() * SPACING.prod()
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 10.0**3, rel=0.35)
    assert np.linalg.norm(geometry.to_mm(np.argwhere(inside)).mean(axis=0) - centre) < 3.0


def test_a_thin_tube_keeps_its_volume(geometry: Geometry) -> None:
    path = np.array([10.0, 40.0, 10.0]) + np.outer(np.arange(50), [1.0, 0.0, 0.0])
    filled = tubes(geometry, path, 1.0)
    assert filled.sum() * SPACING.prod() == pytest.approx(np.pi * 50, rel=1e-5)


def test_what_leaves_the_grid_is_left_out(geometry: Geometry) -> None:
    path = np.array([-500.0, 0.0, 0.0]) + np.outer(np.arange(50), [1.0, 0.0, 0.0])
    assert not tubes(geometry, path, 1.0).any()

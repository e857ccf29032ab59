import numpy as np
import pytest

from pipeline.errors import GeometryError
from pipeline.geometry import Geometry

OBLIQUE = np.array(
    [  # slices along (1,-1,1)/sqrt(3) scaled by 4, rows and columns at right angles to it
        [4 / np.sqrt(3), 0.0, 0.0, -10.0],
        [-4 / np.sqrt(3), 0.0, 0.0, 20.0],
        [4 / np.sqrt(3), 0.0, 0.0, 30.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
OBLIQUE[:3, 2] = 2.0 * np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
OBLIQUE[:3, 1] = 3.0 * np.cross([1, -1, 1], [1, 1, 0]) / np.sqrt(6)
AXIAL = np.array([[0, 0, 2.0, -10], [0, 3.0, 0, -20], [4.0, 0, 0, -30], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    "affine", [pytest.param(AXIAL, id="axial"), pytest.param(OBLIQUE, id="obl")]
)
def test_indices_go_to_mm_and_back(affine: np.ndarray) -> None:
    geometry = Geometry(affine, (5, 6, 7))
    index = np.random.default_rng(0).uniform(-3, 9, (50, 3))
    assert np.allclose(geometry.to_index(geometry.to_mm(index)), index, atol=1e-9)


def test_spacing_is_that_of_slices_rows_and_columns() -> None:
    assert Geometry(AXIAL, (5, 6, 7)).spacing_mm == (4.0, 3.0, 2.0)
    assert np.allclose(Geometry(OBLIQUE, (5, 6, 7)).spacing_mm, (4.0, 3.0, 2.0))


def test_a_voxel_has_the_volume_of_its_edges_of_a_sheared_grid_too() -> None:
    sheared = AXIAL.copy()
    sheared[:3, 0] += 0.3 * sheared[:3, 1]
    for affine in (AXIAL, OBLIQUE, sheared):
        assert Geometry(affine, (5, 6, 7)).voxel_ml == pytest.approx(0.024)


def test_the_centre_lies_between_the_corner_voxels() -> None:
    # (5-1)/2*4-30 = -22, (6-1)/2*3-20 = -12.5, (7-1)/2*2-10 = -4
    assert np.allclose(Geometry(AXIAL, (5, 6, 7)).centre_mm, [-4.0, -12.5, -22.0])


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        pytest.param(np.eye(3), "4x4", id="shape"),
        pytest.param(AXIAL * np.nan, "finite", id="nan"),
        pytest.param(AXIAL[[0, 1, 2, 2]], "last row", id="last row"),
        pytest.param(AXIAL @ np.diag([1.0, 1.0, 0.0, 1.0]), "independent", id="singular"),
        pytest.param(AXIAL @ np.diag([-1.0, 1.0, 1.0, 1.0]), "right-handed", id="left-handed"),
    ],
)
def test_what_is_no_grid_is_refused(affine: np.ndarray, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Geometry(affine, (5, 6, 7))


def test_an_affine_cannot_be_changed_from_outside() -> None:
    affine = AXIAL.copy()
    geometry = Geometry(affine, (5, 6, 7))
    affine[0, 3] = 99.0
    assert geometry.affine[0, 3] == -10.0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 3] = 99.0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Geometry(AXIAL, (5, 6, 8), "1.2"), id="shape"),
        pytest.param(Geometry(AXIAL, (5, 6, 7), "1.3"), id="frame of reference"),
        pytest.param(Geometry(AXIAL + np.eye(4)[:, [3]] * 0, (5, 6, 7), ""), id="no frame"),
        pytest.param(Geometry(AXIAL @ np.diag([1, 1, 1.001, 1]), (5, 6, 7), "1.2"), id="spacing"),
    ],
)
def test_geometries_that_differ_do_not_match(other: Geometry) -> None:
    assert not Geometry(AXIAL, (5, 6, 7), "1.2").matches(other)


def test_a_geometry_matches_itself_within_a_micrometre() -> None:
    moved = AXIAL.copy()
    moved[0, 3] += 1e-4
    assert Geometry(AXIAL, (5, 6, 7), "1.2").matches(Geometry(moved, (5, 6, 7), "1.2"))

import numpy as np
import pytest
from report_examples import AXIAL, PEAK, SHAPE, geometry

from pipeline.report.orientation import Letters, edge_letters, planes, turned_degrees

SAGITTAL = np.array([[2.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
"""Slices to the left, rows to the feet, columns to the back."""
CORONAL = np.array([[0, 0, 1.0, 0], [3.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
"""Slices to the back, rows to the feet, columns to the left."""
CORONAL[1, 0] = 3.0
FEET_FIRST = np.array([[0, 0, -2.0, 0], [0, 1.0, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
"""Slices to the feet, rows to the back, columns to the right."""
PRONE = np.array([[0, 0, -2.0, 0], [0, -1.0, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
"""Slices to the head, rows to the front, columns to the right."""

EXPECTED = {
    "axial": Letters(left="R", right="L", top="A", bottom="P"),
    "coronal": Letters(left="R", right="L", top="H", bottom="F"),
    "sagittal": Letters(left="A", right="P", top="H", bottom="F"),
}


def turned(affine, degrees, axis):
    """Turn a grid about one of the patient's axes."""
    angle = np.radians(degrees)
    first, second = [other for other in range(3) if other != axis]
    rotation = np.eye(4)
    rotation[[first, second], [first, second]] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation @ affine


def right_handed(affine):
    affine = affine.copy()
    if np.linalg.det(affine[:3, :3]) > 0:
        affine[:3, 0] *= -1
    return affine


ALL = [
    pytest.param(AXIAL, 0, id="axial"),
    pytest.param(right_handed(SAGITTAL), 0, id="sagittal"),
    pytest.param(right_handed(CORONAL), 0, id="coronal"),
    pytest.param(right_handed(FEET_FIRST), 0, id="slices to the feet, columns to the right"),
    pytest.param(right_handed(PRONE), 0, id="rows and columns flipped"),
    pytest.param(turned(AXIAL, 20, axis=0), 20, id="tilted head"),
    pytest.param(turned(AXIAL, -20, axis=2), 20, id="turned head"),
]


@pytest.mark.parametrize(("affine", "degrees"), ALL)
def test_the_patients_right_is_on_the_left_however_the_grid_lies(affine, degrees):
    grid = geometry(affine)
    assert {plane.name: plane.letters for plane in planes(grid)} == EXPECTED
    assert turned_degrees(grid) == pytest.approx(degrees, abs=1e-4)


@pytest.mark.parametrize(("affine", "degrees"), ALL)
def test_pixels_follow_the_letters(affine, degrees):
    grid = geometry(affine)
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    left, posterior, head = np.moveaxis(grid.to_mm(index), -1, 0)
    towards = {"L": left, "P": posterior, "F": -head}
    for plane in planes(grid):
        for letter, axis in ((plane.letters.right, 1), (plane.letters.bottom, 0)):
            shown = plane.cut(towards[letter], 0)
            assert (np.diff(shown, axis=axis) > 0).all()


def test_each_plane_is_named_by_the_axis_that_it_cuts():
    fixed = {plane.name: plane.fixed for plane in planes(geometry(right_handed(SAGITTAL)))}
    assert fixed == {"sagittal": 0, "axial": 1, "coronal": 2}


def test_a_strongly_oblique_edge_gets_two_letters_the_dominant_first():
    assert edge_letters(np.array([0.8, -0.6, 0.0])) == "LA"
    assert edge_letters(np.array([-0.6, 0.0, -0.8])) == "FR"


def test_a_slightly_oblique_edge_gets_its_dominant_letter():
    assert edge_letters(np.array([0.95, -0.31, 0.0])) == "L"


@pytest.mark.parametrize(("affine", "degrees"), ALL)
def test_a_voxel_is_placed_where_its_value_is_drawn(affine, degrees):
    array = np.zeros(SHAPE, dtype=np.float32)
    array[PEAK] = 1.0
    for plane in planes(geometry(affine)):
        shown = plane.cut(array, PEAK[plane.fixed])
        assert shown.shape == plane.size(SHAPE)
        down, right = plane.place(PEAK, SHAPE)
        assert shown[int(down * shown.shape[0]), int(right * shown.shape[1])] == 1.0


def test_pixel_spacing_is_that_of_the_shown_axes():
    spacing = {plane.name: plane.spacing_mm for plane in planes(geometry())}
    # Slices 5 mm, rows 1 mm, columns 2 mm.
    assert spacing == {"axial": (1.0, 2.0), "coronal": (5.0, 2.0), "sagittal": (5.0, 1.0)}

"""The three planes of a grid, shown as radiologists are used to, and the letters at their edges."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Geometry

SECOND_LETTER_FROM = 0.4

_POSITIVE = "LPH"
_NEGATIVE = "RAF"


@dataclass(frozen=True, slots=True)
class Letters:
    """Where the edges of a picture point to in the patient."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, slots=True)
class Plane:
    """How a cut through a grid lies in a picture.

    Parameters
    ----------
    name
        ``axial``, ``coronal`` or ``sagittal``: the nearest one, if the scan is oblique.
    fixed, down, right
        The grid axis that is constant in the picture, that runs down it, and that runs right.
    flip_down, flip_right
        Whether the axis runs up, or to the left.
    spacing_mm
        Between pixels, down and right.
    letters
        Of the four edges.
    """

    name: str
    fixed: int
    down: int
    right: int
    flip_down: bool
    flip_right: bool
    spacing_mm: tuple[float, float]
    letters: Letters

    def cut(self, array: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Return the picture at ``index`` of the fixed axis, shape (down, right)."""
        flat = np.moveaxis(array, (self.fixed, self.down, self.right), (0, 1, 2))[index]
        step_down, step_right = -1 if self.flip_down else 1, -1 if self.flip_right else 1
        turned: NDArray[np.float32] = flat[::step_down, ::step_right]
        return turned

    def size(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Return the number of voxels down and right."""
        return shape[self.down], shape[self.right]

    def size_mm(self, shape: tuple[int, int, int]) -> tuple[float, float]:
        """Return the height and width of the picture, mm."""
        n_down, n_right = self.size(shape)
        return n_down * self.spacing_mm[0], n_right * self.spacing_mm[1]

    def place(
        self, index: tuple[int, int, int], shape: tuple[int, int, int]
    ) -> tuple[float, float]:
        """Return where a voxel's centre lies, as fractions of the picture's height and width."""
        n_down, n_right = self.size(shape)
        down = (index[self.down] + 0.5) / n_down
        right = (index[self.right] + 0.5) / n_right
        return (1 - down if self.flip_down else down), (1 - right if self.flip_right else right)


def planes(geometry: Geometry) -> tuple[Plane, Plane, Plane]:
    """Return the axial, coronal and sagittal plane of a grid.

    The patient's right is on the left of axial and coronal pictures, the front is at the top of
    axial and on the left of sagittal ones, and the head is at the top of both others. The planes
    follow the grid: those of an oblique scan are named by the patient's axis that is nearest.
    """
    left, posterior, head = nearest_axes(geometry)
    return (
        _plane(geometry, "axial", fixed=head, down=(posterior, 1, 1), right=(left, 0, 1)),
        _plane(geometry, "coronal", fixed=posterior, down=(head, 2, -1), right=(left, 0, 1)),
        _plane(geometry, "sagittal", fixed=left, down=(head, 2, -1), right=(posterior, 1, 1)),
    )


def nearest_axes(geometry: Geometry) -> tuple[int, int, int]:
    """Return the grid axes that run nearest to left-right, front-back and head-foot."""
    closeness = np.abs(_directions(geometry))
    best = max(permutations(range(3)), key=lambda axes: closeness[axes, range(3)].sum())
    return best[0], best[1], best[2]


def turned_degrees(geometry: Geometry) -> float:
    """Return the largest angle between a grid axis and the patient's axis nearest to it."""
    closeness = np.abs(_directions(geometry))[nearest_axes(geometry), range(3)]
    return float(np.degrees(np.arccos(np.clip(closeness, 0.0, 1.0)).max()))


def edge_letters(direction: NDArray[np.float64]) -> str:
    """Return the letters of a direction in the patient, the dominant one first.

    Parameters
    ----------
    direction : shape (3,), unit length, LPS
        A second and third letter are given where that component is at least
        ``SECOND_LETTER_FROM``, as in Patient Orientation (0020,0020).
    """
    order = np.argsort(-np.abs(direction), kind="stable")
    kept = [axis for axis in order if abs(direction[axis]) >= SECOND_LETTER_FROM] or order[:1]
    return "".join((_POSITIVE if direction[axis] > 0 else _NEGATIVE)[axis] for axis in kept)


def _directions(geometry: Geometry) -> NDArray[np.float64]:
    """Return the unit direction of each grid axis, shape (3 grid axes, 3), LPS."""
    columns = geometry.affine[:3, :3]
    directions: NDArray[np.float64] = (columns / np.linalg.norm(columns, axis=0)).T
    return directions


def _plane(
    geometry: Geometry,
    name: str,
    *,
    fixed: int,
    down: tuple[int, int, int],
    right: tuple[int, int, int],
) -> Plane:
    """Build a plane; ``down`` and ``right`` are a grid axis, a patient's axis and its sign."""
    down_axis, down_world, down_sign = down
    right_axis, right_world, right_sign = right
    directions = _directions(geometry)
    flip_down = directions[down_axis, down_world] * down_sign < 0
    flip_right = directions[right_axis, right_world] * right_sign < 0
    to_bottom = directions[down_axis] * (-1 if flip_down else 1)
    to_right = directions[right_axis] * (-1 if flip_right else 1)
    letters = Letters(
        left=edge_letters(-to_right),
        right=edge_letters(to_right),
        top=edge_letters(-to_bottom),
        bottom=edge_letters(to_bottom),
    )
    spacing = geometry.spacing_mm
    return Plane(
        name=name,
        fixed=fixed,
        down=down_axis,
        right=right_axis,
        flip_down=bool(flip_down),
        flip_right=bool(flip_right),
        spacing_mm=(spacing[down_axis], spacing[right_axis]),
        letters=letters,
    )

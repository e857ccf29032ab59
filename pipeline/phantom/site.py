"""Where scans come from: scanners that differ in grid, orientation, scale and noise."""

import re
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.errors import UsageError
from pipeline.geometry import Geometry

# Columns: the steps along slices, rows and columns, as unit vectors in LPS.
AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SAGITTAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
CORONAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One scanner and its habits."""

    name: str
    """Station Name (0008,1010)."""
    manufacturer: str
    """Manufacturer (0008,0070)."""
    model_name: str
    """Manufacturer's Model Name (0008,1090)."""
    axes: tuple[tuple[float, float, float], ...]
    """Directions of slices, rows and columns, LPS."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows and columns."""
    tilt_degrees: float = 0.0
    """Standard deviation of the angles by which the grid is turned."""
    scale: float = 1.0
    """HU, or for MR scanner units of white matter."""
    offset: float = 0.0
    """What the scanner adds to every voxel, in units of ``scale``."""
    noise: float = 0.0
    """Standard deviation, in units of ``scale``."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A size for every scan, in place of the sites' own."""

    in_plane: int
    """Rows and columns."""
    slices: int
    """Slices."""


LARGE = Matrix(512, 300)
_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
_LEAST, _MOST = 16, 1024


def read_size(text: str) -> Matrix | None:
    """Read ``small`` (the sites' own size), ``large``, or rows and slices such as ``256x120``.

    Raises
    ------
    UsageError
        If it is none of these, or a number is not from 16 to 1024.
    """
    if text in ("small", "large"):
        return LARGE if text == "large" else None
    match = _SIZE.fullmatch(text)
    numbers = [int(part) for part in match.groups()] if match else []
    if not numbers or not all(_LEAST <= number <= _MOST for number in numbers):
        msg = (
            f"size must be small, large, or rows and slices such as 256x120, each from {_LEAST} "
            f"to {_MOST}; got {text!r}"
        )
        raise UsageError(msg)
    return Matrix(*numbers)


def place_grid(
    rng: np.random.Generator,
    site: Site,
    extent_mm: tuple[float, float, float],
    frame_of_reference_uid: str,
    matrix: Matrix | None = None,
) -> Geometry:
    """Lay a scanner's grid around the origin, a few millimetres off, as a technician would.

    Parameters
    ----------
    rng
        Draws the shift and the tilt.
    site
        The scanner.
    extent_mm
        How much to cover from right to left, front to back, foot to head.
    frame_of_reference_uid
        Of the study.
    matrix
        Slices, rows and columns; None for the site's own spacing.
    """
    turn = Rotation.from_rotvec(rng.normal(0.0, np.deg2rad(site.tilt_degrees), 3)).as_matrix()
    axes = np.array(site.axes).T
    covered = np.abs(axes.T) @ np.array(extent_mm)
    sizes = np.rint(covered / np.array(site.spacing_mm)).astype(int)
    if matrix is not None:
        sizes = np.array([matrix.slices, matrix.in_plane, matrix.in_plane])
    spacing = np.array(site.spacing_mm) if matrix is None else covered / sizes
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes * spacing
    affine[:3, 3] = rng.normal(0.0, 3.0, 3) - affine[:3, :3] @ ((sizes - 1) / 2.0)
    affine = np.round(affine, 6)
    return Geometry(affine, (int(sizes[0]), int(sizes[1]), int(sizes[2])), frame_of_reference_uid)

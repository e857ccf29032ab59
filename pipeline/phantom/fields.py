"""Random shapes on a grid: smooth fields, soft blobs, thin tubes."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.geometry import Geometry

Array = NDArray[np.float32]


def smooth_field(rng: np.random.Generator, geometry: Geometry, *, scale_mm: float) -> Array:
    """Draw a smooth random field of mean 0 and variance 1 at every voxel.

    Parameters
    ----------
    rng
        Where the randomness comes from.
    geometry
        The grid; the field varies along its axes.
    scale_mm
        Distance between the control points of a cubic spline.

    Returns
    -------
    array : shape of the geometry, float32
    """
    first, second, third = (
        _spline_weights(size, spacing / scale_mm)
        for size, spacing in zip(geometry.shape, geometry.spacing_mm, strict=True)
    )
    control = rng.standard_normal((first.shape[1], second.shape[1], third.shape[1]))
    field = np.tensordot(first, control, axes=(1, 0))
    field = np.matmul(second, field)
    smooth: Array = np.matmul(field, third.T).astype(np.float32)
    return smooth


def _spline_weights(size: int, step: float) -> NDArray[np.float64]:
    """Cubic B-spline weights, shape (size, control points), each row of length 1."""
    position = np.arange(size) * step + 1.0
    control = np.arange(int(np.ceil(position[-1])) + 3)
    distance = np.abs(position[:, None] - control[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    scaled: NDArray[np.float64] = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    return scaled


def soft_blob(
    rng: np.random.Generator, geometry: Geometry, centre_mm: NDArray[np.float64], radius_mm: float
) -> Array:
    """Draw a rounded blob with an irregular, soft border.

    Parameters
    ----------
    rng
        Where the border's irregularity comes from.
    geometry
        The grid.
    centre_mm : shape (3,), mm, LPS
    radius_mm
        Mean distance from the centre to where the blob is half as strong.

    Returns
    -------
    array : shape of the geometry, float32, 0..1
    """
    blob = np.zeros(geometry.shape, np.float32)
    box = _box_around(geometry, centre_mm, 2.0 * radius_mm + 6.0)
    part = part_of(geometry, box)
    distance = np.linalg.norm(voxel_positions(part) - centre_mm, axis=-1)
    border = radius_mm * (1.0 + 0.16 * smooth_field(rng, part, scale_mm=max(radius_mm, 6.0)))
    blob[box] = expit((border - distance) / (0.12 * radius_mm + 0.4))
    return blob


def lobed_blob(
    rng: np.random.Generator, geometry: Geometry, centre_mm: NDArray[np.float64], radius_mm: float
) -> Array:
    """Draw a lump of three to five rounded lobes around a place, as strong as their strongest.

    Parameters and result are those of ``soft_blob``; ``radius_mm`` is that of the whole, about.
    """
    blob = soft_blob(rng, geometry, centre_mm, 0.75 * radius_mm)
    for _ in range(rng.integers(2, 5)):
        towards = rng.standard_normal(3)
        lobe_mm = centre_mm + 0.6 * radius_mm * towards / np.linalg.norm(towards)
        blob = np.maximum(blob, soft_blob(rng, geometry, lobe_mm, 0.55 * radius_mm))
    return blob


def _box_around(
    geometry: Geometry, centre_mm: NDArray[np.float64], reach_mm: float
) -> tuple[slice, slice, slice]:
    centre = np.rint(geometry.to_index(centre_mm)).astype(int)
    reach = np.ceil(reach_mm / np.array(geometry.spacing_mm)).astype(int)
    low = np.clip(centre - reach, 0, np.array(geometry.shape) - 1)
    high = np.clip(centre + reach + 1, low + 1, geometry.shape)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def part_of(geometry: Geometry, box: tuple[slice, slice, slice]) -> Geometry:
    """Give the grid of a box of voxels."""
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_mm([part.start for part in box])
    sizes = [part.stop - part.start for part in box]
    return Geometry(affine, (sizes[0], sizes[1], sizes[2]), geometry.frame_of_reference_uid)


def voxel_positions(geometry: Geometry) -> NDArray[np.float64]:
    """Give the position of every voxel, shape (slices, rows, columns, 3), mm, LPS."""
    return geometry.to_mm(np.moveaxis(np.indices(geometry.shape), 0, -1))


def wander(
    rng: np.random.Generator,
    start_mm: NDArray[np.float64],
    towards: NDArray[np.float64],
    *,
    length_mm: float,
) -> NDArray[np.float64]:
    """Walk a gently bending path, shape (points, 3), mm, LPS, a point each millimetre."""
    turns = 0.12 * rng.standard_normal((max(int(length_mm), 2), 3)).cumsum(axis=0)
    steps = towards / np.linalg.norm(towards) + turns
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    path: NDArray[np.float64] = start_mm + steps.cumsum(axis=0)
    return path


def tubes(
    geometry: Geometry, path_mm: NDArray[np.float64], radius_mm: NDArray[np.float64] | float
) -> Array:
    """Draw thin tubes along paths that have a point each millimetre.

    Parameters
    ----------
    geometry
        The grid.
    path_mm : shape (points, 3), mm, LPS
        One path or several, one after the other; what lies outside the grid is left out.
    radius_mm : one for all points, or shape (points,)
        A tube thinner than a voxel fills it in part only.

    Returns
    -------
    array : shape of the geometry, float32, 0..1
        The share of each voxel that the tubes fill.
    """
    index = geometry.to_index(path_mm)
    corner = np.floor(index).astype(int)
    per_point = np.pi * np.square(radius_mm) / float(np.prod(geometry.spacing_mm))
    filled = np.zeros(geometry.shape)
    for shift in np.ndindex(2, 2, 2):
        voxel = corner + shift
        share = np.prod(1.0 - np.abs(index - voxel), axis=1) * per_point
        is_inside = ((voxel >= 0) & (voxel < geometry.shape)).all(axis=1)
        np.add.at(filled, tuple(voxel[is_inside].T), share[is_inside])
    return np.clip(filled, 0.0, 1.0).astype(np.float32)

"""One simulated scan and the finding in it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Geometry
from pipeline.phantom.anatomy import Anatomy, Canvas
from pipeline.phantom.fields import Array, lobed_blob, soft_blob
from pipeline.phantom.site import Matrix, Site, place_grid

_MAX_DRAWN = 110
_MIDLINE_MM = 4.0
_TRIES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A finding before it is drawn."""

    place_mm: NDArray[np.float64]
    """Shape (3,): where in the body of standard build, mm, LPS."""
    radius_mm: float
    """Mean radius."""

    @property
    def side(self) -> Literal["left", "right"]:
        """The patient's side; x grows to the left in LPS."""
        return "left" if self.place_mm[0] > 0 else "right"


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a scan shows, where and how large."""

    centre_mm: NDArray[np.float64]
    """Shape (3,), mm, LPS; on the same side as in the body of standard build."""
    radius_mm: float
    """Mean radius."""
    mask: NDArray[np.uint8]
    """Shape (slices, rows, columns), 1 inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Voxels of one study, as the scanner would store them."""

    array: NDArray[np.float32]
    """Shape (slices, rows, columns), HU for CT, scanner units for MR."""
    geometry: Geometry
    """The scanner's grid, mm, LPS."""
    finding: Finding | None
    """The finding, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What decides how a scan looks, beside chance and its finding."""

    site: Site
    """The scanner."""
    family: Literal["a", "b"]
    """The generator."""
    frame_of_reference_uid: str
    """Of the study."""
    matrix: Matrix | None = None
    """A size in place of the site's own."""


def draw_scan(
    rng: np.random.Generator, anatomy: Anatomy, look: Look, target: Target | None
) -> Scan:
    """Scan a body that no one has.

    Large scans are drawn on a coarser grid, interpolated slice by slice, and get their noise at
    full resolution.

    Parameters
    ----------
    rng
        Draws anatomy, decoys and noise.
    anatomy
        What is drawn.
    look
        Scanner, generator and size.
    target
        The finding; None for a scan without one.
    """
    site, family = look.site, look.family
    full = place_grid(rng, site, anatomy.extent_mm, look.frame_of_reference_uid, look.matrix)
    drawn = _drawn_grid(full)
    canvas, centre = _canvas(rng, anatomy, drawn, look, target)
    signal, blob = canvas.signal, None
    if target is not None and centre is not None:
        shape = soft_blob if family == "a" else lobed_blob
        blob = shape(rng, drawn, centre, target.radius_mm) * (canvas.host > 0)
        signal = anatomy.paint(rng, drawn, signal, blob, family)
    exposed = anatomy.expose(rng, site, drawn, signal)
    array = np.empty(full.shape, np.float32)
    for index in range(full.shape[0]):
        noise = site.noise * site.scale
        array[index] = anatomy.add_noise(rng, noise, _slice(exposed, index, full))
    if target is None or centre is None or blob is None:
        return Scan(array, full, None)
    mask = np.stack([_slice(blob, index, full) >= 0.5 for index in range(full.shape[0])])
    return Scan(array, full, Finding(centre, target.radius_mm, mask.astype(np.uint8)))


def _drawn_grid(full: Geometry) -> Geometry:
    """Cover the same box with at most so many voxels along each axis."""
    if max(full.shape) <= _MAX_DRAWN:
        return full
    shape = np.minimum(full.shape, _MAX_DRAWN)
    ratio = (np.array(full.shape) - 1.0) / (shape - 1.0)
    affine = full.affine.copy()
    affine[:3, :3] *= ratio
    return Geometry(
        affine, (int(shape[0]), int(shape[1]), int(shape[2])), full.frame_of_reference_uid
    )


def _canvas(
    rng: np.random.Generator,
    anatomy: Anatomy,
    grid: Geometry,
    look: Look,
    target: Target | None,
) -> tuple[Canvas, NDArray[np.float64] | None]:
    """Draw bodies until the finding's side on the scanner's axes is its side in the body."""
    for _ in range(_TRIES):
        canvas = anatomy.draw(rng, grid, look.family)
        if target is None:
            return canvas, None
        centre = _position_of(canvas, grid, target.place_mm)
        if centre[0] * np.sign(target.place_mm[0]) > _MIDLINE_MM:
            return canvas, centre
    msg = "no body was drawn with the finding on its side: its place is too near the midline"
    raise ValueError(msg)


def _position_of(
    canvas: Canvas, grid: Geometry, place_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find where on the scanner's axes a place of the body is, to a fraction of a voxel."""
    away = np.square(canvas.atlas_mm - place_mm).sum(axis=-1)
    nearest = np.unravel_index(int(away.argmin()), away.shape)
    rest = place_mm - canvas.atlas_mm[nearest]
    position: NDArray[np.float64] = grid.to_mm(np.array(nearest, dtype=np.float64)) + rest
    return position


def _slice(drawn: Array, index: int, full: Geometry) -> Array:
    """Interpolate one slice of the full grid, linearly along each axis."""
    if drawn.shape == full.shape:
        whole: Array = drawn[index]
        return whole
    weights = [_between(size, drawn.shape[axis]) for axis, size in enumerate(full.shape)]
    (low, share), (rows, row_share), (columns, column_share) = weights
    plane = drawn[low[index]] + share[index] * (drawn[low[index] + 1] - drawn[low[index]])
    plane = plane[rows] + row_share[:, None] * (plane[rows + 1] - plane[rows])
    beside: Array = plane[:, columns + 1] - plane[:, columns]
    finished: Array = (plane[:, columns] + column_share * beside).astype(np.float32)
    return finished


def _between(size: int, drawn: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    position = np.linspace(0.0, drawn - 1.0, size)
    low = np.minimum(position.astype(np.intp), drawn - 2)
    return low, (position - low).astype(np.float32)

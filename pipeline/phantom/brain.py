"""Simulated contrast-enhanced T1 MR of the head, on the anatomy of the MNI152 template."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from nilearn import datasets
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline.geometry import Geometry
from pipeline.phantom.anatomy import Anatomy, Canvas
from pipeline.phantom.fields import Array, smooth_field, soft_blob, tubes, voxel_positions, wander
from pipeline.phantom.site import AXIAL, CORONAL, SAGITTAL, Site

_STEP_MM = 2
_PAD = 14
_CLOSING_MM = 22.0
_CENTRE_RAS_MM = np.array([0.0, -18.0, 6.0])
_RAS = np.array([-1.0, -1.0, 1.0])

Family = Literal["a", "b"]


def _site(
    name: str,
    axes: tuple[tuple[float, float, float], ...],
    spacing_mm: tuple[float, float, float],
    **habits: float,
) -> Site:
    """Name a scanner; all tilt a little, and one that is not axial is a 3T."""
    field = "1.5T" if axes is AXIAL else "3T"
    return Site(
        name=name,
        manufacturer=f"Synopt {name.title()}",
        model_name=f"Phantom {field}",
        axes=axes,
        spacing_mm=spacing_mm,
        **{"tilt_degrees": 1.5, **habits},
    )


BRAIN_SITES: Mapping[Family, tuple[Site, ...]] = {
    "a": (
        _site("NORTH", AXIAL, (4.0, 3.4, 3.0), scale=900.0, noise=0.03),
        _site("EAST", SAGITTAL, (2.8, 3.2, 3.8), scale=420.0, noise=0.02, offset=0.06),
        _site("SOUTH", CORONAL, (4.0, 3.5, 3.2), scale=1700.0, noise=0.035, offset=0.02),
        _site("WEST", AXIAL, (3.6, 3.6, 3.6), scale=650.0, noise=0.025, tilt_degrees=8.0),
    ),
    "b": (
        _site("ISLE", AXIAL, (4.4, 3.0, 3.0), scale=1200.0, noise=0.028, offset=0.04),
        _site("CAPE", CORONAL, (3.4, 3.8, 3.6), scale=300.0, noise=0.032),
        _site("FEN", SAGITTAL, (3.2, 3.4, 3.4), scale=2300.0, noise=0.022, tilt_degrees=5.0),
        _site("MOOR", AXIAL, (3.0, 3.8, 3.8), scale=760.0, noise=0.036, offset=0.08),
    ),
}


@dataclass(frozen=True, slots=True)
class _Style:
    """How one family of generators draws."""

    grain_mm: float
    """Scale of the tissue's texture."""
    brightness: tuple[float, float]
    """Of a lesion, in white matter's."""
    dark_core: float
    """Chance that it has one."""


_STYLES: Mapping[Family, _Style] = {
    "a": _Style(grain_mm=12.0, brightness=(1.4, 1.85), dark_core=0.4),
    "b": _Style(grain_mm=8.0, brightness=(1.35, 1.8), dark_core=0.65),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    """The head at rest; channels share one grid, (x, y, z) index along RAS, every 2 mm."""

    intensity: Array
    """Share of white matter's brightness."""
    tissue: Array
    """Share of grey and white matter, 0..1."""
    depth_mm: Array
    """Distance to the nearest voxel outside the brain."""
    origin_mm: NDArray[np.float64]
    """Position of index (0, 0, 0), RAS."""


@cache
def _template() -> _Template:
    shares = [
        _coarse(load().get_fdata(dtype=np.float32))
        for load in (
            datasets.load_mni152_template,
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
        )
    ]
    t1, grey, white = (np.pad(share, _PAD) for share in shares)
    brain = ndimage.binary_closing(t1 > 0.2, iterations=2)
    origin = datasets.load_mni152_template().affine[:3, 3] + (_STEP_MM - 1) / 2 - _PAD * _STEP_MM
    return _Template(
        intensity=_with_skull(t1, brain),
        tissue=np.clip(grey + white, 0.0, 1.0),
        depth_mm=_distance_mm(brain),
        origin_mm=origin,
    )


def _coarse(array: Array) -> Array:
    """Mean over 2x2x2 voxels of 1 mm."""
    first, second, third = (size // _STEP_MM for size in array.shape)
    cut = array[: first * _STEP_MM, : second * _STEP_MM, : third * _STEP_MM]
    blocks = cut.reshape(first, _STEP_MM, second, _STEP_MM, third, _STEP_MM)
    coarse: Array = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return coarse


def _distance_mm(inside: NDArray[np.bool_]) -> Array:
    distance: Array = ndimage.distance_transform_edt(inside).astype(np.float32) * _STEP_MM
    return distance


def _with_skull(t1: Array, brain: NDArray[np.bool_]) -> Array:
    """Lay fluid, soft tissue, skull and scalp around the brain, where the template ends."""
    gap = _distance_mm(~brain)
    hull = _distance_mm(gap <= _CLOSING_MM) > _CLOSING_MM - 2.0
    away = _distance_mm(~hull)
    layers = (hull & (gap <= 7.0), hull, away <= 5.0, away <= 11.0)
    around = np.select(layers, (0.24, 0.45, 0.10, 0.95), 0.0).astype(np.float32)
    head = np.where(brain, np.maximum(t1, 0.24), around)
    return ndimage.gaussian_filter(head, 0.6)


@cache
def _places() -> NDArray[np.float64]:
    """All voxels of brain tissue away from its surface and from the midline, mm, LPS."""
    template = _template()
    is_deep = (template.tissue > 0.9) & (template.depth_mm > 7.0)
    ras = np.argwhere(is_deep) * _STEP_MM + template.origin_mm
    places: NDArray[np.float64] = (ras * _RAS)[np.abs(ras[:, 0]) > 14.0]
    return places


def _draw(rng: np.random.Generator, geometry: Geometry, family: Family) -> Canvas:
    """Sample the template on the grid after a random turn, stretch and warp; add decoys."""
    template = _template()
    turn = Rotation.from_rotvec(rng.normal(0.0, np.deg2rad(3.0), 3)).as_matrix()
    stretch = np.diag(rng.normal(1.0, 0.035, 3))
    warp = [smooth_field(rng, geometry, scale_mm=45.0) for _ in range(3)]
    ras = (voxel_positions(geometry) * _RAS) @ (stretch @ turn).T
    ras += _CENTRE_RAS_MM + 3.0 * np.stack(warp, axis=-1)
    index = np.moveaxis((ras - template.origin_mm) / _STEP_MM, -1, 0)
    intensity = _sampled(template.intensity, index, order=1)
    tissue, depth = (
        _sampled(channel, index, order=0) for channel in (template.tissue, template.depth_mm)
    )
    intensity *= 1.0 + 0.04 * smooth_field(rng, geometry, scale_mm=_STYLES[family].grain_mm)
    intensity = _with_vessels(rng, geometry, intensity, tissue)
    intensity = _with_spots(rng, geometry, intensity, tissue, depth)
    return Canvas(intensity, ras * _RAS, (depth > 0).astype(np.float32))


def _sampled(channel: Array, index: NDArray[np.float64], *, order: Literal[0, 1]) -> Array:
    sampled: Array = ndimage.map_coordinates(channel, index, order=order, output=np.float32)
    return sampled


def _with_vessels(
    rng: np.random.Generator, geometry: Geometry, intensity: Array, tissue: Array
) -> Array:
    """Add vessels brighter than lesions: long, thin ones, and now and then a wide one."""
    within = np.argwhere(tissue > 0.3)
    radii = [*rng.uniform(0.7, 1.3, rng.integers(2, 12)), *rng.uniform(1.6, 2.6, rng.poisson(1.0))]
    for radius in radii:
        start = geometry.to_mm(within[rng.integers(len(within))])
        path = wander(rng, start, rng.standard_normal(3), length_mm=rng.uniform(35.0, 80.0))
        filled = tubes(geometry, path, radius) * (tissue > 0.05)
        intensity = intensity + filled * (rng.uniform(1.7, 2.4) - intensity)
    return intensity


def _with_spots(
    rng: np.random.Generator, geometry: Geometry, intensity: Array, tissue: Array, depth: Array
) -> Array:
    """Add what is bright and round but no lesion: outside brain tissue, or tiny inside it."""
    outside = np.argwhere((tissue < 0.05) & (intensity > 0.4))
    fluid = np.argwhere((tissue < 0.2) & (depth > 8.0))
    kinds = ((outside, rng.integers(0, 11), 17.0), (fluid, rng.integers(0, 4), 9.0))
    for places, count, largest_mm in kinds:
        for _ in range(count if len(places) else 0):
            centre = geometry.to_mm(places[rng.integers(len(places))])
            spot = soft_blob(rng, geometry, centre, rng.uniform(3.0, largest_mm)) * (1.0 - tissue)
            intensity = intensity + spot * (rng.uniform(1.7, 2.6) - intensity)
    within = np.argwhere(tissue > 0.8)
    for _ in range(rng.integers(0, 8)):
        centre = geometry.to_mm(within[rng.integers(len(within))])
        point = wander(rng, centre, rng.standard_normal(3), length_mm=3.0)
        filled = tubes(geometry, point, rng.uniform(1.0, 2.0))
        intensity = intensity + filled * (rng.uniform(1.8, 2.6) - intensity)
    return intensity


def _paint(
    rng: np.random.Generator, geometry: Geometry, signal: Array, blob: Array, family: Family
) -> Array:
    """Blend in an enhancing lesion, sometimes with a dark core."""
    style = _STYLES[family]
    has_core = rng.random() < style.dark_core
    core = np.clip(2.5 * blob - 1.5, 0.0, 1.0) * (0.35 if has_core else 0.0)
    grain = 1.0 + 0.06 * smooth_field(rng, geometry, scale_mm=7.0)
    blended: Array = signal + blob * ((rng.uniform(*style.brightness) - core) * grain - signal)
    return blended


def _expose(rng: np.random.Generator, site: Site, geometry: Geometry, signal: Array) -> Array:
    """Add the scanner's contrast, offset, scale and bias field."""
    bias = np.exp(0.12 * smooth_field(rng, geometry, scale_mm=rng.uniform(65.0, 90.0)))
    contrast = np.clip(signal, 0.0, None) ** rng.uniform(0.9, 1.2)
    exposed: Array = site.scale * rng.uniform(0.85, 1.15) * (contrast * bias + site.offset)
    return exposed.astype(np.float32)


def _add_noise(rng: np.random.Generator, noise: float, exposed: Array) -> Array:
    """Add Rician noise."""
    real, imaginary = noise * rng.standard_normal((2, *exposed.shape), dtype=np.float32)
    stored: Array = np.rint(np.hypot(exposed + real, imaginary)).astype(np.float32)
    return stored


BRAIN = Anatomy(
    source="The heads are random deformations of the MNI152 template (ICBM 2009a, as packaged by "
    "nilearn),\nwith simulated skull, scalp, vessels and lesions.",
    extent_mm=(176.0, 216.0, 178.0),
    places=_places,
    draw=_draw,
    paint=_paint,
    expose=_expose,
    add_noise=_add_noise,
)

"""Simulated contrast-enhanced T1 MR of the head, on the anatomy of the MNI152 template."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from nilearn import datasets
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline.geometry import Geometry
from pipeline.phantom.fields import Array, smooth_field, soft_blob, tubes, voxel_positions, wander
from pipeline.phantom.scan import Finding, Scan
from pipeline.phantom.site import AXIAL, CORONAL, SAGITTAL, Site, place_grid

EXTENT_MM = (176.0, 216.0, 178.0)
SITES = (
    Site(
        name="NORTH",
        manufacturer="Synopt North",
        model_name="Phantom 1.5T",
        axes=AXIAL,
        spacing_mm=(4.0, 3.4, 3.0),
        tilt_degrees=1.5,
        scale=900.0,
        noise=0.03,
    ),
    Site(
        name="EAST",
        manufacturer="Synopt East",
        model_name="Phantom 3T",
        axes=SAGITTAL,
        spacing_mm=(2.8, 3.2, 3.8),
        tilt_degrees=1.5,
        scale=420.0,
        noise=0.02,
    ),
    Site(
        name="SOUTH",
        manufacturer="Synopt South",
        model_name="Phantom 1.5T",
        axes=CORONAL,
        spacing_mm=(4.0, 3.5, 3.2),
        tilt_degrees=1.5,
        scale=1700.0,
        noise=0.035,
    ),
    Site(
        name="WEST",
        manufacturer="Synopt West",
        model_name="Phantom 3T",
        axes=AXIAL,
        spacing_mm=(3.6, 3.6, 3.6),
        tilt_degrees=8.0,
        scale=650.0,
        noise=0.025,
    ),
)
_STEP_MM = 2
_PAD = 14
_CLOSING_MM = 22.0
_CENTRE_RAS_MM = np.array([0.0, -18.0, 6.0])


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


def draw_brain_scan(
    rng: np.random.Generator, site: Site, radius_mm: float | None, frame_of_reference_uid: str
) -> Scan:
    """Scan a head that no one has.

    Parameters
    ----------
    rng
        Draws anatomy, finding, decoys and noise.
    site
        The scanner.
    radius_mm
        Of the lesion; None for a scan without one.
    frame_of_reference_uid
        Of the study.
    """
    geometry = place_grid(rng, site, EXTENT_MM, frame_of_reference_uid)
    intensity, tissue, depth = _deformed_head(rng, geometry)
    intensity *= 1.0 + 0.04 * smooth_field(rng, geometry, scale_mm=12.0)
    intensity = _with_decoys(rng, geometry, intensity, tissue)
    finding = None
    if radius_mm is not None:
        where = _choose_place(rng, geometry, tissue, depth)
        blob = soft_blob(rng, geometry, where, radius_mm) * (depth > 0)
        intensity = _with_lesion(rng, geometry, intensity, blob)
        finding = Finding(where, radius_mm, (blob >= 0.5).astype(np.uint8))
    return Scan(_acquire(rng, site, geometry, intensity), geometry, finding)


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


def _deformed_head(rng: np.random.Generator, geometry: Geometry) -> tuple[Array, Array, Array]:
    """Sample the template's channels on the grid after a random turn, stretch and warp."""
    template = _template()
    turn = Rotation.from_rotvec(rng.normal(0.0, np.deg2rad(4.0), 3)).as_matrix()
    stretch = np.diag(rng.normal(1.0, 0.035, 3))
    warp = [smooth_field(rng, geometry, scale_mm=45.0) for _ in range(3)]
    ras = (voxel_positions(geometry) * [-1.0, -1.0, 1.0]) @ (stretch @ turn).T
    ras += _CENTRE_RAS_MM + 3.0 * np.stack(warp, axis=-1)
    index = np.moveaxis((ras - template.origin_mm) / _STEP_MM, -1, 0)
    intensity, tissue, depth = (
        ndimage.map_coordinates(channel, index, order=1, output=np.float32)
        for channel in (template.intensity, template.tissue, template.depth_mm)
    )
    return intensity, tissue, depth


def _with_decoys(
    rng: np.random.Generator, geometry: Geometry, intensity: Array, tissue: Array
) -> Array:
    """Add bright vessels, and bright spots outside brain tissue."""
    within = np.argwhere(tissue > 0.3)
    for _ in range(rng.integers(4, 9)):
        start = geometry.to_mm(within[rng.integers(len(within))])
        path = wander(rng, start, rng.standard_normal(3), length_mm=rng.uniform(35.0, 80.0))
        filled = tubes(geometry, path, rng.uniform(0.7, 1.2))
        intensity = intensity + filled * (rng.uniform(1.6, 2.2) - intensity) * (tissue > 0.05)
    outside = np.argwhere((tissue < 0.05) & (intensity > 0.4))
    for _ in range(rng.integers(1, 5)):
        centre = geometry.to_mm(outside[rng.integers(len(outside))])
        spot = soft_blob(rng, geometry, centre, rng.uniform(3.0, 6.0))
        intensity = intensity + spot * (rng.uniform(1.9, 2.6) - intensity)
    return intensity


def _choose_place(
    rng: np.random.Generator, geometry: Geometry, tissue: Array, depth: Array
) -> NDArray[np.float64]:
    """Choose a place inside brain tissue, away from its surface and from the midline."""
    x_mm = voxel_positions(geometry)[..., 0]
    within = np.argwhere((tissue > 0.9) & (depth > 7.0) & (np.abs(x_mm) > 8.0))
    jitter = rng.uniform(-0.5, 0.5, 3)
    return geometry.to_mm(within[rng.integers(len(within))] + jitter)


def _with_lesion(
    rng: np.random.Generator, geometry: Geometry, intensity: Array, blob: Array
) -> Array:
    """Blend in an enhancing lesion, sometimes with a dark core."""
    brightness = rng.uniform(1.45, 2.0)
    core = np.clip(2.5 * blob - 1.5, 0.0, 1.0) * rng.choice([0.0, 0.35], p=[0.6, 0.4])
    grain = 1.0 + 0.06 * smooth_field(rng, geometry, scale_mm=7.0)
    blended: Array = intensity + blob * ((brightness - core) * grain - intensity)
    return blended


def _acquire(rng: np.random.Generator, site: Site, geometry: Geometry, intensity: Array) -> Array:
    """Add contrast, bias field and Rician noise, in the scanner's units."""
    bias = np.exp(0.12 * smooth_field(rng, geometry, scale_mm=90.0))
    signal = np.clip(intensity, 0.0, None) ** rng.uniform(0.9, 1.2) * bias
    real, imaginary = site.noise * rng.standard_normal((2, *geometry.shape), dtype=np.float32)
    scale = site.scale * rng.uniform(0.85, 1.15)
    stored: Array = np.rint(scale * np.hypot(signal + real, imaginary)).astype(np.float32)
    return stored

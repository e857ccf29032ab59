"""Simulated CT of the chest: analytic anatomy in Hounsfield units."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.geometry import Geometry
from pipeline.phantom.fields import Array, smooth_field, soft_blob, tubes, voxel_positions, wander
from pipeline.phantom.scan import Finding, Scan
from pipeline.phantom.site import AXIAL, Site, place_grid

AIR_HU, LUNG_HU, FAT_HU, MUSCLE_HU, BLOOD_HU, BONE_HU = -1000.0, -850.0, -100.0, 50.0, 42.0, 420.0
EXTENT_MM = (360.0, 270.0, 300.0)
SITES = (
    Site(
        name="HARBOUR",
        manufacturer="Synopt North",
        model_name="Phantom CT 16",
        axes=AXIAL,
        spacing_mm=(6.0, 6.0, 6.0),
        noise=22.0,
    ),
    Site(
        name="HILL",
        manufacturer="Synopt East",
        model_name="Phantom CT 64",
        axes=AXIAL,
        spacing_mm=(5.0, 6.6, 6.6),
        noise=30.0,
    ),
    Site(
        name="VALLEY",
        manufacturer="Synopt South",
        model_name="Phantom CT 16",
        axes=AXIAL,
        spacing_mm=(8.0, 5.7, 5.7),
        tilt_degrees=2.0,
        noise=16.0,
    ),
)

Positions = NDArray[np.float64]


def draw_chest_scan(
    rng: np.random.Generator, site: Site, radius_mm: float | None, frame_of_reference_uid: str
) -> Scan:
    """Scan a chest that no one has.

    Parameters
    ----------
    rng
        Draws anatomy, finding, decoys and noise.
    site
        The scanner.
    radius_mm
        Of the nodule; None for a scan without one.
    frame_of_reference_uid
        Of the study.
    """
    geometry = place_grid(rng, site, EXTENT_MM, frame_of_reference_uid)
    body = _body_coordinates(rng, geometry)
    air, hu = _lung_share(body), _body(body)
    hu = hu + air * (_lung_tissue(rng, geometry, body) - hu)
    hu = _with_mediastinum(rng, geometry, body, hu)
    hu = _with_lung_vessels(rng, geometry, hu, air)
    finding = None
    if radius_mm is not None:
        where = _choose_place(rng, geometry, air)
        blob = soft_blob(rng, geometry, where, radius_mm) * (air > 0.2)
        hu = hu + blob * (rng.uniform(-60.0, 60.0) - hu)
        finding = Finding(where, radius_mm, (blob >= 0.5).astype(np.uint8))
    noise = site.noise * rng.standard_normal(geometry.shape, dtype=np.float32)
    array = np.clip(np.rint(hu + noise), -1024.0, 3071.0).astype(np.float32)
    return Scan(array, geometry, finding)


def _body_coordinates(rng: np.random.Generator, geometry: Geometry) -> Positions:
    """Positions in a body of standard build: stretched and gently warped, mm, LPS."""
    stretch = rng.normal(1.0, [0.05, 0.05, 0.04])
    warp = [smooth_field(rng, geometry, scale_mm=110.0) for _ in range(3)]
    return voxel_positions(geometry) / stretch + 3.5 * np.stack(warp, axis=-1)


def _inside(distance_mm: NDArray[np.float64], softness_mm: float = 1.6) -> Array:
    """Share of a voxel inside a surface, from the signed distance, negative inside."""
    share: Array = expit(-distance_mm / softness_mm).astype(np.float32)
    return share


def _ellipsoid(
    body: Positions, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Array:
    reach = np.linalg.norm((body - centre) / radii, axis=-1)
    return _inside((reach - 1.0) * min(radii))


def _ring(body: Positions, width_mm: float, depth_mm: float) -> NDArray[np.float64]:
    """Signed distance, about, from an oval tube along the body's axis."""
    x, y = np.abs(body[..., 0]) / width_mm, np.abs(body[..., 1]) / depth_mm
    return ((x**2.4 + y**2.4) ** (1 / 2.4) - 1.0) * depth_mm


def _body(body: Positions) -> Array:
    """Skin, fat, muscle, ribs, breastbone and spine in air, HU."""
    x, y, z = np.moveaxis(body, -1, 0)
    hu = np.full(x.shape, AIR_HU, np.float32)
    hu += _inside(_ring(body, 165.0, 112.0)) * (FAT_HU - AIR_HU)
    hu += _inside(_ring(body, 148.0, 98.0)) * (MUSCLE_HU - FAT_HU)
    cage = _inside(np.abs(_ring(body, 136.0, 89.0)) - 4.0)
    wave = np.sin(2.0 * np.pi * (z - 0.35 * y + 0.12 * np.abs(x)) / 27.0)
    ribs = cage * expit((wave - 0.1) * 5.0) * (np.abs(x) > 14.0)
    breastbone = _inside(np.hypot(x / 18.0, (y + 88.0) / 6.0) * 6.0 - 6.0) * (z > -70.0)
    vertebra = _inside(np.hypot(x / 1.15, y - 70.0) - 17.0)
    canal = _inside(np.hypot(x, y - 93.0) - 8.0)
    arch = _inside(np.hypot(x, y - 94.0) - 13.0)
    disc = expit((np.sin(2.0 * np.pi * z / 24.0) - 0.75) * 12.0)
    for share, value in (
        (ribs, BONE_HU + 80.0),
        (breastbone, BONE_HU - 120.0),
        (arch, BONE_HU + 100.0),
        (vertebra, BONE_HU - 60.0 - 270.0 * disc),
        (canal, 30.0),
    ):
        hu += share * (value - hu)
    return hu


def _lung_share(body: Positions) -> Array:
    """Share of lung in each voxel: two lobes over the domes of the diaphragm."""
    z = body[..., 2]
    lungs = np.zeros(z.shape, np.float32)
    for side in (-1.0, 1.0):
        lobe = _ellipsoid(body, (side * 72.0, 4.0, -10.0), (53.0, 78.0, 132.0))
        across = np.hypot(body[..., 0] - side * 72.0, body[..., 1] - 4.0)
        dome = -72.0 - 0.006 * across**2 + (10.0 if side < 0 else 0.0)
        lungs = np.maximum(lungs, lobe * _inside(dome - z))
    return lungs


def _lung_tissue(rng: np.random.Generator, geometry: Geometry, body: Positions) -> Array:
    """Texture and the denser dependent part, HU."""
    texture = 22.0 * smooth_field(rng, geometry, scale_mm=16.0)
    tissue: Array = (LUNG_HU + 0.35 * body[..., 1] + texture).astype(np.float32)
    return tissue


def _with_mediastinum(
    rng: np.random.Generator, geometry: Geometry, body: Positions, hu: Array
) -> Array:
    """Add heart, great vessels and windpipe, with or without contrast medium."""
    x, y, z = np.moveaxis(body, -1, 0)
    blood = BLOOD_HU + rng.choice([0.0, 110.0], p=[0.6, 0.4])
    grain = 6.0 * smooth_field(rng, geometry, scale_mm=15.0)
    heart = _ellipsoid(body, (26.0, -28.0, -52.0), (54.0, 44.0, 50.0))
    descending = _inside(np.hypot(x - 22.0, y - 42.0) - 12.0) * _inside(z - 62.0)
    ascending = _inside(np.hypot(x + 10.0, y + 22.0) - 14.0) * _inside(np.abs(z - 25.0) - 38.0)
    arch = _inside(np.hypot(np.hypot((x - 6.0) / 0.6, (y - 10.0)) - 32.0, z - 62.0) - 12.0)
    cava = _inside(np.hypot(x + 26.0, y + 18.0) - 9.0) * _inside(-20.0 - z)
    pulmonary = _ellipsoid(body, (8.0, -2.0, 8.0), (44.0, 16.0, 13.0))
    for share in (heart, descending, ascending, arch, cava, pulmonary):
        hu = hu + share * (blood + grain - hu)
    windpipe = _inside(np.hypot(x, y - 8.0) - 8.5) * _inside(38.0 - z)
    return hu + windpipe * (AIR_HU + 30.0 - hu)


def _with_lung_vessels(
    rng: np.random.Generator, geometry: Geometry, hu: Array, air: Array
) -> Array:
    """Let vessels fan out from each hilum; cut across, they look like nodules."""
    paths, radii = [], []
    for side in np.repeat([-1.0, 1.0], 14):
        hilum = np.array([side * 34.0, 4.0, 0.0])
        outwards = rng.standard_normal(3) * [0.7, 1.0, 1.2] + [side * 0.8, 0.0, 0.0]
        path = wander(rng, hilum, outwards, length_mm=rng.uniform(60.0, 120.0))
        paths.append(path)
        radii.append(rng.uniform(1.6, 3.4) * np.linspace(1.0, 0.5, len(path)))
    filled = tubes(geometry, np.concatenate(paths), np.concatenate(radii))
    return hu + filled * (air > 0.3) * (BLOOD_HU - hu)


def _choose_place(rng: np.random.Generator, geometry: Geometry, air: Array) -> NDArray[np.float64]:
    """Choose a place in the lungs."""
    within = np.argwhere(air > 0.97)
    jitter = rng.uniform(-0.5, 0.5, 3)
    return geometry.to_mm(within[rng.integers(len(within))] + jitter)

"""Simulated CT of the chest: analytic anatomy in Hounsfield units."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.geometry import Geometry
from pipeline.phantom.anatomy import Anatomy, Canvas
from pipeline.phantom.fields import Array, smooth_field, soft_blob, tubes, voxel_positions, wander
from pipeline.phantom.site import AXIAL, Site

AIR_HU, LUNG_HU, FAT_HU, MUSCLE_HU, BLOOD_HU, BONE_HU = -1000.0, -850.0, -100.0, 50.0, 42.0, 420.0
_ATLAS_STEP_MM = 6.0

Family = Literal["a", "b"]
Positions = NDArray[np.float64]


def _site(
    name: str,
    spacing_mm: tuple[float, float, float],
    noise_hu: float,
    tilt_degrees: float = 0.0,
    *,
    offset_hu: float,
) -> Site:
    return Site(
        name=name,
        manufacturer=f"Synopt {name.title()}",
        model_name="Phantom CT",
        axes=AXIAL,
        spacing_mm=spacing_mm,
        noise=noise_hu,
        tilt_degrees=tilt_degrees,
        offset=offset_hu,
    )


CHEST_SITES: Mapping[Family, tuple[Site, ...]] = {
    "a": (
        _site("HARBOUR", (6.0, 6.0, 6.0), 22.0, offset_hu=0.0),
        _site("HILL", (5.0, 6.6, 6.6), 30.0, offset_hu=9.0),
        _site("VALLEY", (8.0, 5.7, 5.7), 16.0, 2.0, offset_hu=-7.0),
        _site("FORD", (6.8, 6.2, 6.2), 26.0, 1.0, offset_hu=14.0),
    ),
    "b": (
        _site("QUAY", (7.0, 5.8, 5.8), 24.0, offset_hu=-11.0),
        _site("RIDGE", (5.4, 6.8, 6.8), 18.0, 1.5, offset_hu=6.0),
        _site("DALE", (7.6, 6.0, 6.0), 28.0, offset_hu=12.0),
        _site("WEIR", (6.0, 6.4, 6.4), 33.0, 2.5, offset_hu=-4.0),
    ),
}
_TEXTURE_MM: Mapping[Family, float] = {"a": 16.0, "b": 10.0}
_NODULE_HU: Mapping[Family, tuple[float, float]] = {"a": (-60.0, 60.0), "b": (-90.0, 40.0)}


def _draw(rng: np.random.Generator, geometry: Geometry, family: Family) -> Canvas:
    """Draw body, lungs, heart, vessels and bones, and what looks like a nodule and is none."""
    body = _body_coordinates(rng, geometry)
    air, hu = _lung_share(body), _body(body)
    hu = hu + air * (_lung_tissue(rng, geometry, body, _TEXTURE_MM[family]) - hu)
    hu = _with_mediastinum(rng, geometry, body, hu)
    hu = _with_lung_vessels(rng, geometry, hu, air)
    hu = _with_decoys(rng, geometry, hu, air, body)
    return Canvas(hu, body, (air > 0.2).astype(np.float32))


@cache
def _places() -> Positions:
    """All places well inside the lungs, away from the midline, on a grid."""
    axes = [np.arange(-size, size, _ATLAS_STEP_MM) for size in (130.0, 90.0, 150.0)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    places: Positions = grid[(_lung_share(grid) > 0.97) & (np.abs(grid[..., 0]) > 30.0)]
    return places


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


def _lung_tissue(
    rng: np.random.Generator, geometry: Geometry, body: Positions, texture_mm: float
) -> Array:
    """Texture and the denser dependent part, HU."""
    texture = 22.0 * smooth_field(rng, geometry, scale_mm=texture_mm)
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
        radii.append(rng.uniform(1.3, 2.8) * np.linspace(1.0, 0.5, len(path)))
    filled = tubes(geometry, np.concatenate(paths), np.concatenate(radii))
    return hu + filled * (air > 0.3) * (BLOOD_HU - hu)


def _with_decoys(
    rng: np.random.Generator, geometry: Geometry, hu: Array, air: Array, body: Positions
) -> Array:
    """Add what is denser than a nodule: wide vessels, plaques on the pleura, calcified nodes."""
    within = np.argwhere(air > 0.9)
    for _ in range(rng.poisson(1.2)):
        start = geometry.to_mm(within[rng.integers(len(within))])
        path = wander(rng, start, rng.standard_normal(3), length_mm=rng.uniform(50.0, 90.0))
        filled = tubes(geometry, path, rng.uniform(3.0, 6.0)) * (air > 0.3)
        hu = hu + filled * (rng.uniform(60.0, 160.0) - hu)
    edge = np.argwhere((air > 0.02) & (air < 0.3) & (np.abs(body[..., 2]) < 110.0))
    hila = np.argwhere((air < 0.1) & (np.linalg.norm(body[..., :2], axis=-1) < 45.0))
    for places, count, radii in ((edge, 5, (4.0, 12.0)), (hila, 4, (4.0, 9.0))):
        for _ in range(rng.integers(0, count) if len(places) else 0):
            centre = geometry.to_mm(places[rng.integers(len(places))])
            spot = soft_blob(rng, geometry, centre, rng.uniform(*radii)) * (1.0 - air)
            hu = hu + spot * (rng.uniform(120.0, 700.0) - hu)
    return hu


def _paint(
    rng: np.random.Generator, geometry: Geometry, signal: Array, blob: Array, family: Family
) -> Array:
    """Blend in a solid nodule with some grain."""
    grain = 12.0 * smooth_field(rng, geometry, scale_mm=9.0)
    painted: Array = signal + blob * (rng.uniform(*_NODULE_HU[family]) + grain - signal)
    return painted


def _expose(rng: np.random.Generator, site: Site, geometry: Geometry, signal: Array) -> Array:
    """Add the small offset that a scanner's calibration leaves."""
    exposed: Array = (signal + rng.normal(site.offset, 2.0)).astype(np.float32)
    return exposed


def _add_noise(rng: np.random.Generator, noise: float, exposed: Array) -> Array:
    """Add noise, and bound as a scanner of 12 bits does."""
    noisy = exposed + noise * rng.standard_normal(exposed.shape, dtype=np.float32)
    stored: Array = np.clip(np.rint(noisy), -1024.0, 3071.0).astype(np.float32)
    return stored


CHEST = Anatomy(
    source="The chests are drawn from formulas.",
    extent_mm=(360.0, 270.0, 300.0),
    places=_places,
    draw=_draw,
    paint=_paint,
    expose=_expose,
    add_noise=_add_noise,
)

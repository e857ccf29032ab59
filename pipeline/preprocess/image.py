"""Volumes to the model's grid: resampled, scaled, and marked where nothing was scanned."""

from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.geometry import Geometry
from pipeline.tensors import ImageInput
from pipeline.volume import Volume
from schemas.grid import Grid, Intensity
from schemas.protocol import Protocol

FOREGROUND_FRACTION = 0.1
_BLUR_PER_SPACING = 0.42


def image_input(volumes: Sequence[Volume | None], protocol: Protocol) -> ImageInput:
    """Bring the series of a study onto one grid, each by its own geometry in mm.

    Parameters
    ----------
    volumes
        One for each series of the protocol, in its order, on the scanner's own grids; None where
        a series is missing. At least one is there.
    protocol
        Its ``grid`` and ``intensity`` are used.

    Returns
    -------
    ImageInput
        The grid's axes run along the patient's own (head, back, left), its centre is that of the
        first volume that is there. A missing series is not scanned anywhere.
    """
    first = next(volume for volume in volumes if volume is not None)
    grid = model_grid(first.geometry, protocol.grid)
    channels = [_channel(volume, grid, protocol) for volume in volumes]
    return ImageInput(
        voxels=torch.from_numpy(np.stack([voxels for voxels, _ in channels])),
        scanned=torch.from_numpy(np.stack([scanned for _, scanned in channels])),
        grid=grid,
    )


def _channel(
    volume: Volume | None, grid: Geometry, protocol: Protocol
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return one series on the model's grid, and where it was scanned."""
    empty = np.full(grid.shape, -1.0, dtype=np.float32)
    scanned = np.zeros(grid.shape, dtype=bool)
    if volume is not None:
        scanned = _scanned(volume.scanned_grid, grid)
    if volume is None or not scanned.any():
        return empty, scanned
    smooth = _without_aliases(volume, min(protocol.grid.spacing_mm))
    voxels = _resample(smooth, volume.geometry, grid, padding="border")
    scaled = _scale(voxels, scanned, protocol.intensity)
    return np.where(scanned, scaled, empty), scanned


def model_grid(geometry: Geometry, grid: Grid) -> Geometry:
    """Return the model's grid around the centre of a volume, mm, LPS."""
    spacing = np.array(grid.spacing_mm[::-1])
    shape = (grid.size[2], grid.size[1], grid.size[0])
    affine = np.zeros((4, 4))
    # Slices run to the head (+z), rows to the back (+y), columns to the left (+x) in LPS.
    affine[[2, 1, 0], [0, 1, 2]] = spacing
    affine[3, 3] = 1.0
    affine[:3, 3] = geometry.centre_mm - affine[:3, :3] @ ((np.array(shape) - 1.0) / 2.0)
    return Geometry(affine, shape, geometry.frame_of_reference_uid)


def _without_aliases(volume: Volume, target_mm: float) -> NDArray[np.float32]:
    """Blur along each axis that is finer than the target."""
    spacing = np.array(volume.geometry.spacing_mm)
    excess = np.sqrt(np.clip(target_mm**2 - spacing**2, 0.0, None))
    sigma = _BLUR_PER_SPACING * excess / spacing
    if not sigma.any():
        return volume.array
    blurred: NDArray[np.float32] = gaussian_filter(volume.array, sigma, truncate=3.0)
    return blurred


def _resample(
    array: NDArray[np.float32], source: Geometry, target: Geometry, *, padding: str
) -> NDArray[np.float32]:
    image = MetaTensor(torch.from_numpy(np.array(array))[None], affine=torch.from_numpy(
        np.array(source.affine)))  # fmt: skip
    resample = SpatialResample(mode="bilinear", padding_mode=padding, align_corners=True)
    moved = resample(
        image, dst_affine=torch.from_numpy(np.array(target.affine)), spatial_size=target.shape
    )
    result: NDArray[np.float32] = moved[0].numpy().astype(np.float32)
    return result


def _scanned(source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """Mark the target voxels whose centre lies inside the source's outermost voxel faces."""
    axes = [np.arange(size, dtype=np.float64) for size in target.shape]
    index = source.to_index(target.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)))
    inside = (index >= -0.5) & (index <= np.array(source.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))


def _scale(
    voxels: NDArray[np.float32], scanned: NDArray[np.bool_], intensity: Intensity
) -> NDArray[np.float32]:
    low, high = _limits(voxels[scanned], intensity)
    share = (voxels - low) / max(high - low, 1e-6)
    scaled = np.clip(share, 0.0, 1.0 + intensity.headroom) * 2.0 - 1.0
    return np.asarray(scaled, dtype=np.float32)


def _limits(inside: NDArray[np.float32], intensity: Intensity) -> tuple[float, float]:
    if intensity.kind == "window":
        return intensity.low, intensity.high
    body = inside[inside > FOREGROUND_FRACTION * np.percentile(inside, 99.5)]
    low, high = np.percentile(body if body.size else inside, [intensity.low, intensity.high])
    return float(low), float(high)

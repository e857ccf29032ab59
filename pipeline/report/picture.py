"""Voxels as pixels: grey levels, the heatmap's colours, and images that travel inside a page."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.report.words import MINUS
from pipeline.volume import Volume

LEVELS = 24
RAISES_RGB = ((255, 176, 32), (214, 30, 12))
LOWERS_RGB = ((70, 180, 255), (24, 60, 214))
MAX_ALPHA = 0.68
CLEAR_BELOW = 0.06

CENTRE = 128
VEIL = 1
HATCH = 2
_HATCH_PERIOD = 9
_HATCH_WIDTH = 2

_MAX_SAMPLE = 500_000
_LUNG_HU = (-950.0, -500.0)
_LUNG_SHARE = 0.15
_TISSUE_HU = -300.0


@dataclass(frozen=True, slots=True)
class Window:
    """The values that become black and white, and how a reader calls them."""

    low: float
    high: float
    words: str


def choose_window(volume: Volume) -> Window:
    """Choose grey levels by content.

    CT gets the lung window where at least 15 % of what lies inside the body has the density of
    lung, else the soft-tissue window. Everything else gets its own 1st to 99.5th percentile,
    background left out.
    """
    stride = max(1, round((volume.array.size / _MAX_SAMPLE) ** (1 / 3)))
    sample = volume.array[::stride, ::stride, ::stride]
    if volume.unit == "HU":
        return _ct_window(sample)
    return _mr_window(sample[np.isfinite(sample)])


def _ct_window(sample: NDArray[np.float32]) -> Window:
    inside = sample[_enclosed(sample > _TISSUE_HU)]
    is_lung = (inside > _LUNG_HU[0]) & (inside < _LUNG_HU[1])
    is_chest = inside.size > 0 and float(is_lung.mean()) >= _LUNG_SHARE
    name, centre, width = ("Lung", -600, 1500) if is_chest else ("Soft-tissue", 40, 400)
    shown = str(centre).replace("-", MINUS)
    words = f"{name} window: centre {shown} HU, width {width} HU"
    return Window(centre - width / 2, centre + width / 2, words)


def _enclosed(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say of each voxel whether tissue lies on all four sides of it in its slice."""
    return _between(tissue, axis=1) & _between(tissue, axis=2)


def _between(tissue: NDArray[np.bool_], *, axis: int) -> NDArray[np.bool_]:
    """Say of each voxel whether tissue lies both before and behind it along an axis."""
    before = np.logical_or.accumulate(tissue, axis=axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis=axis), axis)
    both: NDArray[np.bool_] = before & behind
    return both


def _mr_window(sample: NDArray[np.float32]) -> Window:
    if sample.size == 0:
        return Window(0.0, 1.0, "No finite voxel")
    inside = sample[sample > sample.min()]
    low, high = np.percentile(inside, (1.0, 99.5)) if inside.size else (sample[0], sample[0])
    high = max(float(high), float(low) + 1e-6 * max(1.0, abs(float(low))))
    return Window(
        float(low), high, f"Grey levels: {_rounded(low)} to {_rounded(high)} scanner units"
    )


def _rounded(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}".replace("-", MINUS)


def grey_pixels(
    plane: NDArray[np.float32], window: Window, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return grey levels, resized to ``size`` (height, width); not-a-number is black."""
    scaled = (plane - window.low) / (window.high - window.low)
    levels = (np.clip(np.nan_to_num(scaled), 0.0, 1.0) * 255).round().astype(np.uint8)
    return np.asarray(_resized(Image.fromarray(levels), size, Image.Resampling.BICUBIC))


def overlay_pixels(
    plane: NDArray[np.float32], limit: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return indices into :func:`palette`, resized to ``size`` (height, width).

    Parameters
    ----------
    plane : log-odds
        NaN becomes ``HATCH`` and ``VEIL``: not assessed.
    limit : log-odds
        The value that gets the strongest colour, either way.
    """
    unseen = np.isnan(plane)
    filled = np.where(unseen, 0.0, plane).astype(np.float32)
    smooth = np.asarray(_resized(Image.fromarray(filled), size, Image.Resampling.BILINEAR))
    relative = np.clip(smooth / limit, -1.0, 1.0) if limit > 0 else np.zeros(size)
    indices = (CENTRE + np.round(relative * LEVELS)).astype(np.uint8)
    mask = _resized(Image.fromarray(unseen.astype(np.uint8)), size, Image.Resampling.NEAREST)
    return np.where(np.asarray(mask) > 0, _hatching(size), indices)


def palette() -> NDArray[np.uint8]:
    """Return the overlay's colours, shape (256, 4), RGBA.

    ``CENTRE`` is zero and transparent; ``LEVELS`` further up is the strongest raise, as far down
    the strongest fall.
    """
    colours = np.zeros((256, 4), dtype=np.uint8)
    strength = np.arange(1, LEVELS + 1) / LEVELS
    alpha = MAX_ALPHA * np.sqrt(np.clip((strength - CLEAR_BELOW) / (1 - CLEAR_BELOW), 0.0, 1.0))
    for sign, (weak, strong) in ((1, RAISES_RGB), (-1, LOWERS_RGB)):
        rgb = np.outer(1 - strength, weak) + np.outer(strength, strong)
        rows = CENTRE + sign * np.arange(1, LEVELS + 1)
        colours[rows] = np.column_stack([rgb, alpha * 255]).round().astype(np.uint8)
    colours[VEIL] = (120, 124, 132, 70)
    colours[HATCH] = (176, 180, 188, 150)
    return colours


def colour_bar(width: int, height: int) -> NDArray[np.uint8]:
    """Return indices into :func:`palette` from the strongest fall, left, to the strongest raise."""
    row = np.round(np.linspace(-LEVELS, LEVELS, width)) + CENTRE
    return np.tile(row.astype(np.uint8), (height, 1))


def hatch_swatch(width: int, height: int) -> NDArray[np.uint8]:
    """Return indices into :func:`palette` of a patch that was not assessed."""
    return _hatching((height, width))


def jpeg_uri(grey: NDArray[np.uint8], *, quality: int) -> str:
    """Return grey levels as a ``data:`` address."""
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=quality, optimize=True)
    return _data_uri("image/jpeg", stream)


def png_uri(indices: NDArray[np.uint8]) -> str:
    """Return indices into :func:`palette` as a ``data:`` address of a transparent PNG."""
    colours = palette()
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette(colours[:, :3].tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=colours[:, 3].tobytes(), optimize=True)
    return _data_uri("image/png", stream)


def _hatching(size: tuple[int, int]) -> NDArray[np.uint8]:
    rows, columns = np.indices(size)
    is_line = (rows + columns) % _HATCH_PERIOD < _HATCH_WIDTH
    return np.where(is_line, np.uint8(HATCH), np.uint8(VEIL))


def _resized(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    return image.resize((size[1], size[0]), method)


def _data_uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"

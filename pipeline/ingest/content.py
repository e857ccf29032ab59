"""What a CT shows by its values, where its header does not say or may be wrong.

Both measures are rules of thumb with a gap between yes and no, in which nothing is said. They are
used to choose between series, never to refuse one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label, uniform_filter

from pipeline.errors import GeometryError, IngestError
from pipeline.ingest.load import load_volume
from schemas.series import Series

_MAX_SLICES = 9
_PIXELS = 128
"""Slices are averaged to about so many rows before they are looked at."""
_TISSUE_HU = -300.0
_AIR_HU = -500.0
_LUNGS_NO, _LUNGS_YES = 0.08, 0.15
_BLOOD_HU = (130.0, 400.0)
_SOFT_HU = (0.0, 130.0)
_EVEN_HU = 20.0
_BLOOD_NO, _BLOOD_YES = 0.004, 0.012

Slices = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Content:
    """What the values of a CT speak for; None where they do not say."""

    lungs: bool | None
    """Whether air fills a good part of the body in at least a third of the slices."""
    contrast: bool | None
    """Whether there are even regions as bright as blood with a contrast agent."""


def content_of(folder: Path, series: Series) -> Content | None:
    """Look at a few slices of a CT series; None for MR, and where they cannot be read."""
    if series.modality != "CT":
        return None
    few = _few_slices(series)
    if few is None:
        return None
    try:
        slices = load_volume(folder, few).array
    except (IngestError, GeometryError):
        return None
    return content(slices)


def content(slices: Slices) -> Content:
    """Measure slices of a CT.

    Parameters
    ----------
    slices : shape (slices, rows, columns), HU

    Returns
    -------
    Content
        ``lungs`` by the share of the body that is below -500 HU: yes from 15 %, no up to 8 %, in
        the slice at the upper third. ``contrast`` by the share of even regions (standard
        deviation of neighbours at most 20 HU) from 130 to 400 HU among those from 0 to 400 HU:
        yes from 1.2 %, no up to 0.4 %; trabecular bone is as bright but uneven.
    """
    small = _averaged(slices)
    bodies = np.stack([_body(image) for image in small])
    n_body = bodies.sum(axis=(1, 2))
    shares = ((small < _AIR_HU) & bodies).sum(axis=(1, 2)) / np.maximum(n_body, 1)
    even = bodies & (_spread(small) <= _EVEN_HU)
    n_blood = int((even & (small >= _BLOOD_HU[0]) & (small <= _BLOOD_HU[1])).sum())
    n_soft = int((even & (small >= _SOFT_HU[0]) & (small < _SOFT_HU[1])).sum())
    if not n_body.any():
        return Content(lungs=None, contrast=None)
    return Content(
        lungs=_answer(float(np.quantile(shares, 2 / 3)), _LUNGS_NO, _LUNGS_YES),
        contrast=_answer(n_blood / max(n_blood + n_soft, 1), _BLOOD_NO, _BLOOD_YES),
    )


def _answer(share: float, no: float, yes: float) -> bool | None:
    if share >= yes:
        return True
    return False if share <= no else None


def _few_slices(series: Series) -> Series | None:
    """Return evenly chosen slices as a series of their own, as scanned; None if unevenly spaced."""
    affine, n_frames = series.affine_lps, len(series.frames)
    shape = series.shape
    if series.resampling is not None:
        affine, shape = series.resampling.affine_lps, series.resampling.source_shape
        if not np.allclose(series.resampling.places, range(n_frames)):
            return None
    if affine is None or shape is None:
        return None
    stride = -(-n_frames // _MAX_SLICES)
    frames = series.frames[::stride]
    rows = tuple((row[0] * stride, row[1], row[2], row[3]) for row in affine[:3])
    return series.model_copy(
        update={
            "frames": frames,
            "shape": (len(frames), *shape[1:]),
            "affine_lps": (*rows, affine[3]),
            "resampling": None,
        }
    )


def _averaged(slices: Slices) -> Slices:
    """Average blocks of voxels within each slice."""
    block = max(min(slices.shape[1:]) // _PIXELS, 1)
    rows, columns = (size // block * block for size in slices.shape[1:])
    blocks = slices[:, :rows, :columns].reshape(
        len(slices), rows // block, block, columns // block, block
    )
    small: Slices = blocks.mean(axis=(2, 4))
    return small


def _body(image: Slices) -> NDArray[np.bool_]:
    """Mark the largest piece of tissue in a slice and what it encloses."""
    pieces, n_pieces = label(image > _TISSUE_HU)
    if not n_pieces:
        return np.zeros(image.shape, dtype=bool)
    largest = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    filled: NDArray[np.bool_] = binary_fill_holes(pieces == largest)
    return filled


def _spread(slices: Slices) -> Slices:
    """Return the standard deviation of each voxel's 3x3 neighbours in its slice."""
    size = (1, 3, 3)
    values = slices.astype(np.float64)
    mean = uniform_filter(values, size)
    variance = uniform_filter(values**2, size) - mean**2
    spread: Slices = np.sqrt(np.clip(variance, 0, None)).astype(np.float32)
    return spread

"""Where a heatmap says that the image raised the risk: regions, as a report lists them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from pipeline.heatmap import Heatmap
from pipeline.volume import Volume
from schemas.report import HeatmapRegion

SHARE_OF_PEAK = 0.5
"""Voxels of at least this share of the map's largest value belong to a region."""
MOST = 3
MIDLINE_MM = 10.0
"""A region this close to the middle has no side: what maps are drawn from is about as wide."""
_BODY_HU = -300.0
_BODY_SHARE = 0.1
_SAMPLED = 1_000_000

Array = NDArray[np.float64]


def regions_of(heatmap: Heatmap, volume: Volume) -> tuple[HeatmapRegion, ...]:
    """Return the regions that hold most of what raised the risk, most first, ``MOST`` at most.

    A region is what is connected, face to face, of the voxels that reach ``SHARE_OF_PEAK`` of the
    map's largest value.

    Parameters
    ----------
    heatmap
        Without infinite values.
    volume
        On the same grid.

    Returns
    -------
    tuple
        Empty if nothing is positive.
    """
    positive = np.maximum(np.nan_to_num(heatmap.array, nan=0.0), 0.0)
    peak = float(positive.max())
    if not peak > 0.0:
        return ()
    labels = label(positive >= SHARE_OF_PEAK * peak)[0]
    indices, owners = np.argwhere(labels), labels[labels > 0] - 1
    values = positive[labels > 0].astype(np.float64)
    total, middle_mm = float(positive.sum(dtype=np.float64)), body_middle_mm(volume)
    order = np.argsort(-np.bincount(owners, weights=values), kind="stable")[:MOST]
    return tuple(
        _region(indices[owners == number], values[owners == number], total, volume, middle_mm)
        for number in order
    )


def body_middle_mm(volume: Volume) -> float:
    """Return where the patient's middle lies from right to left, mm, LPS.

    It is the plane that halves the scanned head or body: of CT the voxels above -300 HU, else those
    above a tenth of the brightest. Where there are none, it is the image's centre. That the patient
    lay turned or beside the scan's middle is allowed for as far as both halves were scanned.
    """
    step = max(1, round((volume.array.size / _SAMPLED) ** (1 / 3)))
    seen = volume.array[::step, ::step, ::step]
    level = _BODY_HU if volume.unit == "HU" else _BODY_SHARE * float(np.percentile(seen, 99.5))
    body = np.argwhere(seen > level) * step
    if not len(body):
        return float(volume.geometry.centre_mm[0])
    return float(np.median(volume.geometry.to_mm(body)[:, 0]))


def _region(
    indices: NDArray[np.intp], values: Array, total: float, volume: Volume, middle_mm: float
) -> HeatmapRegion:
    geometry = volume.geometry
    slice_, row, column = indices[values.argmax()].tolist()
    source = volume.sources[slice_]
    x, y, z = np.round(geometry.to_mm((slice_, row, column)), 3).tolist()
    centre_mm = geometry.to_mm(values @ indices / values.sum())
    return HeatmapRegion(
        position_mm=(x, y, z), index=(slice_, row, column),
        is_resampled=volume.scanned is not None, sop_instance_uid=source.sop_instance_uid,
        frame=source.frame, share=min(1.0, float(values.sum()) / total),
        volume_ml=len(values) * geometry.voxel_ml, side=_side(float(centre_mm[0]) - middle_mm),
    )  # fmt: skip


def _side(to_the_left_mm: float) -> Literal["left", "right", "midline"]:
    """Return the patient's own side: x grows to the left in LPS."""
    if abs(to_the_left_mm) <= MIDLINE_MM:
        return "midline"
    return "left" if to_the_left_mm > 0.0 else "right"

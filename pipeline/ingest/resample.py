"""A stack of tilted or unevenly spaced slices becomes a volume on a right, regular grid."""

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Geometry
from pipeline.ingest.proof import Proof
from pipeline.volume import Volume
from schemas.series import FrameSource, Resampling, Series

_SAME_PLACE = 1e-3

Array = NDArray[np.float32]


def volume_of(array: Array, series: Series, proof: Proof) -> Volume:
    """Put decoded slices on the grid of their series.

    Parameters
    ----------
    array : shape (frames, rows, columns)
        Slices as scanned, in the order of ``series.frames``.
    series
        Usable; with a ``resampling`` if its frames are not the volume's slices.
    proof
        Every slice of it has been checked.

    Returns
    -------
    Volume
        Of ``array`` itself, or resampled. A tilted stack is only shifted within its slices, each
        by linear interpolation; a new slice between two scanned ones is their linear mixture.

    Raises
    ------
    IngestError
        If resampled voxels do not agree with the slices that they were made of.
    """
    uid = series.frame_of_reference_uid
    made, sources, scanned = array, series.frames, None
    if series.resampling is not None:
        made = _resampled(array, series.resampling)
        proof.check_resampled(array, made, np.array(series.affine_lps))
        sources = _nearest(series.frames, series.resampling)
        shape = (series.resampling.target_shape[0], *series.resampling.source_shape[1:])
        scanned = Geometry(np.array(series.resampling.affine_lps), shape, uid)
    return Volume(
        array=made,
        geometry=Geometry(np.array(series.affine_lps), made.shape, uid),
        unit="HU" if series.modality == "CT" else "scanner",
        series_uid=series.series_uid,
        sources=sources,
        scanned=scanned,
    )


def _resampled(array: Array, resampling: Resampling) -> Array:
    made = np.full(resampling.target_shape, array.min(), dtype=np.float32)
    scanned = np.array(resampling.affine_lps)
    target = np.array(resampling.target_affine_lps)
    inverse = np.linalg.inv(scanned)
    for number in range(resampling.target_shape[0]):
        # The place, row and column of the stack that the slice's first voxel shows.
        place, row, column, _ = inverse @ target @ (number, 0.0, 0.0, 1.0)
        _put(made[number], _slice_at(array, resampling.places, place), (row, column))
    return made


def _slice_at(array: Array, places: tuple[float, ...], place: float) -> Array:
    upper = int(np.clip(np.searchsorted(places, place), 1, len(places) - 1))
    share = (place - places[upper - 1]) / (places[upper] - places[upper - 1])
    nearest = round(share)
    if abs(share - nearest) <= _SAME_PLACE:
        same: Array = array[upper - 1 + nearest]
        return same
    mixed: Array = (1 - share) * array[upper - 1] + share * array[upper]
    return mixed


def _put(target: Array, image: Array, corner: tuple[float, float]) -> None:
    """Write an image into a larger one, whose first voxel shows the place ``corner`` of it.

    Voxels whose centre lies within half a voxel of the image's outermost ones belong to it.
    """
    where = []
    for axis in (0, 1):
        place = corner[axis] + np.arange(target.shape[axis])
        inside = (place >= -0.5) & (place <= image.shape[axis] - 0.5)
        where.append(inside)
        image = _moved(image, np.clip(place[inside], 0, image.shape[axis] - 1), axis)
    target[np.ix_(*where)] = image


def _moved(image: Array, place: NDArray[np.float64], axis: int) -> Array:
    """Interpolate linearly along one axis at the given places, all inside it."""
    nearest = np.rint(place).astype(int)
    if np.abs(place - nearest).max() <= _SAME_PLACE:
        same: Array = np.take(image, nearest, axis=axis)
        return same
    lower = np.minimum(place.astype(int), image.shape[axis] - 2)
    share = np.expand_dims((place - lower).astype(np.float32), 1 - axis)
    low, high = np.take(image, lower, axis=axis), np.take(image, lower + 1, axis=axis)
    mixed: Array = low + share * (high - low)
    return mixed


def _nearest(frames: tuple[FrameSource, ...], resampling: Resampling) -> tuple[FrameSource, ...]:
    """Return the scanned slice nearest to each slice of the volume."""
    places = np.array(resampling.places)
    n_slices = resampling.target_shape[0]
    return tuple(frames[int(np.abs(places - number).argmin())] for number in range(n_slices))

"""Images small enough to compare every one with every other."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COARSE, FINE = 4, 2
"""Voxels of the model's grid along each side of a cube that is averaged."""
BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """One image on the model's grid.

    Parameters
    ----------
    sha256
        Of its voxels; equal for the same image under another UID or patient.
    coarse : shape (d,), float32
        Means over cubes of ``COARSE`` voxels a side: build and field of view.
    fine : shape (8 d,), float16
        What means over cubes of ``FINE`` voxels a side add to them: this person's own detail.
    """

    sha256: str
    coarse: NDArray[np.float32]
    fine: NDArray[np.float16]


def fingerprint_of(voxels: NDArray[np.float32]) -> Fingerprint:
    """Return the fingerprint of an image on the model's grid, whose sides are multiples of 8."""
    coarse, fine = _pooled(voxels, COARSE), _pooled(voxels, FINE)
    ratio = np.ones((COARSE // FINE,) * 3, dtype=np.float32)
    return Fingerprint(
        hashlib.sha256(np.ascontiguousarray(voxels).tobytes()).hexdigest(),
        coarse.ravel(),
        (fine - np.kron(coarse, ratio)).astype(np.float16).ravel(),
    )


def closest_pairs(
    fingerprints: Sequence[Fingerprint], group: NDArray[np.int64]
) -> Iterator[tuple[int, int, float]]:
    """Give each image's most similar one in another group.

    Likeness is the correlation of what sets two images apart from the mean of all, since what all
    heads have in common does not count; and the smaller of two, coarse and fine, since people of
    one build on one scanner are alike from afar. All pairs are compared coarsely, a block at a
    time; each image with its closest also finely.

    Parameters
    ----------
    group : shape (n,)
        Pairs within a group are not compared.

    Yields
    ------
    index, index of the closest, likeness in -1..1
    """
    coarse = _apart(np.stack([item.coarse for item in fingerprints]))
    fine_mean = np.stack([item.fine for item in fingerprints]).mean(axis=0, dtype=np.float32)
    for start in range(0, len(coarse), BLOCK):
        likeness = coarse[start : start + BLOCK] @ coarse.T
        likeness[group[start : start + BLOCK, None] == group[None, :]] = -np.inf
        for row, other in enumerate(likeness.argmax(axis=1)):
            if likeness[row, other] > -np.inf:
                both = _apart(
                    np.stack([fingerprints[start + row].fine, fingerprints[other].fine]), fine_mean
                )
                yield start + row, int(other), float(min(likeness[row, other], both[0] @ both[1]))


def _pooled(voxels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    slices, rows, columns = (size // side for size in voxels.shape)
    cubes = voxels.reshape(slices, side, rows, side, columns, side)
    means: NDArray[np.float32] = cubes.mean(axis=(1, 3, 5), dtype=np.float32)
    return means


def _apart(
    rows: NDArray[np.floating], mean: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return rows less their mean, each of length 1; of length 0 what does not differ from it."""
    apart = rows.astype(np.float32)
    apart -= apart.mean(axis=0) if mean is None else mean
    norms = np.linalg.norm(apart, axis=1, keepdims=True)
    apart /= np.where(norms > 0, norms, 1.0)
    return apart

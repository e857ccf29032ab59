"""Images small enough to compare every one with every other."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from pipeline.tensors import ImageInput

COARSE, FINE = 4, 2
"""Voxels of the model's grid along each side of a cube that is averaged."""
BLOCK = 512
BUILDS = 16
"""How many ways of being built, at most, are taken out of the detail before two are compared."""
PEOPLE_A_BUILD = 50
"""Images that each takes to be known: of fewer, one image more or less would be a way by itself."""
MOST_PEOPLE = 2000
"""From whom they are learned."""


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


def fingerprints_of(image: ImageInput) -> tuple[Fingerprint | None, ...]:
    """Return the fingerprint of each named series; None of one that was not scanned."""
    return tuple(
        fingerprint_of(voxels.numpy()) if scanned.any() else None
        for voxels, scanned in zip(image.voxels, image.scanned, strict=True)
    )


def closest_pairs(
    fingerprints: Sequence[Fingerprint], group: NDArray[np.int64]
) -> Iterator[tuple[int, int, float]]:
    """Give each image's most similar one in another group.

    Likeness is the correlation of what sets two images apart from the mean of all, since what all
    heads have in common does not count; and the smaller of two, coarse and fine, since people of
    one build on one scanner are alike from afar. Of a large cohort fine detail is compared without
    the leading principal components of the largest group: among millions of pairs some are of one
    build in every way that many people vary, down to their ribs. All pairs are compared coarsely,
    a block at a time; each image with its closest also finely.

    Parameters
    ----------
    group : shape (n,)
        Pairs within a group are not compared.

    Yields
    ------
    index, index of the closest, likeness in -1..1
    """
    coarse = _apart(np.stack([item.coarse for item in fingerprints]))
    common = _Common(np.stack([item.fine for item in fingerprints]), group)
    for start in range(0, len(coarse), BLOCK):
        likeness = coarse[start : start + BLOCK] @ coarse.T
        likeness[group[start : start + BLOCK, None] == group[None, :]] = -np.inf
        for row, other in enumerate(likeness.argmax(axis=1)):
            if likeness[row, other] > -np.inf:
                one, twin = common.out_of(fingerprints[start + row], fingerprints[other])
                yield start + row, int(other), float(min(likeness[row, other], one @ twin))


def _pooled(voxels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    slices, rows, columns = (size // side for size in voxels.shape)
    cubes = voxels.reshape(slices, side, rows, side, columns, side)
    means: NDArray[np.float32] = cubes.mean(axis=(1, 3, 5), dtype=np.float32)
    return means


class _Common:
    """What the fine detail of many people has in common: a mean, and ways of being built.

    Parameters
    ----------
    fine : shape (n, 8 d)
    group : shape (n,)
        The ways are learned from the largest alone: an image that stands in two groups counts
        there once, so that what it shares with its copy is not taken for a way of being built.
    """

    def __init__(self, fine: NDArray[np.float16], group: NDArray[np.int64]) -> None:
        self.mean = fine.mean(axis=0, dtype=np.float32)
        people = np.flatnonzero(group == np.bincount(group).argmax())
        ways = min(BUILDS, len(people) // PEOPLE_A_BUILD)
        self.ways = np.zeros((0, fine.shape[1]), np.float32)
        if ways:
            some = people[:: -(-len(people) // MOST_PEOPLE)]
            pca = PCA(ways, svd_solver="randomized", random_state=0)
            self.ways = pca.fit(fine[some].astype(np.float32)).components_

    def out_of(self, *images: Fingerprint) -> NDArray[np.float32]:
        """Return their fine detail without it, each of length 1."""
        apart = np.stack([image.fine for image in images]).astype(np.float32) - self.mean
        return _of_length_1(apart - (apart @ self.ways.T) @ self.ways)


def _apart(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows less their mean, each of length 1."""
    return _of_length_1(rows - rows.mean(axis=0))


def _of_length_1(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1; of length 0 those that are."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    norms[norms == 0] = 1.0
    scaled: NDArray[np.float32] = rows / norms
    return scaled

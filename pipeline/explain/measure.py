"""What one case tells about the maps of a network.

Shape suffixes: K logits, N image tokens, M places of a map (tokens or their cells), P random
patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cells import Grid
from pipeline.explain.deletion import (
    QUIET_LOGIT,
    check_maps,
    patches_beside,
    strongest_region,
    strongest_regions,
)
from pipeline.explain.occlusion import correlated
from pipeline.explain.paint import (
    Mask,
    blurred,
    image_of,
    on_voxels,
    painted,
    put_back,
    shifted,
    strongest,
)
from pipeline.explain.reading import Array, Predict, additions_of, finest_of, logits_of
from pipeline.tensors import ModelInput, ModelOutput
from schemas.maps import MapCheck

LEAST_CLAIM = 1.0
"""Log-odds that a map must claim at its strongest voxels to count in a proof: what claims
less hardly moves the answer, and is not much more than the network's own unrest."""
STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One case; arrays of shape (K,), NaN where nothing could be measured.

    Parameters
    ----------
    checks
        Deletion test of each logit's map.
    inserted
        How much nearer to the whole image's logit the map's strongest voxels bring that of the
        blurred image, less what random patches do on average; log-odds.
    inserted_over_average
        How much nearer to the whole image's logit the map's strongest voxels bring it than those
        of the mean map of the other cases, where both were painted over; log-odds.
    average_moved
        Fall of the logit where the mean map of the other cases is strongest, over as many voxels;
        log-odds.
    gap
        Of the logit from the sum of its parts; log-odds.
    redrawn
        Size of the correlation with the map of the same network whose weights were drawn anew.
    shifted
        Correlation with the map of the image moved by a voxel, moved back; mean over three axes.
    peak_moved_mm
        How far that map's peak lies from this one's; mean over the same.
    """

    checks: tuple[MapCheck, ...]
    inserted: Array
    inserted_over_average: Array
    average_moved: Array
    gap: Array
    redrawn: Array
    shifted: Array
    peak_moved_mm: Array

    def is_tested(self, number: int) -> bool:
        """Whether a logit's map claims enough to be tested, and could be."""
        check = self.checks[number]
        return check.claimed >= LEAST_CLAIM and check.moved is not None


def claims_of(case: ModelInput, output: ModelOutput) -> Array:
    """Return what each logit's map claims at its strongest voxels, log-odds, shape (K,).

    Parameters
    ----------
    output
        Of the case alone.
    """
    regions = strongest_regions(case, *finest_of(output))
    return np.array([claimed for _, claimed in regions])


def measure(
    predict: Predict, redrawn: Predict, case: ModelInput, output: ModelOutput, average: Array
) -> Measured:
    """Ask the network about one case in all the ways that its maps must stand.

    Parameters
    ----------
    predict
        The network, batched.
    redrawn
        The same with other weights.
    case
        With an image.
    output
        What the network said of it alone.
    average : shape (K, M), log-odds
        Mean map of the other cases, as fine as this one's.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    correlation, moved_mm = _repeated(predict, case, output)
    other = additions_of(redrawn([case]))
    scanned = _scanned_tokens(case, output)
    parts = output.history_alone[0] + output.image[0].sum(-1)
    return Measured(
        checks=check_maps(predict, case, output),
        inserted=_inserted(predict, case, output),
        inserted_over_average=_inserted_over_average(predict, case, output, average),
        average_moved=_average_moved(predict, case, output, average),
        gap=(parts - output.logits[0]).abs().double().cpu().numpy(),
        redrawn=np.array(
            [
                abs(correlated(own[scanned], its[scanned]))
                for own, its in zip(additions_of(output), other, strict=True)
            ]
        ),
        shifted=correlation,
        peak_moved_mm=moved_mm,
    )


def _inserted(predict: Predict, case: ModelInput, output: ModelOutput) -> Array:
    """Return what the map's strongest voxels gain on random patches, shape (K,)."""
    regions = [region for region, _ in strongest_regions(case, *finest_of(output))]
    patches = patches_beside(case, regions)
    before = output.logits[0].double().cpu().numpy()
    if not patches:
        return np.full(len(before), np.nan)
    bare, n = blurred(case), len(regions)
    asked = [bare, *(put_back(case, bare, mask) for mask in (*regions, *patches))]
    away = np.abs(before - logits_of(predict, asked))
    nearer = away[0] - away[1:]
    can_tell = away[0] >= QUIET_LOGIT
    return np.where(can_tell, np.diagonal(nearer[:n]) - nearer[n:].mean(0), np.nan)


def _inserted_over_average(
    predict: Predict, case: ModelInput, output: ModelOutput, average: Array
) -> Array:
    """Return what the own region gains on the mean map's where both were painted over, (K,).

    Not on a blurred image: there a sharp patch where findings are usual looks like one by itself.
    """
    own, grid = finest_of(output)
    asked = []
    for values, mean in zip(own, average, strict=True):
        mine = strongest_region(case, values, grid)[0]
        theirs = _as_large(case, mean, grid, mine)
        bare = painted(case, mine | theirs)
        asked += [put_back(case, bare, mine), put_back(case, bare, theirs)]
    away = np.abs(output.logits[0].double().cpu().numpy() - logits_of(predict, asked))
    by_own, by_mean = np.diagonal(away[::2]), np.diagonal(away[1::2])
    can_tell = np.maximum(by_own, by_mean) >= QUIET_LOGIT
    return np.where(can_tell, by_mean - by_own, np.nan)


def _average_moved(
    predict: Predict, case: ModelInput, output: ModelOutput, average: Array
) -> Array:
    own, grid = finest_of(output)
    regions = [
        _as_large(case, mean, grid, strongest_region(case, values, grid)[0])
        for values, mean in zip(own, average, strict=True)
    ]
    before = output.logits[0].double().cpu().numpy()
    falls = before - logits_of(predict, [painted(case, region) for region in regions])
    return np.array(np.diagonal(falls))


def _as_large(case: ModelInput, additions: Array, grid: Grid, region: Mask) -> Mask:
    """Return as many voxels as a region has, where another map is strongest."""
    scanned = image_of(case).scanned.any(0).numpy()
    return strongest(on_voxels(additions, grid, scanned.shape), scanned, int(region.sum()))


def _repeated(predict: Predict, case: ModelInput, output: ModelOutput) -> tuple[Array, Array]:
    """Return correlations and distances of the peaks, both of shape (K,)."""
    answers = predict([shifted(case, step) for step in STEPS])
    own, grid = finest_of(output)
    found = np.array(
        [
            [_against(case, mine, its, grid, step)
             for mine, its in zip(own, finest_of(answers, place)[0], strict=True)]
            for place, step in enumerate(STEPS)
        ]
    )  # fmt: skip
    mean = found.mean(0)
    return mean[:, 0], mean[:, 1]


def _against(
    case: ModelInput, own: Array, again: Array, grid: Grid, step: Sequence[int]
) -> tuple[float, float]:
    """Return the correlation of a map with that of the moved image, and how far its peak moved."""
    image = image_of(case)
    shape = image.grid.shape
    kept = tuple(slice(None, -by or None) for by in step)
    moved = tuple(slice(by, None) for by in step)
    looked = image.scanned.any(0).numpy()[kept]
    same = correlated(
        on_voxels(own, grid, shape)[kept][looked], on_voxels(again, grid, shape)[moved][looked]
    )
    peaks = [np.array(np.unravel_index(int(one.argmax()), grid)) for one in (own, again)]
    a_place = np.array(shape) / np.array(grid)
    away = (peaks[1] - peaks[0]) * a_place - np.array(step)
    return same, float(np.linalg.norm(away * np.array(image.grid.spacing_mm)))


def _scanned_tokens(case: ModelInput, output: ModelOutput) -> NDArray[np.bool_]:
    """Mark the tokens of which anything was scanned, shape (N,)."""
    scanned = image_of(case).scanned.any(0).float().numpy()
    grid = output.token_grid
    sides = [size // count for size, count in zip(scanned.shape, grid, strict=True)]
    shape = (grid[0], sides[0], grid[1], sides[1], grid[2], sides[2])
    return np.asarray(scanned.reshape(shape).mean((1, 3, 5)) >= 0.5).ravel()

"""The deletion test of one case's maps: what a map points at must matter more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.cells import Grid
from pipeline.explain.paint import Mask, image_of, on_voxels, painted, random_patches, strongest
from pipeline.explain.reading import Array, Predict, finest_of
from pipeline.tensors import ModelInput, ModelOutput
from schemas.maps import LEAST_CLAIM_OF_ALL, MapCheck

SHARE = 0.03
"""Of the scanned voxels that are painted over, at most."""
OF_PEAK = 0.25
"""Of the map's highest value that a voxel must hold to be painted over: what is painted beyond
the finding itself can look like another one."""
N_RANDOM = 8
"""With 8 patches, a map that knows nothing passes once in nine times."""
SEED = 20
QUIET_LOGIT = LEAST_CLAIM_OF_ALL
"""Log-odds; a map that claims less at its strongest place has nothing to delete."""


@dataclass(frozen=True, slots=True, eq=False)
class Deletion:
    """What the test of one case's maps asks the network.

    Parameters
    ----------
    cases
        One for each map that claims ``QUIET_LOGIT`` or more, its strongest voxels painted over;
        then one for each random patch, which all maps share. Empty if no map does.
    claimed, least
        Log-odds that each map says its voxels add, and those that it must claim to point at them.
    places
        Of each map's own case; None if its map claims less.
    n_voxels
        Painted over in each map's own case, in that order.
    """

    cases: tuple[ModelInput, ...]
    claimed: tuple[float, ...]
    least: tuple[float, ...]
    places: tuple[int | None, ...]
    n_voxels: tuple[int, ...]


def check_maps(
    predict: Predict,
    case: ModelInput,
    output: ModelOutput,
    least: Sequence[float] | None = None,
    *,
    of_peak: float = OF_PEAK,
) -> tuple[MapCheck, ...]:
    """Test the map of every logit of one case that has an image.

    Parameters
    ----------
    predict
        The network, batched.
    output
        What it said of this case alone.
    least
        Log-odds that each map must claim to point at a place; None for ``QUIET_LOGIT``. Every map
        that claims ``QUIET_LOGIT`` is tested.
    of_peak
        As in :func:`strongest_region`.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    deletion = deletion_of(case, output, least, of_peak=of_peak)
    return judged(deletion, output, predict(deletion.cases) if deletion.cases else None)


def deletion_of(
    case: ModelInput,
    output: ModelOutput,
    least: Sequence[float] | None = None,
    *,
    of_peak: float = OF_PEAK,
) -> Deletion:
    """Paint over what each map says is strongest, and ``N_RANDOM`` random patches.

    The patches are as large as the largest of these regions. Patches and seed are fixed, so the
    same case gives the same answer.

    Parameters
    ----------
    least, of_peak
        As in :func:`check_maps`.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    found = strongest_regions(case, *finest_of(output), of_peak=of_peak)
    regions = [region for region, claimed in found if claimed >= QUIET_LOGIT]
    patches = patches_beside(case, regions) if regions else []
    numbers = iter(range(len(regions)))
    claimed = tuple(claimed for _, claimed in found)
    return Deletion(
        cases=tuple(painted(case, mask) for mask in (*regions, *patches)),
        claimed=claimed,
        least=(QUIET_LOGIT,) * len(found) if least is None else tuple(least),
        places=tuple(next(numbers) if claim >= QUIET_LOGIT else None for claim in claimed),
        n_voxels=tuple(int(region.sum()) for region in regions),
    )


def patches_beside(case: ModelInput, regions: Sequence[Mask]) -> list[Mask]:
    """Return ``N_RANDOM`` random patches outside all regions, as large as the largest of them."""
    n_voxels = max(int(region.sum()) for region in regions)
    return random_patches(case, np.any(regions, axis=0), n_voxels, N_RANDOM, seed=SEED)


def judged(
    deletion: Deletion, before: ModelOutput, after: ModelOutput | None
) -> tuple[MapCheck, ...]:
    """Say of each map how it did.

    Parameters
    ----------
    before
        Of the case alone.
    after
        Of the test's cases; None if it has none.
    """
    n_regions = sum(place is not None for place in deletion.places)
    checks = []
    for number, place in enumerate(deletion.places):
        quiet = MapCheck(
            status="nothing_to_delete", claimed=deletion.claimed[number],
            least=deletion.least[number], n_voxels=0, n_random=0,
        )  # fmt: skip
        if place is None or after is None:
            checks.append(quiet)
            continue
        falls = (before.logits[0, number].double() - after.logits[:, number].double()).cpu().numpy()
        checks.append(_judged(quiet, falls[place], falls[n_regions:], deletion.n_voxels[place]))
    return tuple(checks)


def strongest_regions(
    case: ModelInput, additions: Array, grid: Grid, *, of_peak: float = OF_PEAK
) -> list[tuple[Mask, float]]:
    """Return :func:`strongest_region` of each logit, for additions of shape (Q, M)."""
    return [strongest_region(case, own, grid, of_peak=of_peak) for own in additions]


def strongest_region(
    case: ModelInput, additions: Array, grid: Grid, *, of_peak: float = OF_PEAK
) -> tuple[Mask, float]:
    """Return the voxels that a map says raise the logit most, and the log-odds it claims for them.

    They hold ``of_peak`` of the map's highest value or more, and are ``SHARE`` of what was scanned
    at most. The claim is what the map holds there beyond its median, since only the difference can
    be deleted. What lowers a logit is not tested: the paint looks like healthy surroundings, so it
    cannot take a healthy look away.

    Parameters
    ----------
    additions : shape (M,), log-odds
        Of the places of a grid over the image: tokens, or their cells.
    of_peak
        Counted beyond the map's median; 0 takes the whole ``SHARE``.

    Raises
    ------
    ValueError
        If the case has no image.
    """
    scanned = image_of(case).scanned.any(0).numpy()
    centred = on_voxels(additions, grid, scanned.shape)
    centred = centred - np.median(centred[scanned]) if scanned.any() else centred
    n_strong = int((centred[scanned] >= of_peak * centred[scanned].max(initial=0.0)).sum())
    region = strongest(centred, scanned, max(1, min(n_strong, round(SHARE * scanned.sum()))))
    a_place = scanned.size / len(additions)
    return region, float(centred[region].sum()) / a_place


def words_of(check: MapCheck) -> str:
    """Return why a map is not shown; empty if it is."""
    if check.status != "failed":
        return ""
    if check.moved is None or check.random_furthest is None:
        return "the map of this case could not be tested against chance"
    return (
        "the map of this case failed its own test: painting over its strongest voxels moved the "
        f"logit by {-check.moved:+.2f}, where it must fall, and further than for the best of "
        f"{check.n_random} random patches at least as large ({-check.random_furthest:+.2f})"
    )


def _judged(untested: MapCheck, fall: float, random: Array, n_voxels: int) -> MapCheck:
    is_tested = len(random) > 0 and bool(np.isfinite([fall, *random]).all())
    status: Literal["passed", "failed"] = "failed"
    if is_tested and fall > max(0.0, random.max()):
        status = "passed"
    return MapCheck(
        status=status,
        claimed=untested.claimed,
        least=untested.least,
        moved=float(fall) if is_tested else None,
        random_moved=float(np.abs(random).mean()) if is_tested else None,
        random_furthest=float(random.max()) if is_tested else None,
        n_voxels=n_voxels,
        n_random=len(random) if is_tested else 0,
    )

"""Put a series through ingest and compare what comes out with the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.ingest import discover, load_volume
from pipeline.volume import Volume
from schemas.issue import IssueCode
from schemas.series import Inventory, Series
from tests.series_factory.slices import SLOPE, STEP, Slices, field, save

# Documented bounds: without a word, and with the warning geometry-irregular.
EXACT_MM, JITTER_MM = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ingest made of one series."""

    codes: frozenset[IssueCode]
    """Every code it raised."""
    volumes: tuple[Volume, ...]
    n_misplaced: int
    """Volumes with a voxel that shows another place than the volume says."""

    @property
    def n_slices(self) -> tuple[int, ...]:
        """Slices of each volume."""
        return tuple(volume.array.shape[0] for volume in self.volumes)


def ingest(slices: Slices, folder: Path, *, seed: int = 0) -> Outcome:
    """Write, discover and load all that is usable."""
    save(slices, folder, seed=seed)
    found = discover(folder)
    codes = set(_codes(found))
    volumes = []
    n_misplaced = 0
    for series in all_series(found):
        if series.is_usable:
            volume = load_volume(folder, series)
            volumes.append(volume)
            said = {issue.code for issue in series.issues}
            bound = JITTER_MM if IssueCode.GEOMETRY_IRREGULAR in said else EXACT_MM
            n_misplaced += not is_true(volume, bound)
    return Outcome(frozenset(codes), tuple(volumes), n_misplaced)


def all_series(found: Inventory) -> list[Series]:
    """Every series of every study."""
    return [series for study in found.studies for series in study.series]


def is_true(volume: Volume, bound_mm: float = EXACT_MM) -> bool:
    """Say whether every scanned voxel shows the field's value within a distance of its place."""
    index = np.moveaxis(np.indices(volume.array.shape), 0, -1)
    place = volume.geometry.to_mm(index)
    grid = volume.scanned_grid
    inside = grid.to_index(place)
    # Beyond the outermost scanned centres there is nothing to interpolate between.
    is_known = ((inside >= -1e-3) & (inside <= np.array(grid.shape) - 1 + 1e-3)).all(axis=-1)
    off = np.abs(volume.array - field(place))
    allowed = bound_mm * np.linalg.norm(SLOPE) + STEP
    return bool(is_known.any() and (off[is_known] <= allowed).all())


def _codes(found: Inventory) -> list[IssueCode]:
    issues = [issue for study in found.studies for issue in study.issues]
    issues += [issue for series in all_series(found) for issue in series.issues]
    issues += [item.issue for item in found.skipped]
    return [issue.code for issue in issues]

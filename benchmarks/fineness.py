"""Whether maps on the scanner's grid lie closer to the lesion for being finer than tokens.

    python -m benchmarks.fineness [N_SCANS]

The shipped bundle's maps of new simulated scans with a lesion (seed 99, those of benchmarks.truth)
that claim at least what a report asks before it points at a place. The lesion is as it was drawn,
voxel by voxel of the scanner's grid, not rounded up to tokens. Each map is drawn twice, with the
shares of a token's cells and as if they were not known; both hold the same sums by token. Writes
benchmarks/results/fineness.json.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.decoys import BUNDLE, FINDING, SEED
from benchmarks.figures import RESULTS, Figure, with_interval, write_figures
from benchmarks.simulated import design_for
from flows.progress import progress_bars
from pipeline.bundle import Bundle, least_claims_of, load_bundle
from pipeline.calibration.statistics import patient_weights
from pipeline.explain import claims_of, heatmaps_of
from pipeline.heatmap import Heatmap
from pipeline.inputs import main_volume, model_input
from pipeline.model.image_encoder import token_mask
from pipeline.phantom.benchmark import BenchmarkCase, draw_benchmark
from pipeline.progress import Progress

N_SCANS, MOST_DRAWN = 100, 2000
HALF = 0.5
AT_ONCE = 50
NAMES = (
    "positive evidence inside the lesion, by voxels",
    "distance from the map's peak to the lesion's centre, mm",
    "volume above half the peak over the lesion's",
    "Dice of what is above half the peak and the lesion",
)

Array = NDArray[np.float64]


def main(n_scans: int) -> None:
    """Draw scans, map each twice, compare, write."""
    bundle = load_bundle(BUNDLE)
    with progress_bars(quiet=False) as progress:
        found = np.array([*_compared(bundle, n_scans, progress)])
    if len(found) == 0:
        sys.exit(f"no map of {MOST_DRAWN} patients claims enough: there is nothing to compare")
    command = f"python -m benchmarks.fineness {n_scans}"
    figures = [*_figures(found, command)]
    write_figures(RESULTS / "fineness.json", figures)
    for figure in figures:
        print(f"{figure.name}: {figure.value:.3g} {figure.interval}")


def _compared(bundle: Bundle, n_scans: int, progress: Progress) -> Iterator[tuple[Array, Array]]:
    """Yield the measures of at most ``n_scans`` maps, with the cells' shares and without."""
    design, n_done = design_for(bundle.protocol, seed=SEED), 0
    for start in range(0, MOST_DRAWN, AT_ONCE):
        for case in draw_benchmark(design, bundle.protocol, range(start, start + AT_ONCE)):
            measured = _maps_of(bundle, case)
            if measured is not None:
                yield measured
                n_done += 1
                progress("mapping", n_done, n_scans)
            if n_done == n_scans:
                return


def _maps_of(bundle: Bundle, case: BenchmarkCase) -> tuple[Array, Array] | None:
    """Return the measures of a scan; None where no map of a lesion claims enough."""
    volume = main_volume(case.case, bundle.protocol)
    inputs = model_input(case.case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
    if case.mask is None or volume is None or inputs.image is None or not (case.mask > 0).any():
        return None
    output = bundle.predict([inputs])
    if claims_of(inputs, output)[FINDING] < least_claims_of(bundle)[FINDING]:
        return None
    names = tuple(task.name for task in bundle.protocol.tasks)
    scanned = token_mask(inputs.image.scanned[None])[0].numpy()
    fine, coarse = (
        heatmaps_of(one, names, scanned, inputs.image.grid, volume.geometry)[names[FINDING]]
        for one in (output, replace(output, shares=None))
    )
    lesion = np.asarray(case.mask) > 0
    return _measures(fine, lesion), _measures(coarse, lesion)


def _measures(heatmap: Heatmap, lesion: NDArray[np.bool_]) -> Array:
    """Return what ``NAMES`` name."""
    raised = np.clip(np.nan_to_num(heatmap.array.astype(np.float64)), 0.0, None)
    strong = raised >= HALF * raised.max()
    both = (strong & lesion).sum()
    geometry = heatmap.geometry
    peak = geometry.to_mm(np.array(np.unravel_index(int(raised.argmax()), raised.shape)))
    centre = geometry.to_mm(np.argwhere(lesion).mean(0))
    return np.array([
        raised[lesion].sum() / max(raised.sum(), 1e-9),
        np.linalg.norm(peak - centre),
        strong.sum() / lesion.sum(),
        2 * both / (strong.sum() + lesion.sum()),
    ])  # fmt: skip


def _figures(found: Array, command: str) -> Iterator[Figure]:
    """Yield medians over scans, with bootstrap intervals; ``found`` is (n, 2, len(NAMES))."""
    weights = patient_weights(np.arange(len(found)).astype(str))
    draws = [np.repeat(np.arange(len(found)), row.astype(int)) for row in weights]
    for number, name in enumerate(NAMES):
        fine, coarse = found[:, 0, number], found[:, 1, number]
        for kind, values in (
            ("with cells", fine), ("tokens alone", coarse), ("difference", fine - coarse),
        ):  # fmt: skip
            medians = np.array([np.median(values[drawn]) for drawn in draws])
            value, low, high = with_interval(medians)
            label = f"{name}, {kind}, median of {len(found)} scans"
            yield Figure(label, value, (low, high), None, None, command)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_SCANS)

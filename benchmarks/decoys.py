"""Whether maps peak on decoys: what is brighter than a lesion, and is none.

    python -m benchmarks.decoys [N_PATIENTS]

The shipped bundle's maps of new simulated patients (seed 99, those of benchmarks.truth), where
they claim enough for a report to point at a place. Each such patient is drawn a second time from
the same random numbers, and what the world's own functions for decoys add is kept. A token
holds a decoy if any voxel in it was raised visibly; tokens are large and decoys many, so how often
a random token would count is given too. A peak on the lesion or beside it is at the lesion, as in
benchmarks.truth, whatever else lies there. Maps of one patient are counted singly. Writes
benchmarks/results/decoys.json.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Bound, Figure, exact_share, write_figures
from benchmarks.peaks import strongest_token
from benchmarks.simulated import Simulated, design_for, simulated
from flows.progress import progress_bars
from pipeline.bundle import Bundle, least_claims_of, load_bundle
from pipeline.explain import check_maps, refusal
from pipeline.geometry import Geometry
from pipeline.model.image_encoder import STRIDE, token_mask
from pipeline.phantom import Design, brain, chest
from pipeline.phantom.case import draw_case
from pipeline.tensors import ImageInput

BUNDLE = Path("data_samples/bundles/brain_mr")
SEED, N_PATIENTS, FINDING = 99, 300, 0
ASKED: tuple[Bound, Bound] = (0.05, 0.01)

Flags = NDArray[np.bool_]
Raised = dict[str, tuple[Geometry, NDArray[np.float32]]]
Paint = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Painters:
    """What draws the decoys of a world."""

    module: ModuleType
    names: tuple[str, ...]
    """Functions of a random generator, a grid, the signal so far, and more."""
    visible: float
    """Rise of the signal that shows, in its unit: about five times the tissue's own grain."""


PAINTERS: Mapping[str, Painters] = {
    "brain_mr": Painters(brain, ("_with_vessels", "_with_spots"), 0.2),
    "chest_ct": Painters(chest, ("_with_decoys",), 110.0),
}


@dataclass(frozen=True, slots=True)
class Peak:
    """Where one map is strongest, and how often a random token of the scan would lie there."""

    task: str
    is_on_decoy: bool
    """Its token holds a decoy and is not at the lesion."""
    is_by_decoy: bool
    """The same of its token or one beside it."""
    on_by_chance: float
    by_by_chance: float


def main(n_patients: int) -> None:
    """Read, find the peaks, count, write."""
    bundle = load_bundle(BUNDLE)
    design = design_for(bundle.protocol, seed=SEED)
    peaks: list[Peak] = []
    with progress_bars(quiet=False) as progress:
        cases = simulated(design, bundle.protocol, bundle.text_encoder, n_patients,
                          progress=progress)  # fmt: skip
        for number, case in enumerate(cases):
            progress("looking for peaks", number, len(cases))
            peaks += peaks_of(bundle, design, number, case)
        progress("looking for peaks", 1, 1)
    found = figures(peaks, f"python -m benchmarks.decoys {n_patients}")
    write_figures(RESULTS / "decoys.json", found)
    for figure in found:
        print(f"{figure.name}: {figure.value:.3f} {figure.interval or ''}")


def peaks_of(bundle: Bundle, design: Design, number: int, case: Simulated) -> list[Peak]:
    """Return the peak of each map that claims something."""
    inputs = case.example.model_input(bundle.table_transform)
    if inputs.image is None:
        return []
    output = bundle.predict([inputs])
    checks = check_maps(bundle.predict, inputs, output, least_claims_of(bundle))
    claims = [
        number
        for number, task in enumerate(bundle.protocol.tasks)
        if checks[number].points and not refusal(bundle.maps, task.name)
    ]
    if not claims:
        return []
    decoys = decoy_tokens(design, number, inputs.image.grid)
    elsewhere = ~_widened(case.example.masks[FINDING] == 1.0)
    on, beside = decoys & elsewhere, _widened(decoys) & elsewhere
    scanned = _scanned(inputs.image).reshape(output.token_grid)
    names = [task.name for task in bundle.protocol.tasks]
    places = [strongest_token(output, task) for task in claims]
    return [
        Peak(
            names[task], bool(on[place]), bool(beside[place]),
            float(on[scanned].mean()), float(beside[scanned].mean()),
        )
        for task, place in zip(claims, places, strict=True)
    ]  # fmt: skip


def decoy_tokens(design: Design, number: int, grid: Geometry) -> Flags:
    """Return which tokens hold a decoy, for a patient who has an image.

    Parameters
    ----------
    grid
        The model's grid for this patient, mm, LPS.
    """
    painters = PAINTERS[design.world.name]
    with _watched(painters) as raised:
        draw_case(design, number)
    size = tuple(count // STRIDE for count in grid.shape)
    tokens = np.zeros(size, dtype=bool)
    for geometry, rise in raised.values():
        voxels = grid.to_index(geometry.to_mm(np.argwhere(rise >= painters.visible)))
        found = np.floor((voxels + 0.5) / STRIDE).astype(int)
        found = found[((found >= 0) & (found < np.array(size))).all(axis=1)]
        tokens[tuple(found.T)] = True
    return tokens


@contextmanager
def _watched(painters: Painters) -> Iterator[Raised]:
    """Keep by how much each function raises the signal, at its last call: bodies are redrawn."""
    raised: Raised = {}

    def watching(name: str, paint: Paint) -> Paint:
        def watched(
            random: np.random.Generator, grid: Geometry, signal: NDArray[np.float32], *rest: object
        ) -> NDArray[np.float32]:
            painted = paint(random, grid, signal, *rest)
            raised[name] = (grid, painted - signal)
            return painted

        return watched

    with ExitStack() as stack:
        for name in painters.names:
            paint = watching(name, getattr(painters.module, name))
            stack.enter_context(mock.patch.object(painters.module, name, paint))
        yield raised


def _widened(tokens: Flags) -> Flags:
    wide: Flags = binary_dilation(tokens, np.ones((3, 3, 3), dtype=bool))
    return wide


def _scanned(image: ImageInput) -> Flags:
    scanned: Flags = token_mask(image.scanned[None])[0].numpy()
    return scanned


def figures(peaks: Sequence[Peak], command: str) -> list[Figure]:
    """List the shares of all maps and of each task's, and those of random tokens."""
    tasks = dict.fromkeys(peak.task for peak in peaks)
    groups = {"all maps": peaks} | {
        f"maps of {task}": [peak for peak in peaks if peak.task == task] for task in tasks
    }
    return [figure for name, some in groups.items() for figure in _of_group(name, some, command)]


def _of_group(name: str, peaks: Sequence[Peak], command: str) -> Iterator[Figure]:
    n = len(peaks)
    by, ends = exact_share(sum(peak.is_by_decoy for peak in peaks), n)
    what = f"{name} ({n}), not at the lesion"
    yield Figure(f"{what}: peak on a decoy or beside one", by, ends, *ASKED, command)
    on, ends = exact_share(sum(peak.is_on_decoy for peak in peaks), n)
    yield Figure(f"{what}: peak on a decoy", on, ends, None, None, command)
    chance = float(np.mean([peak.by_by_chance for peak in peaks]))
    yield Figure(
        f"{what}: random token on a decoy or beside one", chance, None, None, None, command
    )
    chance = float(np.mean([peak.on_by_chance for peak in peaks]))
    yield Figure(f"{what}: random token on a decoy", chance, None, None, None, command)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_PATIENTS)

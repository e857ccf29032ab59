"""The proof of a network's maps on many cases, on whom nothing was fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.explain.measure import Measured, measure
from pipeline.explain.occlusion import occluded
from pipeline.explain.paint import image_of
from pipeline.explain.reading import Predict, finest_of
from pipeline.explain.verdict import verdict
from pipeline.progress import Progress, silent
from pipeline.tensors import ModelInput, ModelOutput
from schemas.maps import MapProofs

N_OCCLUDED = 4
"""Cases in which block after block is painted over, which takes as many passes as blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class ProofCase:
    """One case of a proof: what is asked of it, of the network and of one with other weights.

    Parameters
    ----------
    inputs
        With an image.
    predict, redrawn
        Each with one logit a task; which class of several it speaks of may differ by case.
    """

    inputs: ModelInput
    predict: Predict
    redrawn: Predict


def prove(
    cases: Sequence[ProofCase], tasks: Sequence[str], *, seed: int, progress: Progress = silent
) -> MapProofs:
    """Measure the maps of all cases and say of each task whether they may be shown.

    Parameters
    ----------
    cases
        On whom nothing was fitted.
    tasks
        Names, in the order of the logits.
    seed
        By which cases and other weights were chosen; recorded.
    """
    outputs = [case.predict([case.inputs]) for case in cases]
    maps = np.array([finest_of(output)[0] for output in outputs])
    measured = []
    for place, (case, output) in enumerate(zip(cases, outputs, strict=True)):
        progress("proving the maps", place, len(cases) + len(tasks) * N_OCCLUDED)
        others = (maps.sum(0) - maps[place]) / max(len(cases) - 1, 1)
        measured.append(measure(case.predict, case.redrawn, case.inputs, output, others))
    blocks = _occluded(cases, outputs, measured, len(tasks), progress)
    progress("proving the maps", 1, 1)
    token_mm = max((_token_mm(case, one) for case, one in zip(cases, outputs, strict=True)),
                   default=0.0)  # fmt: skip
    return MapProofs(
        seed=seed,
        tasks=tuple(
            verdict(task, number, measured, blocks[number], token_mm)
            for number, task in enumerate(tasks)
        ),
    )


def _occluded(
    cases: Sequence[ProofCase],
    outputs: Sequence[ModelOutput],
    measured: Sequence[Measured],
    n_tasks: int,
    progress: Progress,
) -> list[list[float]]:
    """Return, for each task, how high the maps rank the block that is missed most."""
    chosen = _to_occlude(measured, n_tasks)
    found: list[list[float]] = [[] for _ in range(n_tasks)]
    for done, place in enumerate(chosen):
        progress("proving the maps", len(cases) + done, len(cases) + len(chosen))
        ranks = occluded(cases[place].predict, cases[place].inputs, outputs[place])
        for number in range(n_tasks):
            if measured[place].is_tested(number) and not np.isnan(ranks[number]):
                found[number].append(float(ranks[number]))
    return found


def _to_occlude(measured: Sequence[Measured], n_tasks: int) -> list[int]:
    """Choose cases, few since each takes long, so that each task has ``N_OCCLUDED`` if it can."""
    is_tested = np.array(
        [[one.is_tested(number) for number in range(n_tasks)] for one in measured], dtype=bool
    ).reshape(len(measured), n_tasks)
    chosen: list[int] = []
    while True:
        is_short = is_tested[chosen].sum(0) < N_OCCLUDED
        helps = is_tested[:, is_short].sum(1)
        helps[chosen] = 0
        if not helps.any():
            return chosen
        chosen.append(int(helps.argmax()))


def _token_mm(case: ProofCase, output: ModelOutput) -> float:
    grid = image_of(case.inputs).grid
    sides = np.array(grid.shape) / np.array(output.token_grid) * np.array(grid.spacing_mm)
    return float(sides.max())

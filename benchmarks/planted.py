"""Faults that are planted, and whether they are refused or flagged.

    python -m benchmarks.planted

Labels shuffled in the calibration part, a wrong prior there, a scanner that training never saw, and
maps that belong to other patients; each beside cohorts without a fault. Scores are simulated;
the scanners are those in the headers of the sample's studies, and the maps the shipped bundle's on
simulated patients. Writes benchmarks/results/planted.json.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Figure, exact_share, write_figures
from benchmarks.simulated import design_for, simulated
from flows.progress import progress_bars
from pipeline.bundle import Bundle, load_bundle, split_of
from pipeline.calibration import Judged, fit_calibrator, parts_differ, ranks_by_chance
from pipeline.calibration.questions import Question
from pipeline.cohort import open_cohort, read_case
from pipeline.errors import CalibrationError
from pipeline.model.network import FusedNetwork
from pipeline.progress import Progress
from pipeline.tensors import Batch, ModelOutput
from pipeline.train.examples import Example
from pipeline.train.prove import prove_maps
from pipeline.unlike import header_issues
from schemas.issue import IssueCode
from schemas.maps import MapProofs

BUNDLE, SAMPLE = Path("data_samples/bundles/brain_mr"), Path("data_samples/brain_mr")
COMMAND = "python -m benchmarks.planted"
N_COHORTS = 200
N_PATIENTS, SEED = 250, 99

Array = NDArray[np.float64]
Scored = tuple[Array, NDArray[np.int64]]
Plant = Callable[[Scored, np.random.Generator], Scored] | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Patients of each part."""

    calibration: int
    test: int
    train: int


SMALL = Sizes(400, 300, 2000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault in so many cohorts, bundles or cases."""

    fault: str
    n: int
    refused: int
    flagged: int
    is_planted: bool = True
    """Whether there was a fault to find."""

    @property
    def missed(self) -> int:
        """Of neither kind."""
        return self.n - self.refused - self.flagged


def main() -> None:
    """Plant, count, print, write."""
    asked = [(*fault, sizes) for sizes in (_shipped(), SMALL) for fault in FAULTS]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = pool.map(_cohorts, *zip(*asked, strict=True))
        outcomes = [*found, *_scanners()]
    outcomes += _maps()
    print("| planted | tried | refused | flagged | neither |")
    print("| --- | --- | --- | --- | --- |")
    for one in outcomes:
        print(f"| {one.fault} | {one.n} | {one.refused} | {one.flagged} | {one.missed} |")
    write_figures(RESULTS / "planted.json", figures(outcomes))


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """List the share that was refused or flagged: all where a fault was planted."""
    rows = [(one, *exact_share(one.refused + one.flagged, one.n)) for one in outcomes]
    return [
        Figure(
            f"{one.fault}: refused or flagged", share, interval,
            at_least=1.0 if one.is_planted else None, aim=1.0 if one.is_planted else None,
            command=COMMAND,
        )
        for one, share, interval in rows
    ]  # fmt: skip


def _shipped() -> Sizes:
    """Return how many patients each part of the bundle that ships had."""
    parts = split_of(BUNDLE).parts
    return Sizes(len(parts["calibration"]), len(parts["test"]), len(parts["train"]))


def _cohorts(fault: str, plant: Plant, sizes: Sizes) -> Outcome:
    refused = flagged = 0
    for seed in range(N_COHORTS):
        random = np.random.default_rng(seed)
        drawn = _drawn(sizes.calibration, random)
        calibration = drawn if plant is None else plant(drawn, random)
        others = {name: _judged(_drawn(n, random)) for name, n in
                  (("train", sizes.train), ("test", sizes.test))}  # fmt: skip
        try:
            fitted = fit_calibrator("task", *calibration, hidden={})
        except CalibrationError:
            refused += 1
            continue
        flagged += bool(ranks_by_chance(fitted) or parts_differ(_judged(calibration), others))
    of = f"{fault}, {sizes.calibration} calibration patients"
    return Outcome(of, N_COHORTS, refused, flagged, plant is not None)


def _drawn(n: int, random: np.random.Generator) -> Scored:
    """Return calibrated scores of an AUROC of about 0.8, and outcomes of a quarter or so."""
    odds = random.normal(-1.5, 1.3, n)
    return odds, (random.random(n) < expit(odds)).astype(np.int64)


def _judged(part: Scored) -> Judged:
    odds, labels = part
    asked = Question("yes", labels.astype(np.float64), expit(odds), np.ones(len(labels)))
    return Judged([asked], np.arange(len(labels)).astype(str))


def _shuffled(part: Scored, random: np.random.Generator) -> Scored:
    return part[0], random.permutation(part[1])


def _wrong_prior(part: Scored, random: np.random.Generator) -> Scored:
    kept = (part[1] == 1) | (random.random(len(part[1])) < 0.5)
    return part[0][kept], part[1][kept]


FAULTS: tuple[tuple[str, Plant], ...] = (
    ("calibration part as drawn (no fault)", None),
    ("labels shuffled in the calibration part", _shuffled),
    ("half of those without the outcome left out of it (prior)", _wrong_prior),
)


def _scanners() -> list[Outcome]:
    """Read the sample's studies, with a bundle that knows their scanner and with one that does not.

    The second is the shipped one without that scanner among those of its training cases.
    """
    bundle = load_bundle(BUNDLE)
    cohort = open_cohort(SAMPLE, bundle.protocol)
    n_studies, found = 0, {"known": 0, "unseen": 0}
    for study in cohort.inventory.studies:
        case = read_case(cohort, study)
        if not case.volumes:
            continue
        n_studies += 1
        others = tuple(name for name in bundle.reference.scanners if name != study.scanner)
        naive = replace(bundle, reference=replace(bundle.reference, scanners=others))
        for name, own in (("known", bundle), ("unseen", naive)):
            codes = {issue.code for issue in header_issues(own, study, case)}
            found[name] += IssueCode.SCANNER_UNSEEN in codes
    return [
        Outcome("a scanner that training saw (no fault)", n_studies, 0, found["known"], False),
        Outcome("a scanner that training never saw", n_studies, 0, found["unseen"]),
    ]


def _maps() -> list[Outcome]:
    """Prove the shipped bundle's maps as they are, and with every map moved to another place."""
    bundle = load_bundle(BUNDLE)
    with progress_bars(quiet=False) as progress:
        examples = _examples(bundle, progress)
        honest = prove_maps(bundle, examples, progress=progress)
        whole = FusedNetwork.forward

        def permuted(self: FusedNetwork, batch: Batch, *, with_cells: bool = False) -> ModelOutput:
            found = whole(self, batch, with_cells=with_cells)
            order = torch.randperm(
                found.image.shape[-1], generator=torch.Generator().manual_seed(1)
            )
            return replace(found, image=found.image[..., order])

        FusedNetwork.forward = permuted  # type: ignore[method-assign]
        try:
            planted = prove_maps(bundle, examples, progress=progress)
        finally:
            FusedNetwork.forward = whole  # type: ignore[method-assign]
    _print(honest)
    return [
        _of_maps("maps as they are (no fault), tasks", honest, is_planted=False),
        _of_maps("maps permuted, tasks", planted, is_planted=True),
    ]


def _examples(bundle: Bundle, progress: Progress) -> Sequence[Example]:
    """Return the first patients of `benchmarks.truth`, who made no bundle."""
    design = design_for(bundle.protocol, seed=SEED)
    cases = simulated(design, bundle.protocol, bundle.text_encoder, N_PATIENTS, progress=progress)
    return [case.example for case in cases]


def _of_maps(fault: str, proofs: MapProofs, *, is_planted: bool) -> Outcome:
    refused = sum(proof.status != "passed" for proof in proofs.tasks)
    return Outcome(fault, len(proofs.tasks), refused, 0, is_planted)


def _print(proofs: MapProofs) -> None:
    for proof in proofs.tasks:
        figures = ", ".join(
            f"{figure.name} {figure.value if figure.value is None else round(figure.value, 3)}"
            for figure in proof.figures
        )
        print(f"{proof.task}: {proof.status}, {proof.n_tested} of {proof.n_cases}: {figures}")


if __name__ == "__main__":
    main()

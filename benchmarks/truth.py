"""A bundle against the known truth of new simulated patients.

    python -m benchmarks.truth [N_PATIENTS]        (part of make bench: the shipped bundle)
    python -m benchmarks.truth --bundle FOLDER     (of any binary tasks: benchmarks.sample)
    python -m benchmarks.truth --family b          (scanners, words and drawing held out)

Writes benchmarks/results/truth.json and truth.md; of another bundle than the one that ships, its
protocol's name stands in theirs, and so does another family. The patients (seed 99) are neither the
training's nor the sample's; they are drawn into memory. The pointing game leaves out findings
smaller than 6 mm across, of which both worlds have none: their smallest radii are 7 and 8 mm.
Nothing here says anything about real patients.
"""

import argparse
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.special import logit

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.binary import calibrators_of
from benchmarks.figures import write_figures
from benchmarks.peaks import strongest_token
from benchmarks.simulated import Simulated, design_for, simulated
from benchmarks.truth_figures import figures
from benchmarks.truth_page import MIN_GROUP, QUIET_LOGIT, markdown
from benchmarks.truth_scores import compared, means_of
from flows.progress import progress_bars
from pipeline.bundle import Bundle, least_claims_of, load_bundle
from pipeline.calibration import (
    interval,
    judge_operating_points,
    label_set,
    outside_reference,
    thresholds_of,
    to_probability,
    value_of,
)
from pipeline.explain import check_maps
from pipeline.explain.deletion import OF_PEAK
from pipeline.model.image_encoder import STRIDE
from pipeline.phantom import WORLDS
from pipeline.phantom.patient import Patient, draw_patient
from pipeline.phantom.world import FAMILIES
from pipeline.progress import Progress
from pipeline.tensors import ModelInput, ModelOutput
from pipeline.unlike import summary_of
from schemas.calibration import ConformalThresholds
from schemas.issue import Severity
from schemas.maps import MapCheck
from schemas.task import GOAL_NAMES

BUNDLE = Path("data_samples/bundles/brain_mr")
RESULTS = Path(__file__).parent / "results"
SEED, N_PATIENTS, FINDING = 99, 2000, 0
"""The world's first task asks for the finding that its masks mark."""
LEAST_MM = 6.0
"""Across; the pointing game leaves out smaller findings."""
N_DELETED = 100
"""Scans with the finding whose maps are tested by deletion."""
PAINTED = {0.0: "deletion_of_all", OF_PEAK: "deletion"}
"""Share of a map's peak that a voxel must hold to be painted over (0: the whole strongest 3 %)."""
WORLD_FINDINGS = {world.finding for world in WORLDS.values()}

Array = NDArray[np.float64]


def main() -> None:
    """Simulate, score, compare, write."""
    options = _options()
    bundle = load_bundle(options.bundle)
    design = design_for(bundle.protocol, seed=SEED, family=options.family)
    with progress_bars(quiet=False) as progress:
        cases = simulated(design, bundle.protocol, bundle.text_encoder, options.patients,
                          progress=progress)  # fmt: skip
        patients = [draw_patient(design, number) for number in range(len(cases))]
        scored = _scored(bundle, cases, patients, progress)
    command = f"python -m benchmarks.truth {options.patients}{_of_what(options)}"
    result = _result(bundle, scored, _groups(patients), command)
    name = "truth" if options.bundle == BUNDLE else f"truth_{bundle.protocol.name}"
    name += "" if options.family == FAMILIES[0] else f"_family_{options.family}"
    write_figures(RESULTS / f"{name}.json", figures(result))
    (RESULTS / f"{name}.md").write_text(markdown(result))
    print((RESULTS / f"{name}.md").read_text())


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """What was said of each patient.

    Parameters
    ----------
    answers
        By name, one number a task.
    maps
        By name, of the finding's map.
    deletions
        By the share of a map's peak that was painted over, one check a task, of some of those who
        have the finding.
    """

    answers: Sequence[Mapping[str, list[float]]]
    maps: Sequence[Mapping[str, float]]
    deletions: Mapping[float, Sequence[tuple[MapCheck, ...]]]


def _scored(
    bundle: Bundle, cases: Sequence[Simulated], patients: Sequence[Patient], progress: Progress
) -> _Scored:
    answers, maps = [], []
    deletions: dict[float, list[tuple[MapCheck, ...]]] = {of_peak: [] for of_peak in PAINTED}
    for number, case in enumerate(cases):
        progress("scoring", number, len(cases))
        found, seen = _score(bundle, case, patients[number])
        if "is_hit" in seen and len(deletions[OF_PEAK]) < N_DELETED:
            for of_peak, checks in deletions.items():
                checks.append(_deletion(bundle, case, of_peak))
        answers.append(found)
        maps.append(seen)
    progress("scoring", 1, 1)
    return _Scored(answers, maps, deletions)


def _result(
    bundle: Bundle, scored: _Scored, groups: Mapping[str, NDArray[np.bool_]], command: str
) -> dict[str, Any]:
    """Return all that the page says."""
    tasks = bundle.protocol.tasks
    said = {
        task.name: {
            key: np.array([one[key][number] for one in scored.answers]) for key in scored.answers[0]
        }
        for number, task in enumerate(tasks)
    }
    return {
        "command": command,
        "world": bundle.protocol.name,
        "bundle": bundle.identity.sha256,
        "machine": f"{platform.machine()}, torch {version('torch')}",
        "patients": len(scored.answers),
        "seed": SEED,
        "mean": means_of(list(said.values())),
        "tasks": {name: compared(own, groups) for name, own in said.items()},
        "maps": {"token_mm": STRIDE * max(bundle.protocol.grid.spacing_mm), **_maps(scored.maps)},
        **{
            name: {
                task.name: _deletions([one[number] for one in scored.deletions[of_peak]])
                for number, task in enumerate(tasks)
            }
            for of_peak, name in PAINTED.items()
        },
        "redrawn": _redrawn(bundle),
        "thresholds": {
            name: [
                {"goal": GOAL_NAMES[one.goal], "promised": one.at_least, "cases": one.n_cases,
                 "found": [one.share, one.lower, one.upper]}
                for one in judge_operating_points(calibrator.operating, own["p"], own["y"])
            ]
            for (name, own), calibrator in zip(said.items(), calibrators_of(bundle), strict=True)
        },
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patients", type=int, nargs="?", default=N_PATIENTS)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--family", choices=FAMILIES, default=FAMILIES[0])
    return parser.parse_args()


def _of_what(options: argparse.Namespace) -> str:
    bundle = "" if options.bundle == BUNDLE else f" --bundle {options.bundle.name}"
    return bundle + ("" if options.family == FAMILIES[0] else f" --family {options.family}")


def _score(
    bundle: Bundle, case: Simulated, patient: Patient
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return what is said of each task, and of the map of the finding."""
    inputs = bundle.encoded(case.example.model_input(bundle.table_transform))
    has_image = inputs.image is not None
    output = bundle.predict([inputs, inputs.only(("image",))] if has_image else [inputs])
    said = _probabilities(bundle, output, 0, inputs.present)
    without = [np.nan] * len(said)
    if has_image:
        without = _probabilities(bundle, output, 1, ("image",))
    thresholds = [
        thresholds_of(calibrator, inputs.present, value_of(task, case.example.history))
        for calibrator, task in zip(calibrators_of(bundle), bundle.protocol.tasks, strict=True)
    ]
    sets = [_not_ruled_out(own, p) for own, p in zip(thresholds, said, strict=True)]
    y = case.outcomes
    ends = [
        interval(calibrator, output.each_member[:, 0, n].double().cpu().numpy(), inputs.present)
        or (np.nan, np.nan)
        for n, calibrator in enumerate(calibrators_of(bundle))
    ]
    found = {
        "lower": [low for low, _ in ends],
        "upper": [high for _, high in ends],
        "p": said,
        "without_history": without,
        "decided": [_decided(own, p) for own, p in zip(thresholds, said, strict=True)],
        "decided_at_best": [
            _decided(own, best) for own, best in zip(thresholds, case.observable, strict=True)
        ],
        "is_held": [float(str(int(y[n])) in held) for n, held in enumerate(sets)],
        "is_held_0": [float("0" in held) for held in sets],
        "is_held_1": [float("1" in held) for held in sets],
        "set_size": [float(len(held)) for held in sets],
        "true": case.true.tolist(),
        "observable": case.observable.tolist(),
        "y": y.tolist(),
    }
    return found, _map(bundle, output, inputs, case, patient)


def _not_ruled_out(thresholds: ConformalThresholds | None, probability: float) -> tuple[str, ...]:
    held = label_set(thresholds, probability)
    return ("0", "1") if held is None else held


def _decided(thresholds: ConformalThresholds | None, probability: float) -> float:
    """Return how far in log-odds a case lies from where its set would hold both answers or none."""
    if thresholds is None:
        return np.nan
    middle = (logit(thresholds.positive) + logit(1 - thresholds.negative)) / 2
    return float(abs(logit(probability) - middle))


def _probabilities(
    bundle: Bundle, output: ModelOutput, row: int, present: Sequence[str]
) -> list[float]:
    return [
        float(to_probability(calibrator, float(output.logits[row, number]), present))
        for number, calibrator in enumerate(calibrators_of(bundle))
    ]


def _map(
    bundle: Bundle, output: ModelOutput, inputs: ModelInput, case: Simulated, patient: Patient
) -> dict[str, float]:
    parts = output.history_alone[0] + output.image[0].sum(-1)
    seen = {"unsummed": float((parts - output.logits[0]).abs().max())}
    unlike = outside_reference(
        bundle.reference, summary_of(output, inputs), case.example.quantities,
        severity=Severity.WARNING,
    )  # fmt: skip
    seen["is_unlike"] = float(any(issue.severity is Severity.WARNING for issue in unlike))
    if inputs.image is None:
        return seen
    additions = output.image[0, FINDING].double().cpu().numpy().reshape(output.token_grid)
    raised = np.clip(additions, 0.0, None)
    raw = bundle.unsettled([inputs]).image[0, FINDING].double().cpu().numpy()
    raised_raw = np.clip(raw, 0.0, None).reshape(output.token_grid)
    mask = case.example.masks[FINDING] == 1.0
    # A task that asks for the finding in some place has maps of those patients alone.
    is_any = bundle.protocol.tasks[FINDING].name in WORLD_FINDINGS
    is_asked_for = is_any or case.outcomes[FINDING] == 1
    if mask.any() and is_asked_for and _is_large(patient):
        peak = strongest_token(output, FINDING)
        near = binary_dilation(mask, np.ones((3, 3, 3), dtype=bool))
        seen["is_hit"] = float(near[peak])
        seen["inside"] = float(raised[mask].sum() / max(raised.sum(), 1e-9))
        seen["inside_raw"] = float(raised_raw[mask].sum() / max(raised_raw.sum(), 1e-9))
    elif not case.has_finding:
        seen["raised_without"] = float(raised.sum())
        seen["raised_raw_without"] = float(raised_raw.sum())
    return seen


def _is_large(patient: Patient) -> bool:
    return patient.target is not None and 2 * patient.target.radius_mm >= LEAST_MM


def _redrawn(bundle: Bundle) -> Mapping[str, float]:
    """Return, by task, what the bundle's proof kept of maps whose weights were drawn anew."""
    proofs = bundle.maps.tasks if bundle.maps is not None else ()
    return {
        proof.task: figure.value
        for proof in proofs
        for figure in proof.figures
        if figure.name == "redrawn" and figure.value is not None
    }


def _deletion(bundle: Bundle, case: Simulated, of_peak: float) -> tuple[MapCheck, ...]:
    inputs = case.example.model_input(bundle.table_transform)
    output, least = bundle.predict([inputs]), least_claims_of(bundle)
    return check_maps(bundle.predict, inputs, output, least, of_peak=of_peak)


def _deletions(checks: Sequence[MapCheck]) -> Mapping[str, float]:
    """Return how far the logit falls where the map points, and how far anywhere else."""
    tested = [check for check in checks if check.moved is not None]
    if not tested:
        return {"scans": len(checks), "tested": 0, "passed": 0, "moved": np.nan, "random": np.nan,
                "ratio": np.nan}  # fmt: skip
    moved = float(np.mean([check.moved for check in tested]))
    elsewhere = float(np.mean([check.random_moved for check in tested]))
    passed = sum(check.status == "passed" for check in checks)
    return {"scans": len(checks), "tested": len(tested), "passed": passed, "moved": moved,
            "random": elsewhere, "ratio": moved / elsewhere}  # fmt: skip


def _groups(patients: Sequence[Patient]) -> Mapping[str, NDArray[np.bool_]]:
    """Return who belongs to each group of at least ``MIN_GROUP``: site, sex, age, what is there."""
    old = np.median([patient.facts["age_years"] for patient in patients])
    found = {f"site {name}": [patient.site.name == name for patient in patients]
             for name in {patient.site.name for patient in patients}}  # fmt: skip
    found |= {f"sex {sex}": [patient.sex == sex for patient in patients] for sex in "FM"}
    found |= {
        "older half": [patient.facts["age_years"] > old for patient in patients],
        "younger half": [patient.facts["age_years"] <= old for patient in patients],
        "something absent": [
            not (patient.has_image and patient.has_notes and patient.has_table)
            for patient in patients
        ],
    }
    if "prior_cancer" in patients[0].facts:
        found["prior cancer"] = [patient.facts["prior_cancer"] > 0 for patient in patients]
        found["no prior cancer"] = [patient.facts["prior_cancer"] == 0 for patient in patients]
    flags = {name: np.array(flag) for name, flag in sorted(found.items())}
    return {name: flag for name, flag in flags.items() if flag.sum() >= MIN_GROUP}


def _maps(seen: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    def known(name: str) -> Array:
        return np.array([one[name] for one in seen if name in one])

    return {
        "findings": len(known("is_hit")),
        "peak_within_a_token": float(known("is_hit").mean()),
        "positive_evidence_inside": float(known("inside").mean()),
        "scans_without_finding": len(known("raised_without")),
        "quiet_without_finding": float((known("raised_without") < QUIET_LOGIT).mean()),
        "positive_evidence_inside_raw": float(known("inside_raw").mean()),
        "quiet_without_finding_raw": float((known("raised_raw_without") < QUIET_LOGIT).mean()),
        "largest_gap_of_the_sum": float(known("unsummed").max()),
        "flagged_unlike": float(known("is_unlike").mean()),
    }


if __name__ == "__main__":
    main()

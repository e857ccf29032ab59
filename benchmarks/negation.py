"""Does the risk follow the notes: the same patients with the opposite written in their notes.

    python -m benchmarks.negation [N_PATIENTS]

A topic of the notes is turned into its opposite and all notes of the patient are written anew from
the same random numbers; table and scan stay. Where that moves the probability given all that is
recorded by at least 0.1 log-odds, the risk of the shipped bundle should move the same way. Writes
benchmarks/results/negation.json and negation.md. Simulated patients (seed 99), the same as in
benchmarks.truth; nothing here says anything about real ones.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.binary import calibrators_of
from benchmarks.figures import RESULTS, Figure, exact_share, write_figures
from benchmarks.simulated import Simulated, design_for, retold, simulated
from flows.progress import progress_bars
from pipeline.bundle import Bundle, load_bundle
from pipeline.calibration import to_log_odds
from pipeline.phantom import Design
from pipeline.phantom.observe import observable_risks
from pipeline.phantom.patient import Patient, draw_patient
from pipeline.phantom.records import draw_records
from pipeline.train.examples import Example

BUNDLE = Path("data_samples/bundles/brain_mr")
SEED, N_PATIENTS, LEAST_MOVE = 99, 2000, 0.1
AT_LEAST_AND_AIM = 0.95, 0.99
TURNS = (
    ("weakness", "left", "none"),
    ("weakness", "right", "none"),
    ("weakness", "left", "right"),
    ("weakness", "right", "left"),
    ("fits", "own", "none"),
    ("fits", "none", "own"),
    ("steroids", "stopped", "continued"),
    ("steroids", "stopped", "none"),
)

Array = NDArray[np.float64]


def main(n_patients: int) -> None:
    """Turn every topic that a patient's notes tell, ask again, compare, write."""
    bundle = load_bundle(BUNDLE)
    design = design_for(bundle.protocol, seed=SEED)
    moved: dict[tuple[str, str, str], list[tuple[Array, Array]]] = {turn: [] for turn in TURNS}
    with progress_bars(quiet=False) as progress:
        cases = simulated(design, bundle.protocol, bundle.text_encoder, n_patients,
                          progress=progress)  # fmt: skip
        for number, case in enumerate(cases):
            progress("turning notes", number, len(cases))
            patient = draw_patient(design, number)
            for turn in TURNS:
                topic, before, _ = turn
                if topic in patient.seen and patient.statuses[topic] == before:
                    moved[turn].append(_moves(bundle, design, number, patient, case, turn))
        progress("turning notes", 1, 1)
    names = [task.name for task in bundle.protocol.tasks]
    rows = [
        {"topic": topic, "from": before, "to": after} | _judged(moved[topic, before, after], names)
        for topic, before, after in TURNS
    ]
    result = {
        "command": f"python -m benchmarks.negation {n_patients}",
        "bundle": bundle.identity.sha256,
        "machine": f"{platform.machine()}, torch {version('torch')}",
        "seed": SEED,
        "rows": rows,
        "all": _judged([pair for pairs in moved.values() for pair in pairs], names),
    }
    write_figures(RESULTS / "negation.json", figures(result))
    (RESULTS / "negation.md").write_text(_markdown(result, names))
    print((RESULTS / "negation.md").read_text())


def _moves(
    bundle: Bundle,
    design: Design,
    number: int,
    patient: Patient,
    case: Simulated,
    turn: tuple[str, str, str],
) -> tuple[Array, Array]:
    """Return by how much the risk, and the probability of what is recorded, move, log-odds."""
    topic, before, after = turn
    facts = {**patient.facts, f"{topic}_{before}": 0.0, f"{topic}_{after}": 1.0}
    turned = replace(patient, statuses={**patient.statuses, topic: after}, facts=facts)
    has = {"table": patient.has_table, "notes": patient.has_notes}
    best = observable_risks(design.world, design.interaction, facts, patient.seen, has)
    records = draw_records(design.stream(number, "records"), design, turned)
    told = retold(case, records, turned, bundle.protocol, bundle.text_encoder)
    odds = [_log_odds(bundle, example) for example in (case.example, told)]
    names = [task.name for task in bundle.protocol.tasks]
    limit = logit([best[name] for name in names]) - logit(case.observable)
    return odds[1] - odds[0], np.asarray(limit)


def _log_odds(bundle: Bundle, example: Example) -> Array:
    inputs = example.model_input(bundle.table_transform)
    logits = bundle.unsettled([inputs]).logits[0].double().cpu().numpy()
    return np.array([
        float(to_log_odds(calibrator, logits[number], inputs.present))
        for number, calibrator in enumerate(calibrators_of(bundle))
    ])  # fmt: skip


def _judged(moves: Sequence[tuple[Array, Array]], names: Sequence[str]) -> dict[str, object]:
    """Return, for each task and all, how often the risk moved the way that it should."""
    if not moves:
        return {"tasks": {}, "patients": 0, "whole": _share(np.array([], dtype=bool))}
    ours, best = (np.stack([pair[side] for pair in moves]) for side in (0, 1))
    matters = np.abs(best) >= LEAST_MOVE
    right = np.sign(ours) == np.sign(best)
    return {
        "patients": len(moves),
        "tasks": {
            name: _share(right[matters[:, number], number]) for number, name in enumerate(names)
        },
        "whole": _share(right[matters]),
    }


def _share(right: NDArray[np.bool_]) -> dict[str, float | int | None]:
    """Return a share with its exact 95 % interval."""
    if not len(right):
        return {"moves": 0, "right": None, "low": None, "high": None}
    share, (low, high) = exact_share(int(right.sum()), len(right))
    return {"moves": len(right), "right": share, "low": low, "high": high}


def figures(result: Mapping[str, Any]) -> list[Figure]:
    """List the share of risks that moved the right way: of all, by task, by what was turned."""
    whole = result["all"]
    shares = {"all": whole["whole"], **whole["tasks"]} | {
        f"{row['topic']}, {row['from']} to {row['to']}": row["whole"] for row in result["rows"]
    }
    return [
        Figure(
            f"{name}: risk moves the right way", share["right"], (share["low"], share["high"]),
            *AT_LEAST_AND_AIM, result["command"],
        )
        for name, share in shares.items()
        if share["moves"]
    ]  # fmt: skip


def _markdown(result: Mapping[str, Any], names: Sequence[str]) -> str:
    lines = [
        "# Does the risk follow the notes (simulated patients)",
        "",
        f"`{result['command']}`, {result['machine']}, seed {result['seed']}, bundle "
        f"{result['bundle'][:12]}. A topic of the notes is turned into its opposite; counted are "
        f"the answers that this should move by at least {LEAST_MOVE} log-odds: how many, and the "
        "share that moved that way.",
        "",
        f"| notes | patients | all tasks | {' | '.join(names)} |",
        "| --- " * (len(names) + 3) + "|",
    ]
    rows = [*result["rows"], {"topic": "all", "from": "", "to": ""} | result["all"]]
    for row in rows:
        what = f"{row['topic']}: {row['from']} to {row['to']}" if row["from"] else "all"
        cells = [_shown(row["whole"]), *(_shown(row["tasks"].get(name)) for name in names)]
        lines.append(f"| {what} | {row['patients']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _shown(share: Mapping[str, float] | None) -> str:
    if not share or not share["moves"]:
        return "none"
    low, high = share["low"], share["high"]
    return f"{share['right']:.1%} of {share['moves']} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_PATIENTS)

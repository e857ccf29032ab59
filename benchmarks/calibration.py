"""How far calibrated probabilities lie from true ones, by method and number of patients.

    python -m benchmarks.calibration        (part of make bench; minutes on one core)

Writes benchmarks/results/calibration.json and calibration.md. Scores are simulated: true log-odds
are normal (17 % prevalence), the score overstates them (slope 0.6), and in a second setting the
prevalence has shifted as well. The score ranks perfectly, so all error is calibration's.
"""

import json
import platform
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.calibration import choose
from pipeline.calibration.conformal import fit_conformal, label_set
from pipeline.calibration.fit import CANDIDATES
from pipeline.calibration.maps import map_log_odds
from pipeline.errors import CalibrationError

RESULTS = Path(__file__).parent / "results"
SIZES = (50, 200, 1000)
N_REPEATS = 20
N_NEW = 1000
SLOPE, MEAN, SD = 0.6, -2.2, 1.5
SHIFTS = {
    "same prevalence": 0.0, "prevalence shifted a little": -0.4, "prevalence shifted": -0.8,
}  # fmt: skip
CHOSEN = {"chosen": choose.STANDARD_ERRORS, "chosen by a whole standard error": 1.0}

Array = NDArray[np.float64]
Row = dict[str, float]


def main() -> None:
    """Fit every method at every size, many times, and compare with the truth."""
    table = {name: {str(n): _errors(n, shift) for n in SIZES} for name, shift in SHIFTS.items()}
    sets = {str(n): _coverage(n) for n in SIZES}
    result = {
        "command": "python -m benchmarks.calibration",
        "machine": f"{platform.machine()}, numpy {version('numpy')}",
        "repeats": N_REPEATS,
        "seeds": f"0 to {N_REPEATS - 1}",
        "error_in_points": table,
        "conformal_at_90_percent": sets,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "calibration.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "calibration.md").write_text(_markdown(table, sets))
    print((RESULTS / "calibration.md").read_text())


def _draw(n: int, shift: float, seed: int) -> tuple[Array, Array, Array]:
    """Return scores, labels and true probabilities."""
    random = np.random.default_rng(seed)
    truth = random.normal(MEAN, SD, n)
    p = expit(truth)
    return (truth - shift) / SLOPE, (random.random(n) < p).astype(np.float64), p


def _errors(n: int, shift: float) -> dict[str, float]:
    """Return each method's mean absolute error, percentage points."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(N_REPEATS):
        score, labels, _ = _draw(n, shift, seed)
        new, _, truth = _draw(N_NEW, shift, 10_000 + seed)
        for name, fit in CANDIDATES.items():
            try:
                p = expit(map_log_odds(fit(score, labels), new))
            except CalibrationError:
                found[f"{name} refused"].append(1.0)
                continue
            found[name].append(100.0 * float(np.abs(p - truth).mean()))
        _add_chosen(found, score, labels, new, truth)
    counts = {name: len(values) for name, values in found.items() if name.endswith("refused")}
    means = {name: float(np.mean(v)) for name, v in found.items() if name not in counts}
    return means | {name: float(count) for name, count in counts.items()}


def _add_chosen(
    found: dict[str, list[float]], score: Array, labels: Array, new: Array, truth: Array
) -> None:
    for name, standard_errors in CHOSEN.items():
        try:
            with patch.object(choose, "STANDARD_ERRORS", standard_errors):
                p = expit(map_log_odds(choose.fit_map(score, labels, task="simulated"), new))
        except CalibrationError:
            found[f"{name} refused"].append(1.0)
            continue
        found[name].append(100.0 * float(np.abs(p - truth).mean()))


def _coverage(n: int) -> dict[str, float]:
    """Return class coverage and size of conformal sets, mean over calibration sets."""
    rows = []
    for seed in range(N_REPEATS):
        _, labels, p = _draw(n, 0.0, seed)
        fitted = fit_conformal(p, labels, coverage=0.9)
        if fitted is None:
            continue
        _, truth, new = _draw(N_NEW, 0.0, 10_000 + seed)
        sets = [label_set(fitted, float(value)) for value in new]
        held = np.array([str(int(y)) in own for y, own in zip(truth, sets, strict=True)])
        size = np.mean([len(own) for own in sets])
        rows.append((held[truth == 0].mean(), held[truth == 1].mean(), size))
    if not rows:
        return {"possible": 0.0}
    negatives, positives, size = np.mean(rows, axis=0)
    return {
        "possible": len(rows) / N_REPEATS,
        "negatives": float(negatives),
        "positives": float(positives),
        "size": float(size),
    }


def _markdown(
    table: dict[str, dict[str, dict[str, float]]], sets: dict[str, dict[str, float]]
) -> str:
    lines = [
        "# Calibration against the truth (simulated scores)",
        "",
        f"`python -m benchmarks.calibration`, {N_REPEATS} draws a size. Mean absolute error of "
        f"the probability in percentage points on {N_NEW} new patients a draw.",
    ]
    for name, sizes in table.items():
        methods = [*CANDIDATES, *CHOSEN]
        lines += ["", f"## {name.capitalize()}", "", "| patients | " + " | ".join(methods) + " |"]
        lines.append("| --- " * (len(methods) + 1) + "|")
        for n, row in sizes.items():
            cells = [f"{row[m]:.1f}" if m in row else "-" for m in methods]
            lines.append(f"| {n} | " + " | ".join(cells) + " |")
    lines += [
        "", "## Conformal sets, 90 % asked of each class", "",
        "| patients | could be set | negatives covered | positives covered | mean size |",
        "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for n, row in sets.items():
        cells = [f"{row[k]:.3f}" if k in row else "-" for k in ("negatives", "positives", "size")]
        lines.append(f"| {n} | {row['possible']:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

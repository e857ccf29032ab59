"""How far calibrated probabilities lie from true ones, by method and number of patients.

    python -m benchmarks.calibration        (part of make bench; minutes on one core)

Writes benchmarks/results/calibration.json and calibration.md. Scores are simulated: true log-odds
are normal (17 % prevalence), the score overstates them (slope 0.6). In two more settings the
prevalence has shifted as well; in the last, 3 % of the negatives and 15 % of the positives are
otherwise than the score says, however sure. The score ranks perfectly, so all error is
calibration's.
"""

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.figures import RESULTS, Figure, write_figures
from pipeline.calibration import choose
from pipeline.calibration.conformal import fit_conformal, label_set
from pipeline.calibration.fit import CANDIDATES
from pipeline.calibration.maps import map_log_odds
from pipeline.errors import CalibrationError

COMMAND = "python -m benchmarks.calibration"
SIZES = (50, 200, 1000, 3000)
N_REPEATS = 20
N_NEW = 1000
SLOPE, MEAN, SD = 0.6, -2.2, 1.5
CHOSEN = {"chosen": choose.STANDARD_ERRORS, "chosen by a whole standard error": 1.0}

Array = NDArray[np.float64]
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is wrong with a score.

    Parameters
    ----------
    shift
        Of the prevalence, log-odds.
    floor, ceiling
        Risk of the patients of the lowest and the highest scores.
    """

    name: str
    shift: float = 0.0
    floor: float = 0.0
    ceiling: float = 1.0


PLAIN = Setting("same prevalence")
SETTINGS = (
    PLAIN,
    Setting("prevalence shifted a little", shift=-0.4),
    Setting("prevalence shifted", shift=-0.8),
    Setting("outcomes partly chance", floor=0.03, ceiling=0.85),
)


def main() -> None:
    """Fit every method at every size, many times, and compare with the truth."""
    table = {setting.name: {str(n): _errors(n, setting) for n in SIZES} for setting in SETTINGS}
    sets = {str(n): _coverage(n) for n in SIZES}
    write_figures(RESULTS / "calibration.json", [*_figures(table, sets)])
    (RESULTS / "calibration.md").write_text(_markdown(table, sets))
    print((RESULTS / "calibration.md").read_text())


def _figures(table: Mapping[str, Mapping[str, Row]], sets: Mapping[str, Row]) -> Iterator[Figure]:
    for setting, sizes in table.items():
        for n, row in sizes.items():
            for method, value in row.items():
                what = method if method.endswith("refused") else f"{method}, points from the truth"
                yield Figure(f"{setting}, {n} patients: {what}", value, None, None, None, COMMAND)
    for n, row in sets.items():
        for what, value in row.items():
            name = f"90 % conformal sets, {n} patients: {what}"
            yield Figure(name, value, None, None, None, COMMAND)


def _draw(n: int, setting: Setting, seed: int) -> tuple[Array, Array, Array]:
    """Return scores, labels and true probabilities."""
    random = np.random.default_rng(seed)
    truth = random.normal(MEAN, SD, n)
    p = setting.floor + (setting.ceiling - setting.floor) * expit(truth)
    return (truth - setting.shift) / SLOPE, (random.random(n) < p).astype(np.float64), p


def _errors(n: int, setting: Setting) -> dict[str, float]:
    """Return each method's mean absolute error, percentage points."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(N_REPEATS):
        score, labels, _ = _draw(n, setting, seed)
        new, _, truth = _draw(N_NEW, setting, 10_000 + seed)
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
        _, labels, p = _draw(n, PLAIN, seed)
        fitted = fit_conformal(p, labels, coverage=0.9)
        if fitted is None:
            continue
        _, truth, new = _draw(N_NEW, PLAIN, 10_000 + seed)
        sets = [label_set(fitted, float(value)) or () for value in new]
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
        f"`{COMMAND}`, {N_REPEATS} draws a size (seeds 0 to {N_REPEATS - 1}), "
        f"{platform.machine()}, numpy {version('numpy')}. Mean absolute error of "
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

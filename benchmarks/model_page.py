"""What benchmarks/model.py found, as figures beside what is asked of them and as Markdown."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.figures import Bound, Figure, write_figures

RESULTS = Path(__file__).parent / "results"


def write(
    results: Sequence[Mapping[str, Any]],
    gains: Sequence[Mapping[str, Any]],
    tasks: Sequence[str],
    *,
    command: str,
    name: str,
    interaction: float,
) -> None:
    """Write name.json and name.md."""
    found = [_excess_figure(row, command) for row in results]
    found += [figure for row in results for figure in _further_figures(row, command)]
    found += [_gain_figure(row, command, interaction) for row in gains]
    write_figures(RESULTS / f"{name}.json", found)
    lines = [
        "# The network and its rivals against the known truth (simulated patients)",
        "",
        f"`{command}`, {platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}. "
        "Excess AUROC is (A - 0.5) / (limit - 0.5), the limit being the true probability given "
        "what is recorded; in brackets its 95 % interval over test patients. By task: AUROC, "
        "limit in brackets, mean difference from that probability before calibration.",
        "",
        f"| what | seed | excess AUROC, mean | minutes | {' | '.join(tasks)} |",
        f"| --- | --- | --- | --- |{' --- |' * len(tasks)}",
    ]
    lines += [_line(row, tasks) for row in results]
    lines += ["", "| difference, paired | seed | value |", "| --- | --- | --- |"]
    lines += [
        f"| {row['what']} | {row['seed']} | {row['value']:+.3f} ({row['interval'][0]:+.3f} to "
        f"{row['interval'][1]:+.3f}) |"
        for row in gains
    ]
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")


def _excess_figure(row: Mapping[str, Any], command: str) -> Figure:
    name = f"excess AUROC, mean over tasks: {row['what']}, seed {row['seed']}"
    at_least, aim = (0.9, 0.97) if row["what"] == "cross" else (None, None)
    return Figure(name, row["excess"], row["interval"], at_least, aim, command)


def _further_figures(row: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Yield the distance from the true probability, and how long the shipped fusion trained.

    What is asked of that distance is asked of calibrated risks: see ``benchmarks.truth``.
    """
    of = f"{row['what']}, seed {row['seed']}"
    points = 100 * mean(task["error"] for task in row["tasks"].values())
    name = f"points from the true probability, mean over tasks, before calibration: {of}"
    yield Figure(name, points, None, None, None, command)
    if row["what"] == "cross":
        yield Figure(f"minutes of training: {of}", row["seconds"] / 60, None, 60.0, 20.0, command)


def _gain_figure(row: Mapping[str, Any], command: str, interaction: float) -> Figure:
    name = f"{row['what']}, seed {row['seed']}"
    at_least, aim = _wanted(str(row["what"]), interaction)
    return Figure(name, row["value"], row["interval"], at_least, aim, command)


def _wanted(what: str, interaction: float) -> tuple[Bound, Bound]:
    """Return what a difference should be at least, and what is wished for."""
    if "trained on these" in what:
        return -0.015, -0.005
    if what.endswith("taught by trees minus boosted trees"):
        return 0.0, None
    if not interaction:
        return ((-0.005, 0.005), None) if what.endswith("late") else (None, None)
    if what.endswith("late"):
        return 0.015, 0.03
    return (0.03, 0.06) if what.endswith("_only") else (None, None)


def _line(row: Mapping[str, Any], names: Sequence[str]) -> str:
    low, high = row["interval"]
    tasks = [row["tasks"][name] for name in names]
    cells = [f"{t['auroc']:.3f} ({t['limit']:.3f}), {t['error']:.3f}" for t in tasks]
    return (
        f"| {row['what']} | {row['seed']} | {row['excess']:.3f} ({low:.3f} to {high:.3f}) "
        f"| {float(row['seconds']) / 60:.1f} | {' | '.join(cells)} |"
    )

"""Figures as the benchmarks keep them: each with what is wanted and how to get it again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Bound = float | tuple[float, float] | None
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Parameters
    ----------
    interval
        Of 95 %, over patients; None if none was estimated.
    at_least, aim
        What it must reach and what is wished for: a bound, which the value may not exceed where
        `aim` is the smaller of the two, or the lower and the upper one; None if nothing is asked.
        Of one alone, or of two that are equal, the name says the side.
    command
        Gives it again.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    at_least: Bound
    aim: Bound
    command: str


def with_interval(values: NDArray[np.float64]) -> list[float]:
    """Return a statistic's value and its 95 % interval.

    Parameters
    ----------
    values : shape (1 + B,)
        Of all patients, then of B bootstraps (``pipeline.calibration.statistics``).
    """
    return [float(values[0]), *np.nanpercentile(values[1:], [2.5, 97.5]).tolist()]


def exact_share(hits: int, n: int) -> tuple[float, tuple[float, float]]:
    """Return a share and its exact 95 % interval (Clopper and Pearson)."""
    low, high = binomtest(hits, n).proportion_ci()
    return hits / n, (float(low), float(high))


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write a list of name, value, interval, at_least, aim and command."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")

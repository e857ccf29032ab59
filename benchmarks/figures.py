"""Figures as the benchmarks keep them: each with what is wanted and how to get it again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bound = float | tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Parameters
    ----------
    interval
        Of 95 %, over patients; None if none was estimated.
    at_least, aim
        What it must reach and what is wished for: a bound, on the side that the name implies, or
        the lower and the upper one; None if nothing is asked.
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


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write a list of name, value, interval, at_least, aim and command."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")

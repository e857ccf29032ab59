"""Which of a column's several values counts at a moment."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.history.clock import Clock
from pipeline.history.values import typed
from schemas.column import MIN_SLOPE_DAYS, Column
from schemas.history import TableValue
from schemas.issue import Issue, IssueCode, Severity

_US_A_DAY = 86_400e6
_US_A_YEAR = 365.25 * _US_A_DAY


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """A column's values by time, the undated first; of one moment in the order of the file.

    Parameters
    ----------
    made_at : datetime64[us]
        NaT if undated.
    value : float64
        NaN where there is a fault.
    """

    made_at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    fault: NDArray[np.object_]
    limit: NDArray[np.object_]
    source: NDArray[np.object_]
    row: NDArray[np.object_]

    @classmethod
    def by_column(
        cls, rows: pd.DataFrame, usable: NDArray[np.bool_], columns: tuple[Column, ...]
    ) -> list["Candidates"]:
        """Return each column's values among the rows that the cut has left."""
        places = np.flatnonzero(usable)
        made_at = rows["recorded_at"].to_numpy()[places]
        # NaT is the smallest integer, so the undated come first.
        places = places[np.argsort(made_at.view(np.int64), kind="stable")]
        every = cls(
            rows["recorded_at"].to_numpy()[places],
            rows["value"].to_numpy()[places],
            *(rows[name].to_numpy(object)[places] for name in ("fault", "limit", "source", "row")),
        )
        names = rows["name"].to_numpy(object)[places]
        return [every.only(names == column.name) for column in columns]

    def only(self, keep: NDArray[np.bool_]) -> "Candidates":
        """Return some of them, in the same order."""
        return Candidates(
            self.made_at[keep], self.value[keep], self.fault[keep], self.limit[keep],
            self.source[keep], self.row[keep],
        )  # fmt: skip

    def where(self, place: int) -> str:
        """Say where one is written."""
        parts = [str(self.source[place]), f"row {self.row[place]}"]
        return ", ".join(part for part in parts if part not in ("", "row "))

    def __len__(self) -> int:
        """Count them."""
        return len(self.value)


def choose(
    found: Candidates, column: Column, since: np.datetime64 | None, clock: Clock
) -> tuple[TableValue, list[Issue]]:
    """Return a column's one value and what is to be said of it.

    The latest is the latest of the window, readable or not: an older value does not take the place
    of one that cannot be read. The other choices pass such values over and say how many. Undated
    values, which only the latest may be, have no window.

    Parameters
    ----------
    since
        Where the column's window begins; None without a moment.
    """
    # A comparison with NaT is false, so without a moment nothing is in the window.
    start = np.datetime64("NaT") if since is None else since
    is_in_window = found.made_at >= start
    if column.choose == "latest":
        found = found.only(is_in_window | np.isnat(found.made_at))
        usable = found.only(np.arange(len(found)) == len(found) - 1)
        issues = [*_unusable_latest(usable, column), *_differing(found, column)]
    else:
        usable = found.only(is_in_window)
        issues = _unusable_in_window(usable, column)
    usable = usable.only(~np.isnan(usable.value))
    empty = TableValue(name=column.name, value=None, unit=column.written_unit)
    number, place = _reduced(usable, column)
    if number is None:
        return empty, issues
    made_at = usable.made_at[place]
    recorded_at = None if np.isnat(made_at) else clock.shown(made_at)
    value = empty.model_copy(update={"value": typed(number, column), "recorded_at": recorded_at})
    used = range(len(usable)) if column.choose in ("mean", "slope") else [place]
    return value, [*issues, *_at_limit(usable, used, column)]


def _reduced(found: Candidates, column: Column) -> tuple[float | None, int]:
    """Return the number and which value gives it its time; None if there is none."""
    if not len(found):
        return None, 0
    last = len(found) - 1
    match column.choose:
        case "latest":
            return float(found.value[last]), last
        case "highest" | "lowest":
            best = found.value.max() if column.choose == "highest" else found.value.min()
            return float(best), int(np.flatnonzero(found.value == best)[-1])
        case "mean":
            return float(found.value.mean()), last
        case "slope":
            return _slope(found), last


def _slope(found: Candidates) -> float | None:
    """Return the change a year by least squares; None if the values lie too close in time."""
    since_first = (found.made_at - found.made_at[0]).astype(np.float64)
    if not since_first[-1] >= MIN_SLOPE_DAYS * _US_A_DAY:
        return None
    years = since_first / _US_A_YEAR
    centred = years - years.mean()
    return float(centred @ (found.value - found.value.mean()) / (centred @ centred))


def _unusable_latest(latest: Candidates, column: Column) -> list[Issue]:
    if not len(latest) or not latest.fault[0]:
        return []
    message = f"table column {column.name}: the latest value ({latest.where(0)}) {latest.fault[0]}"
    return [_issue(IssueCode.VALUE_IMPLAUSIBLE, f"{message}; it counts as missing")]


def _unusable_in_window(found: Candidates, column: Column) -> list[Issue]:
    faulty = np.flatnonzero(found.fault != "")
    if not len(faulty):
        return []
    first = int(faulty[0])
    message = (
        f"table column {column.name}: {len(faulty)} of {len(found)} values of the window were "
        f"left out; the first ({found.where(first)}) {found.fault[first]}"
    )
    return [_issue(IssueCode.VALUE_IMPLAUSIBLE, message)]


def _at_limit(found: Candidates, used: Iterable[int], column: Column) -> list[Issue]:
    limits = {"<": "below", ">": "above"}
    beyond = [place for place in used if found.limit[place]]
    if not beyond:
        return []
    side = limits[str(found.limit[beyond[-1]])]
    message = f"table column {column.name}: a value ({found.where(beyond[-1])}) is {side} a "
    message += "detection limit; the limit was taken for it"
    return [_issue(IssueCode.VALUE_AT_LIMIT, message, Severity.INFO)]


def _differing(found: Candidates, column: Column) -> list[Issue]:
    """Say that the latest moment has two different values."""
    if not len(found):
        return []
    last = found.made_at[-1]
    same = np.isnat(found.made_at) if np.isnat(last) else found.made_at == last
    different = np.unique(found.value[same & ~np.isnan(found.value)])
    if len(different) < 2:
        return []
    message = (
        f"table column {column.name}: {len(different)} different values of the same latest moment; "
        f"the one furthest down ({found.where(len(found) - 1)}) counts"
    )
    return [_issue(IssueCode.VALUES_DIFFER, message)]


def _issue(code: IssueCode, message: str, severity: Severity = Severity.WARNING) -> Issue:
    return Issue(code=code, severity=severity, message=message)

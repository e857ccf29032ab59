"""What the training cases looked like, and whether a new case is like them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from pipeline.errors import CalibrationError
from schemas.bundle import TrainedRange
from schemas.issue import Issue, IssueCode, Severity

QUANTILE = 0.995
MARGIN = 0.1
MIN_SLACK = 0.01
MIN_CASES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference statistics of the training cases.

    Parameters
    ----------
    mean : shape (C,)
        Of the pooled image features.
    precision : shape (C, C)
        Inverse of their shrunk covariance (Ledoit and Wolf, 2004).
    distance_limit
        The ``QUANTILE`` of the Mahalanobis distances of validation and calibration cases.
    ranges
        Smallest and largest value of each input quantity.
    scanners
        Manufacturers and models that they came from; empty if no header named one.
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]
    distance_limit: float
    ranges: tuple[TrainedRange, ...]
    scanners: tuple[str, ...] = ()

    def distance(self, summary: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Mahalanobis distance of features, shape (..., C) to (...)."""
        offset = summary - self.mean
        squared = np.einsum("...i,ij,...j->...", offset, self.precision, offset)
        return np.asarray(np.sqrt(np.clip(squared, 0.0, None)))


def fit_reference(
    train: NDArray[np.float64],
    held_out: NDArray[np.float64],
    quantities: list[Mapping[str, float]],
    scanners: Iterable[str] = (),
) -> Reference:
    """Fit on training features, shape (n, C); set the limit on held-out ones, shape (m, C).

    Parameters
    ----------
    quantities
        Of each training case, by name; a case may lack some.
    scanners
        Of each training case; empty where its header names none.

    Raises
    ------
    CalibrationError
        If there are fewer than ``MIN_CASES`` of either.
    """
    if not min(len(train), len(held_out)) >= MIN_CASES:
        msg = (
            f"the out-of-distribution check needs {MIN_CASES} training and held-out images, "
            f"got {len(train)} and {len(held_out)}: use a larger cohort"
        )
        raise CalibrationError(msg)
    covariance = LedoitWolf().fit(train)
    open_limit = Reference(covariance.location_, covariance.precision_, np.inf, ())
    names = sorted({name for case in quantities for name in case})
    ranges = [_range(name, [case[name] for case in quantities if name in case]) for name in names]
    limit = float(np.quantile(open_limit.distance(held_out), QUANTILE))
    known = tuple(sorted({scanner for scanner in scanners if scanner}))
    return Reference(covariance.location_, covariance.precision_, limit, tuple(ranges), known)


def _range(name: str, values: list[float]) -> TrainedRange:
    return TrainedRange(name=name, low=min(values), high=max(values))


def outside_reference(
    reference: Reference,
    summary: NDArray[np.float64] | None,
    quantities: Mapping[str, float],
    *,
    severity: Severity,
) -> list[Issue]:
    """Say in what a case is unlike the training cases.

    Parameters
    ----------
    summary : shape (C,)
        Pooled image features; None without an image.
    quantities
        Of the case, by name. Each may leave the training range by ``MARGIN`` of the range's
        width, or by ``MIN_SLACK`` of its size where training cases hardly differed.
    severity
        Of the issues: the protocol's policy.
    """
    messages = []
    if summary is not None:
        distance = float(reference.distance(summary))
        if not distance <= reference.distance_limit:
            limit = reference.distance_limit
            messages.append(f"image features lie at {distance:.1f}, the limit is {limit:.1f}")
    ranges = {known.name: known for known in reference.ranges}
    for name, value in quantities.items():
        known = ranges.get(name)
        if known is None:
            messages.append(f"{name} is {value:g}, no training case had it")
        elif not _within(value, known):
            messages.append(
                f"{name} is {value:g}, training cases have {known.low:g} to {known.high:g}"
            )
    text = "outside what the bundle was trained on: "
    code = IssueCode.OUT_OF_DISTRIBUTION
    return [Issue(code=code, severity=severity, message=text + message) for message in messages]


def unseen_scanner(reference: Reference, scanner: str, *, severity: Severity) -> list[Issue]:
    """Say if no training case came from a scanner, by manufacturer and model.

    Where neither the header nor any training case names one there is nothing to compare.
    """
    if not reference.scanners or scanner in reference.scanners:
        return []
    message = (
        f"no training case came from the scanner {scanner!r}, they came from "
        f"{len(reference.scanners)} others: judge the bundle on cases of it before trusting it"
    )
    if not scanner:
        severity = Severity.INFO
        message = (
            "the header does not name the scanner, so it cannot be compared with those that "
            "training cases came from"
        )
    return [Issue(code=IssueCode.SCANNER_UNSEEN, severity=severity, message=message)]


def _within(value: float, known: TrainedRange) -> bool:
    size = max(abs(known.low), abs(known.high))
    slack = max(MARGIN * (known.high - known.low), MIN_SLACK * size)
    return known.low - slack <= value <= known.high + slack

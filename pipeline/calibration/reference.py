"""What the training cases looked like, and whether a new case is like them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
TOO_FEW_IMAGES = (
    f"the out-of-distribution check needs {MIN_CASES} training and as many held-out images: use a "
    "larger cohort"
)


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where the training cases lie among pooled features of one kind.

    Parameters
    ----------
    mean : shape (C,)
    precision : shape (C, C)
        Inverse of the shrunk covariance (Ledoit and Wolf, 2004).
    limit
        The ``QUANTILE`` of the Mahalanobis distances of validation and calibration cases.
    """

    mean: Array
    precision: Array
    limit: float

    def distance(self, summary: Array) -> Array:
        """Return the Mahalanobis distance of features, shape (..., C) to (...)."""
        offset = summary - self.mean
        squared = np.einsum("...i,ij,...j->...", offset, self.precision, offset)
        return np.asarray(np.sqrt(np.clip(squared, 0.0, None)))


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference statistics of the training cases.

    Parameters
    ----------
    image
        Of the pooled image features.
    history
        Of the pooled history tokens of cases with the usual modalities; None if fewer than
        ``MIN_CASES`` had them, so that there is nothing to compare with.
    history_of
        Those modalities: what most training cases had beside an image.
    ranges
        Smallest and largest value of each input quantity.
    scanners
        Manufacturers and models that they came from; empty if no header named one.
    body_parts
        Stated by the headers of the images that were read; empty if none did.
    """

    image: Space
    history: Space | None
    ranges: tuple[TrainedRange, ...]
    history_of: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Pooled features of one case.

    Parameters
    ----------
    image : shape (C,)
    history : shape (D,)
        Each None where there is nothing of it.
    history_of
        The modalities of the history.
    """

    image: Array | None
    history: Array | None
    history_of: tuple[str, ...] = ()


def history_of(present: Iterable[str]) -> tuple[str, ...]:
    """Return the modalities of a history, of all those that a case has."""
    return tuple(name for name in present if name != "image")


def fit_space(train: Array, held_out: Array) -> Space | None:
    """Fit on training features, shape (n, C); set the limit on held-out ones, shape (m, C).

    Returns
    -------
    Space or None
        None if there are fewer than ``MIN_CASES`` of either.
    """
    if not min(len(train), len(held_out)) >= MIN_CASES:
        return None
    covariance = LedoitWolf().fit(train)
    space = Space(covariance.location_, covariance.precision_, np.inf)
    return replace(space, limit=float(np.quantile(space.distance(held_out), QUANTILE)))


def require_images(n_train: int, n_held_out: int) -> None:
    """Refuse so few images that :func:`fit_reference` would.

    Raises
    ------
    CalibrationError
        If there are fewer than ``MIN_CASES`` of either.
    """
    if not min(n_train, n_held_out) >= MIN_CASES:
        raise CalibrationError(TOO_FEW_IMAGES)


def fit_reference(
    image: Space | None,
    history: Space | None,
    quantities: Sequence[Mapping[str, float]],
    *,
    history_of: tuple[str, ...] = (),
    scanners: Iterable[str] = (),
    body_parts: Iterable[str] = (),
) -> Reference:
    """Gather what training cases look like.

    Parameters
    ----------
    quantities
        Of each training case, by name; a case may lack some.
    history_of
        The modalities of the histories behind their space.
    scanners, body_parts
        Of training cases; empty where a header names none.

    Raises
    ------
    CalibrationError
        If there were too few images for a space of them.
    """
    if image is None:
        raise CalibrationError(TOO_FEW_IMAGES)
    names = sorted({name for case in quantities for name in case})
    ranges = [_range(name, [case[name] for case in quantities if name in case]) for name in names]
    return Reference(
        image, history, tuple(ranges), history_of, _named(scanners), _named(body_parts)
    )


def _named(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))


def _range(name: str, values: list[float]) -> TrainedRange:
    return TrainedRange(name=name, low=min(values), high=max(values))


def outside_reference(
    reference: Reference, summary: Summary, quantities: Mapping[str, float], *, severity: Severity
) -> list[Issue]:
    """Say in what a case is unlike the training cases.

    Parameters
    ----------
    quantities
        Of the case, by name. Each may leave the training range by ``MARGIN`` of the range's
        width, or by ``MIN_SLACK`` of its size where training cases hardly differed.
    severity
        Of the issues: the protocol's policy.
    """
    messages = _far("image features", summary.image, reference.image)
    incomparable = _incomparable(reference, summary)
    if reference.history is not None and not incomparable:
        messages += _far("features of the history", summary.history, reference.history)
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
    found = [Issue(code=code, severity=severity, message=text + message) for message in messages]
    if incomparable:
        found.append(Issue(code=code, severity=Severity.INFO, message=incomparable))
    return found


def _incomparable(reference: Reference, summary: Summary) -> str:
    """Say why a history cannot be compared with those of training; empty if it can."""
    if summary.history is None:
        return ""
    if reference.history is None:
        return (
            f"fewer than {MIN_CASES} training or held-out cases had a history, so this one's "
            "cannot be compared with theirs"
        )
    if summary.history_of == reference.history_of:
        return ""
    usual = " and ".join(reference.history_of) or "neither notes nor a table"
    return f"most training cases had {usual}, this one has not, so its history is not compared"


def _far(what: str, summary: Array | None, space: Space) -> list[str]:
    if summary is None:
        return []
    distance = float(space.distance(summary))
    if distance <= space.limit:
        return []
    return [f"{what} lie at {distance:.1f}, the limit is {space.limit:.1f}"]


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


def unseen_body_parts(
    reference: Reference, stated: Sequence[str], *, severity: Severity
) -> list[Issue]:
    """Say which body parts, as headers state them, no training case had.

    Parameters
    ----------
    stated
        By the headers of the images that are read.
    """
    if not reference.body_parts:
        return []
    code = IssueCode.BODY_PART_UNSEEN
    if not stated:
        message = (
            "no header states the body part, so it cannot be compared with those of the training "
            "cases"
        )
        return [Issue(code=code, severity=Severity.INFO, message=message)]
    return [
        Issue(
            code=code,
            severity=severity,
            message=(
                f"a header states the body part {part!r}, those of training cases state "
                f"{len(reference.body_parts)} others: check that the right images were read"
            ),
        )
        for part in stated
        if part not in reference.body_parts
    ]


def _within(value: float, known: TrainedRange) -> bool:
    size = max(abs(known.low), abs(known.high))
    slack = max(MARGIN * (known.high - known.low), MIN_SLACK * size)
    return known.low - slack <= value <= known.high + slack

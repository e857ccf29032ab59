"""Whether the slices of one volume all show the same thing."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta

from pipeline.ingest.instance import FoundFrame
from schemas.issue import Issue, IssueCode, Severity

# A volume has one of each. Values within 2 % are the same: scanners round them.
_REFUSED = ("echo time", "b-value", "temporal position", "kernel")
_DOUBTED = ("inversion time", "flip angle", "kV", "image type")
_SAME_NUMBER = 0.02
_FEW = 3
_LONGEST_SCAN = timedelta(hours=12)

Frames = Sequence[FoundFrame]


def mixture_issues(frames: Frames) -> tuple[Issue, ...]:
    """Say of slices that could be one volume where they differ in what they show.

    Slices that lack a value are not held against it. Other values that may differ from slice to
    slice (a trigger time, a tube current) are not looked at.
    """
    if len({found.frame.component or "magnitude" for found in frames}) > 1:
        return (_mixed("parts of a complex image", Severity.ERROR),)
    traits = Counter(one.frame.traits for one in frames)  # few of many frames differ
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for some, count in traits.items():
        for name, value in dict(reversed(some)).items():  # the first of a name counts
            if value:
                values[name][value] += count
    found = [
        _mixed(f"values of {name}", severity)
        for names, severity in ((_REFUSED, Severity.ERROR), (_DOUBTED, Severity.WARNING))
        for name in names
        if _vary(values[name])
    ]
    acquisitions = values["acquisition"]
    if len(acquisitions) == 2 and min(acquisitions.values()) < _FEW <= max(acquisitions.values()):
        found.append(_mixed("acquisitions", Severity.WARNING))
    moments = [at for one in frames if (at := one.instance.acquired_at) is not None]
    if moments and max(moments) - min(moments) > _LONGEST_SCAN:
        found.append(_mixed("days", Severity.WARNING))
    return tuple(found[:1])


def _vary(different: Collection[str]) -> bool:
    if len(different) < 2:
        return False
    try:
        numbers = [float(value) for value in different]
    except ValueError:
        return True
    low, high = min(numbers), max(numbers)
    return not high - low <= _SAME_NUMBER * abs(high)


def _mixed(what: str, severity: Severity) -> Issue:
    return Issue(
        code=IssueCode.SERIES_MIXED,
        severity=severity,
        message=f"The slices of this volume have different {what}.",
    )

"""What the risk would be otherwise, in words and as rows."""

from dataclasses import dataclass

from pipeline.report.words import measured, percent
from schemas.what_if import Change, Modality, Reference, WhatIf

CHANGES_SHOWN = 5
LEAST_CHANGE = 0.005
"""Of a probability: what changes it less is not told, even if it rounds to another percent."""
_REFERENCES: dict[Reference, str] = {
    "mean": "the mean of the training patients", "normal": "the nearest normal value"
}  # fmt: skip
_NAMES: dict[Modality, str] = {"image": "Image", "notes": "Notes", "table": "Table"}


@dataclass(frozen=True, slots=True)
class ModalityRow:
    """What one modality counts for.

    Parameters
    ----------
    share
        Log-odds; None where the case has no such modality.
    start, length
        Of its bar, in percent of the largest share; zero lies at 0.
    without, alone
        The probability with all others read, and with it alone.
    """

    name: str
    share: float | None
    start: float
    length: float
    without: float | None
    alone: float | None


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One fact turned round: the condition in words, and the probability then."""

    condition: str
    probability: float


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """What an answer hangs on, as the page shows it."""

    modalities: tuple[ModalityRow, ...]
    nothing: float
    """Calibrated log-odds with nothing read."""
    nothing_probability: float
    total: float
    """Calibrated log-odds of the answer."""
    changes: tuple[Otherwise, ...]
    n_unlisted: int
    """Further changes that only report.json holds."""


def view_of(what_if: WhatIf) -> WhatIfView:
    """Lay out the modalities, and the facts that move the probability furthest."""
    subsets = what_if.modalities.subsets
    told = _furthest(what_if, subsets[-1].probability)
    return WhatIfView(
        modalities=_rows(what_if),
        nothing=subsets[0].calibrated_logit,
        nothing_probability=subsets[0].probability,
        total=subsets[-1].calibrated_logit,
        changes=tuple(Otherwise(condition(one), one.probability) for one in told),
        n_unlisted=len(what_if.changes) - len(told),
    )


def condition(change: Change) -> str:
    """Say in words what was otherwise.

    Examples
    --------
    >>> condition(Change(kind="concept", name="fits", label="Own seizures", before="present",
    ...     probability=0.1, calibrated_logit=-2.2))
    'If the notes did not speak of “Own seizures” (read: present)'
    """
    if change.kind == "image":
        return "If what the heatmap points at looked like what is around it"
    name = change.label or change.name.replace("_", " ")
    before = measured(change.before, change.unit)
    if change.after is None:
        return f"If the notes did not speak of “{name}” (read: {before})"
    after = measured(change.after, change.unit)
    whose = "" if change.reference is None else f", {_REFERENCES[change.reference]}"
    return f"If “{name}” were {after}{whose}, not {before}"


def _furthest(what_if: WhatIf, probability: float) -> list[Change]:
    """Return the changes to tell: of each fact the one of largest effect, the largest first.

    What would be told as the same percent is left out.
    """
    found: dict[tuple[str, str], Change] = {}
    for change in sorted(what_if.changes, key=lambda one: -abs(one.probability - probability)):
        is_seen = percent(change.probability) != percent(probability)
        if is_seen and abs(change.probability - probability) >= LEAST_CHANGE:
            found.setdefault((change.kind, change.name), change)
    return list(found.values())[:CHANGES_SHOWN]


def _rows(what_if: WhatIf) -> tuple[ModalityRow, ...]:
    shares = what_if.modalities.shares
    there = [share.name for share in shares if share.is_present]
    largest = max((abs(share.log_odds) for share in shares), default=0.0) or 1.0
    rows = []
    for share in shares:
        percent = share.log_odds / largest * 100
        others = [name for name in there if name != share.name]
        rows.append(
            ModalityRow(
                name=_NAMES[share.name],
                share=share.log_odds if share.is_present else None,
                start=min(0.0, percent),
                length=abs(percent),
                without=what_if.modalities.risk_of(*others) if share.is_present else None,
                alone=what_if.modalities.risk_of(share.name) if share.is_present else None,
            )
        )
    return tuple(rows)

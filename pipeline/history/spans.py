"""Flags that begin and end: a disease that abates, a medicine that is stopped."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.history.moments import instant

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time in which a flag held.

    Parameters
    ----------
    owner
        Whose: any key of the patient.
    name
        The column.
    start
        ISO 8601, the end of what is stated; "" if unknown.
    end
        The same; "" if it goes on.
    source, row
        Where it is written.
    """

    owner: str
    name: str
    start: str
    end: str
    source: str
    row: int


def flag_rows(spans: Iterable[Span]) -> list[tuple[str | int, ...]]:
    """Return a yes for each start, and a no for each end after which no other stretch goes on.

    Two prescriptions that overlap are one treatment: the end of the first does not stop it.
    A no is dated by its end, so whoever reads at an earlier moment never sees it.

    Returns
    -------
    Rows of ``TABLE``, with the owner in the place of the patient.
    """
    groups: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        groups[span.owner, span.name].append(span)
    rows: list[tuple[str | int, ...]] = []
    for group in groups.values():
        rows += [_row(span, span.start, YES) for span in group]
        rows += [_row(span, span.end, NO) for span in group if _is_last(span, group)]
    return rows


def _row(span: Span, moment: str, text: str) -> tuple[str | int, ...]:
    return (span.owner, moment, "", span.name, text, "", span.source, span.row)


def _is_last(span: Span, group: list[Span]) -> bool:
    """Say whether a stretch ends, and no other covers the moment at which it does."""
    if not span.end:
        return False
    end = instant(span.end)
    return not any(
        other.start != ""
        and instant(other.start) <= end
        and (other.end == "" or instant(other.end) > end)
        for other in group
        if other is not span
    )

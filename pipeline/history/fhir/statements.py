"""What Observations, Conditions and medicines say about the protocol's columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.history.fhir.resources import (
    Concept,
    Condition,
    Measured,
    MedicationRequest,
    MedicationStatement,
    Medicine,
    Observation,
    Period,
)
from pipeline.history.moments import later
from pipeline.history.spans import NO, YES
from schemas.sources import FhirColumn

MEASURED = frozenset({"preliminary", "final", "amended", "corrected"})
PRESCRIBED = frozenset({"active", "completed", "stopped"})
ORDERED = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
ENDED = frozenset({"inactive", "remission", "resolved", "completed", "stopped"})

NO_VALUE = "has no value that can be read (quantity, code, text, yes or no, whole number)"
NO_END = "ended at a time that is not stated, so when it held is not known"


class Value(NamedTuple):
    """One value of a column."""

    name: str
    recorded_at: str
    available_at: str
    text: str
    unit: str


class Stretch(NamedTuple):
    """When a flag held; an empty end says that it goes on."""

    name: str
    start: str
    end: str


class StatementError(ValueError):
    """A resource that counts, but says nothing that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The columns of one kind of resource, by code."""

    by_code: dict[tuple[str, str], list[FhirColumn]]

    @classmethod
    def of(cls, columns: tuple[FhirColumn, ...], resource: str) -> "Mapped":
        """Return those columns that a kind of resource says."""
        by_code: dict[tuple[str, str], list[FhirColumn]] = {}
        for column in columns:
            for code in column.codes if column.resource == resource else ():
                by_code.setdefault((column.system, code), []).append(column)
        return cls(by_code)

    def columns(self, concept: Concept) -> list[FhirColumn]:
        """Return the columns that any of a concept's codings says, each once."""
        found = {}
        for coding in concept.coding:
            for column in self.by_code.get((coding.system, coding.code), ()):
                found[id(column)] = column
        return list(found.values())


def observed(observation: Observation, mapped: Mapped) -> Iterator[Value]:
    """Give the values of an Observation and its components.

    Raises
    ------
    StatementError
        If one of them has a code of the mapping and no value that can be read.
    """
    if observation.status not in MEASURED:
        return
    period = observation.effectivePeriod
    happened = observation.effectiveDateTime or observation.effectiveInstant
    happened = happened or (period.end if period else "")
    is_lost = False
    for part in (observation, *observation.component):
        for column in mapped.columns(part.code):
            answer = _answer(part, column)
            if answer is None:
                is_lost |= part.dataAbsentReason is None
                continue
            issued = "" if column.date == "happened" else observation.issued
            yield Value(column.column, happened or issued, issued, *answer)
    if is_lost:
        raise StatementError(NO_VALUE)


def _answer(part: Measured, column: FhirColumn) -> tuple[str, str] | None:
    """Return text and unit; None if there is no value that can be read."""
    quantity = part.valueQuantity
    if quantity is not None and quantity.value is not None:
        unit = quantity.code or quantity.unit
        return f"{quantity.comparator}{quantity.value}", column.units.get(unit, unit)
    if part.valueCodeableConcept is not None and part.valueCodeableConcept.coding:
        codes = [coding.code for coding in part.valueCodeableConcept.coding]
        known = [column.values[code] for code in codes if code in column.values]
        return (known or codes)[0], ""
    if part.valueBoolean is not None:
        return (YES if part.valueBoolean else NO), ""
    plain = part.valueString if part.valueInteger is None else str(part.valueInteger)
    return None if plain is None else (column.values.get(plain, plain), "")


def diagnosed(condition: Condition, mapped: Mapped) -> Iterator[Stretch]:
    """Give the stretches of a Condition that is confirmed, or of which no doubt is stated.

    Raises
    ------
    StatementError
        If it ended at an unknown time and a column needs to know when.
    """
    if not _codes(condition.verificationStatus) <= {"confirmed"}:
        return
    onset = condition.onsetDateTime or _end(condition.onsetPeriod)
    recorded = condition.recordedDate
    end = condition.abatementDateTime or _end(condition.abatementPeriod)
    # A disease begins long before anyone knows of it: its onset alone does not say since when.
    known = later(recorded, onset) if recorded else ""
    starts = [
        (column, onset if column.date == "happened" else known)
        for column in mapped.columns(condition.code)
    ]
    has_ended = bool(_codes(condition.clinicalStatus) & ENDED)
    yield from _stretches(starts, end, has_ended=has_ended)


def medicated(medicine: Medicine, concept: Concept, mapped: Mapped) -> Iterator[Stretch]:
    """Give the stretches of a medicine that was prescribed, or that somebody said is taken.

    Parameters
    ----------
    concept
        Which medicine it is.

    Raises
    ------
    StatementError
        If it ended at an unknown time and a column needs to know when.
    """
    match medicine:
        case MedicationRequest():
            yield from _prescribed(medicine, concept, mapped)
        case MedicationStatement():
            yield from _stated(medicine, concept, mapped)


def _prescribed(request: MedicationRequest, concept: Concept, mapped: Mapped) -> Iterator[Stretch]:
    is_order = request.intent in ORDERED and not request.doNotPerform
    if request.status not in PRESCRIBED or not is_order:
        return
    bounds = [_end(dose.timing.repeat.boundsPeriod) for dose in request.dosageInstruction]
    # What was stopped ended before its planned end, at a time that the resource does not state.
    is_planned = request.status != "stopped" and bool(bounds) and all(bounds)
    end = ""
    for bound in bounds if is_planned else ():
        end = later(end, bound)
    starts = [(column, request.authoredOn) for column in mapped.columns(concept)]
    yield from _stretches(starts, end, has_ended=request.status in ENDED)


def _stated(statement: MedicationStatement, concept: Concept, mapped: Mapped) -> Iterator[Stretch]:
    if statement.status not in PRESCRIBED:
        return
    period = statement.effectivePeriod
    begun = statement.effectiveDateTime or (period.start if period else "")
    asserted = statement.dateAsserted
    known = later(asserted, begun) if asserted else ""
    starts = [
        (column, begun if column.date == "happened" else known)
        for column in mapped.columns(concept)
    ]
    yield from _stretches(starts, _end(period), has_ended=statement.status in ENDED)


def _stretches(
    starts: list[tuple[FhirColumn, str]], end: str, *, has_ended: bool
) -> Iterator[Stretch]:
    is_lost = has_ended and not end
    for column, start in starts:
        if not column.ends:
            yield Stretch(column.column, start, "")
        elif not is_lost:
            # Whoever learns of it after its end learns that it has ended.
            yield Stretch(column.column, start, later(end, start) if end else "")
    if is_lost and any(column.ends for column, _ in starts):
        raise StatementError(NO_END)


def _codes(concept: Concept | None) -> set[str]:
    return {coding.code for coding in concept.coding} if concept else set()


def _end(period: Period | None) -> str:
    return period.end if period else ""

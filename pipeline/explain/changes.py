"""One case with one fact turned round: what the network would read if the record said otherwise."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.explain.restate import Fact, restated
from pipeline.sentences import sentence_spans
from pipeline.tensors import ModelInput, TableInput, TextInput
from schemas.column import Column
from schemas.history import ConceptFact, ConceptValue, History, Note, TableValue
from schemas.notes_rule import Concept
from schemas.protocol import Protocol
from schemas.what_if import Reference

UNUSUAL_SD = 1.0
"""From how many standard deviations off the training patients' mean a number is asked about."""
_TURNED: Mapping[ConceptFact, tuple[ConceptFact, ...]] = {
    "present": ("absent",),
    "stopped": ("present",),
    "absent": ("present",),
    "left": ("right", "absent"),
    "right": ("left", "absent"),
    "both": ("absent",),
}

ReadTable = Callable[[History], TableInput | None]
ReadNote = Callable[[Note], TextInput]
Usual = Mapping[str, tuple[float, float]]
"""Mean and standard deviation of each number, by its name, among the training patients."""


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """A case in which one fact is otherwise.

    Parameters
    ----------
    before, after
        What was read, and what is read instead; None where the notes say nothing of it.
    n_sentences
        Sentences that are taken away with it.
    restated
        The sentence that stands in the place of the first of them; empty if none does.
    reference
        Where a number's ``after`` is from; None of all else.
    """

    kind: Literal["table", "concept"]
    variable: Column | Concept
    before: Fact
    after: Fact | None
    n_sentences: int
    case: ModelInput
    reference: Reference | None = None
    restated: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A case with the record that it was made of.

    Parameters
    ----------
    read_table
        A history's columns and concepts as the network reads them.
    read_note
        A note as the network reads it.
    """

    case: ModelInput
    history: History
    protocol: Protocol
    read_table: ReadTable
    read_note: ReadNote
    usual: Usual


def alternatives(record: Record) -> list[Alternative]:
    """Return the case with each fact turned round that can be.

    - A number outside the protocol's normal range takes the nearer end of it; one without such a
      range, far from what is usual, the training patients' mean. A flag that is set is not set. A
      category has no usual value, and stays.
    - A concept that the notes speak of is not spoken of; or it is the other way round: present
      and absent, taken and stopped, left and right. Sentences that say otherwise are taken away;
      where it is the other way round, one sentence that says so stands in the first one's place.
    """
    if record.case.table is None:  # nothing is known, so nothing can be otherwise
        return []
    values = zip(record.history.values, record.protocol.table, strict=True)
    told = zip(record.history.concepts, record.protocol.concepts, strict=True)
    return [
        *(one for value, column in values for one in _of_column(record, value, column)),
        *(one for value, concept in told for one in _of_concept(record, value, concept)),
    ]


def _of_column(record: Record, value: TableValue, column: Column) -> Iterator[Alternative]:
    if value.value is None:
        return
    for after in _usual_instead(record, column, value.value):
        values = tuple(
            one.model_copy(update={"value": after}) if one.name == value.name else one
            for one in record.history.values
        )
        history = record.history.model_copy(update={"values": values})
        case = replace(record.case, table=record.read_table(history))
        yield Alternative("table", column, value.value, after, 0, case, _reference(column))


def _usual_instead(record: Record, variable: Column | Concept, value: Fact) -> tuple[Fact, ...]:
    """Return the usual value in place of an unusual one; nothing if it is usual."""
    if variable.kind == "flag":
        return (False,) if value is True else ()
    if isinstance(variable, Column) and variable.normal is not None:
        nearest = float(min(max(float(value), variable.normal[0]), variable.normal[1]))
        return (nearest,) if nearest != float(value) else ()
    if variable.kind != "number" or variable.name not in record.usual:
        return ()
    mean, sd = record.usual[variable.name]
    return (float(f"{mean:.3g}"),) if abs(float(value) - mean) > UNUSUAL_SD * sd else ()


def _reference(variable: Column | Concept) -> Reference | None:
    if variable.kind != "number":
        return None
    return "normal" if isinstance(variable, Column) and variable.normal is not None else "mean"


def _of_concept(record: Record, told: ConceptValue, concept: Concept) -> Iterator[Alternative]:
    if told.value is None:
        return
    turned: tuple[Fact, ...] = _TURNED.get(told.value, ())
    if concept.kind == "drug" and told.value == "present":
        turned = ("stopped",)
    for after in (None, *turned, *_usual_instead(record, concept, told.value)):
        concepts = tuple(
            one.model_copy(update={"value": after}) if one.name == told.name else one
            for one in record.history.concepts
        )
        history = record.history.model_copy(update={"concepts": concepts})
        gone = sentences_that_say(record.history, told.name, other_than=after)
        said = None
        if after is not None and gone and record.case.text is not None:
            said = restated(concept, after)
        text = _said_otherwise(record, gone, said)
        case = replace(record.case, table=record.read_table(history), text=text)
        is_usual = concept.kind == "number" and after is not None
        reference = _reference(concept) if is_usual else None
        yield Alternative(
            "concept", concept, told.value, after, len(gone), case, reference, said or ""
        )


def _said_otherwise(record: Record, gone: frozenset[int], said: str | None) -> TextInput | None:
    """Return the notes without some sentences, another in the place of the first of them."""
    text = record.case.text
    if text is None or said is None:
        return text and text.without(gone)
    first = min(gone)
    note = record.history.notes[_spans(record.history)[first][0]]
    read = record.read_note(note.model_copy(update={"text": said, "sections": ()}))
    return text.with_sentence(first, read).without(gone - {first})


def sentences_that_say(
    history: History, concept: str, *, other_than: Fact | None
) -> frozenset[int]:
    """Return the numbers of the sentences, over all notes, that say something else of a concept.

    A mention that does not count (of a relative, a doubt) says nothing of it.
    """
    said = [
        (one.note, one.start) for one in history.mentions
        if one.concept == concept and one.counts and one.value != other_than
    ]  # fmt: skip
    return frozenset(
        number
        for number, (note, start, end) in enumerate(_spans(history))
        if any(place == note and start <= at < end for place, at in said)
    )


def _spans(history: History) -> list[tuple[int, int, int]]:
    """Return of each sentence the number of its note, and where in it it begins and ends."""
    return [
        (note, start, end)
        for note, written in enumerate(history.notes)
        for start, end in sentence_spans(written.text)
    ]

"""The records of one simulated patient: table rows and notes, before and after the scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from scipy.special import expit, logit

from pipeline.phantom.patient import Patient
from pipeline.phantom.world import Flag, Number, Topic, World
from schemas.history import Note

NO_TABLE_SHARE = 0.10
NO_NOTES_SHARE = 0.10
FUTURE_SHARE = 0.30
OUTDATED_SHARE = 0.10
TYPO_SHARE = 0.30


@dataclass(frozen=True, slots=True)
class Row:
    """One row of tabular.csv."""

    recorded_at: datetime | None
    """When; None for an undated row."""
    values: Mapping[str, str]
    """Written values by column; absent where nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Records:
    """All that a hospital keeps about one patient."""

    rows: tuple[Row, ...]
    """Undated first, then by time; those after the scan included."""
    notes: tuple[Note, ...]
    """By time; those after the scan included."""

    def rows_after(self, moment: datetime) -> int:
        """Count the rows that a reader at this moment cannot know."""
        return sum(row.recorded_at is not None and row.recorded_at > moment for row in self.rows)

    def notes_after(self, moment: datetime) -> int:
        """Count the notes that a reader at this moment cannot know."""
        return sum(note.written_at > moment for note in self.notes)


def draw_records(rng: np.random.Generator, world: World, patient: Patient) -> Records:
    """Write down what is known of a patient, and for some what became of them.

    Parameters
    ----------
    rng
        Draws what is written, when and how.
    world
        Columns, topics and phrases.
    patient
        The truth.
    """
    rows = [] if rng.random() < NO_TABLE_SHARE else _rows_before(rng, world, patient)
    notes = [] if rng.random() < NO_NOTES_SHARE else _notes_before(rng, world, patient)
    if rng.random() < FUTURE_SHARE:
        rows += _rows_after(rng, world, patient)
        notes += _notes_after(rng, world, patient)
    return Records(
        tuple(sorted(rows, key=lambda row: row.recorded_at or datetime.min)),
        tuple(sorted(notes, key=lambda note: note.written_at)),
    )


def _days_from(patient: Patient, days: float) -> datetime:
    moment = patient.scanned_at + timedelta(days=days)
    return moment.replace(microsecond=0)


def _rows_before(rng: np.random.Generator, world: World, patient: Patient) -> list[Row]:
    known = [column for column in world.columns if not _is_missing(rng, column, patient.facts)]
    latest = -rng.uniform(0.02, 45.0)
    earlier = sorted(latest - rng.uniform(20.0, 900.0, int(rng.integers(0, 3))))
    rows = [
        Row(_days_from(patient, days), _earlier_values(rng, known, patient, days))
        for days in earlier
    ]
    present = {column.name: column.written(patient.values[column.name]) for column in known}
    rows.append(Row(_days_from(patient, latest), present))
    if rng.random() < OUTDATED_SHARE:
        days = -rng.uniform(3400.0, 5200.0)
        rows.append(Row(_days_from(patient, days), _unrelated_values(rng, world)))
    if rng.random() < 0.95:
        rows.append(Row(None, {"sex": patient.sex}))
    return [row for row in rows if row.values]


def _is_missing(
    rng: np.random.Generator, column: Flag | Number, facts: Mapping[str, float]
) -> bool:
    """Draw whether a column was never recorded; this depends on what it would have said."""
    score = facts[column.name] - (0.5 if isinstance(column, Flag) else 0.0)
    return bool(rng.random() < expit(logit(column.missing) + column.missing_slope * score))


def _earlier_values(
    rng: np.random.Generator, known: list[Flag | Number], patient: Patient, days: float
) -> dict[str, str]:
    values = {}
    for column in known:
        if rng.random() < 0.4:
            continue
        value = column.earlier(rng, patient.facts[column.name], years=-days / 365.25)
        values[column.name] = column.written(value)
    return values


def _unrelated_values(rng: np.random.Generator, world: World) -> dict[str, str]:
    return {
        column.name: column.written(column.value(column.draw(rng)))
        for column in world.columns
        if column.name != "age_years"
    }


def _rows_after(rng: np.random.Generator, world: World, patient: Patient) -> list[Row]:
    """Give the outcome away: a yes or a high number where it was bad."""
    values = {}
    for column in world.columns:
        value = patient.values[column.name]
        if column.states_outcome:
            value = column.value(column.extreme(is_high=patient.outcomes[column.states_outcome]))
        values[column.name] = column.written(value)
    days = rng.choice([0.1, 3.0, 30.0, 200.0], int(rng.integers(1, 3)), replace=False)
    return [Row(_days_from(patient, float(day)), values) for day in days]


def _notes_before(rng: np.random.Generator, world: World, patient: Patient) -> list[Note]:
    count = int(rng.integers(1, 5))
    told: list[list[str]] = [[] for _ in range(count)]
    for topic in world.topics:
        said = _sentences_for(rng, topic, patient.statuses[topic.name])
        places = rng.permutation(count)[: len(said)]
        for place, sentence in zip(places, said, strict=False):
            told[int(place)].append(sentence)
    kinds = ["referral", *rng.choice(["clinic", "discharge", "clinic"], count - 1)]
    days = [-rng.uniform(0.05, 20.0), *(-rng.uniform(21.0, 800.0, count - 1))]
    return [
        Note(
            written_at=_days_from(patient, float(day)),
            kind=str(kind),
            text=_note_text(rng, world, patient, str(kind), facts),
        )
        for kind, day, facts in zip(kinds, days, told, strict=True)
    ]


def _sentences_for(rng: np.random.Generator, topic: Topic, status_name: str) -> list[str]:
    """Pick a paraphrase, sometimes two, of what is so; none if it is not mentioned."""
    status = next(status for status in topic.statuses if status.name == status_name)
    count = min(len(status.sentences), int(rng.choice([1, 2], p=[0.75, 0.25])))
    return [str(sentence) for sentence in rng.permutation(status.sentences)[:count]]


def _note_text(
    rng: np.random.Generator, world: World, patient: Patient, kind: str, told: list[str]
) -> str:
    opening = str(rng.choice(world.openings[kind]))
    opening = opening.format(
        age=round(patient.values["age_years"]), person="woman" if patient.sex == "F" else "man"
    )
    chatter = rng.permutation(world.small_talk)[: int(rng.integers(1, 4))]
    middle = rng.permutation([*told, *chatter])
    text = " ".join([opening, *map(str, middle)])
    return _with_typos(rng, text) if rng.random() < TYPO_SHARE else text


def _with_typos(rng: np.random.Generator, text: str) -> str:
    """Swap two neighbouring letters inside one or two longer words."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    for place in rng.permutation(long)[: int(rng.integers(1, 3))]:
        word = words[int(place)]
        cut = int(rng.integers(1, len(word) - 2))
        words[int(place)] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(words)


def _notes_after(rng: np.random.Generator, world: World, patient: Patient) -> list[Note]:
    """Write a note that gives the outcome of every task away."""
    said = [
        str(rng.choice(risk.outcome_notes[0 if patient.outcomes[risk.task] else 1]))
        for risk in world.risks
    ]
    day = float(rng.choice([0.2, 14.0, 120.0, 360.0]))
    return [Note(written_at=_days_from(patient, day), kind="clinic", text=" ".join(said))]

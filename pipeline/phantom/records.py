"""All records of one simulated patient, before and after the scan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.phantom.notes import WrittenNote, note_after, notes_before
from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.rows import DAY_ONLY_SHARE, Row, row_after, rows_before
from pipeline.phantom.traps import Trap

FUTURE_SHARE = 0.30
MINUTES_SHARE = 0.10
_FUTURE_DAYS = (0.2, 3.0, 30.0, 200.0, 360.0)
_MINUTE = 1.0 / 1440.0


@dataclass(frozen=True, slots=True)
class Records:
    """All that a hospital keeps under one patient ID."""

    patient_id: str
    """The ID."""
    rows: tuple[Row, ...]
    """Undated first, then by time; those after the scan included."""
    notes: tuple[WrittenNote, ...]
    """By time; those after the scan included."""

    def with_trap(self, trap: Trap) -> tuple[int, int, int]:
        """Count the rows, their values, and the notes that are planted for something."""
        rows = [row for row in self.rows if trap in row.traps]
        n_notes = sum(trap in note.traps for note in self.notes)
        return len(rows), sum(len(row.values) for row in rows), n_notes

    def planted(self, trap: Trap) -> "Records":
        """Give the same records, all planted for one reason."""
        return Records(
            self.patient_id,
            tuple(replace(row, traps=(trap,)) for row in self.rows),
            tuple(replace(note, traps=(trap,)) for note in self.notes),
        )


def draw_own(rng: np.random.Generator, design: Design, patient: Patient) -> Records:
    """Write down what is known of a patient at the scan."""
    rows, notes = rows_before(rng, design, patient), notes_before(rng, design, patient)
    return _in_order(patient.patient_id, rows, notes)


def draw_records(rng: np.random.Generator, design: Design, patient: Patient) -> Records:
    """Write down what is known of a patient, and for some what became of them.

    Parameters
    ----------
    rng
        Draws what is written, when and how.
    design
        Columns, topics and phrases.
    patient
        The truth.
    """
    own = draw_own(rng, design, patient)
    rows, notes = list(own.rows), list(own.notes)
    later: list[tuple[Trap, float]] = []
    if rng.random() < FUTURE_SHARE:
        days = rng.choice(_FUTURE_DAYS, int(rng.integers(1, 3)), replace=False)
        later += [(Trap.FUTURE, float(day)) for day in days]
    if rng.random() < MINUTES_SHARE:
        later.append((Trap.MINUTES_AFTER, _MINUTE * rng.uniform(0.05, 30.0)))
    for trap, days_after in later:
        rows.append(row_after(design, patient, days_after, trap))
        notes.append(note_after(rng, design, patient, days_after, trap))
    if rng.random() < DAY_ONLY_SHARE:
        rows.append(row_after(design, patient, 0.0, Trap.DAY_ONLY))
    return _in_order(patient.patient_id, rows, notes)


def _in_order(patient_id: str, rows: Sequence[Row], notes: Sequence[WrittenNote]) -> Records:
    undated = [row for row in rows if row.recorded_at is None]
    dated = [(row.recorded_at, row) for row in rows if row.recorded_at is not None]
    in_time = [row for _, row in sorted(dated, key=lambda pair: pair[0])]
    told = sorted(notes, key=lambda note: note.written_at)
    return Records(patient_id, (*undated, *in_time), tuple(told))

"""The tables of a simulated cohort: what training reads, and the truth that it must not."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.phantom.case import PhantomCase
from pipeline.phantom.further import further_columns
from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.records import Records
from pipeline.phantom.rows import Row, row_time
from pipeline.phantom.traps import Trap
from pipeline.phantom.truth import OBSERVABLE_PREFIX, TRUE_PREFIX
from pipeline.phantom.world import World

Line = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """What the tables hold of one case: everything but its voxels."""

    patient: Patient
    """Who."""
    records: tuple[Records, ...]
    """The patient's own, then those of people whom somebody may take for the patient."""
    labels: Line
    """The row of labels.csv, by column: outcomes as far as they are known."""
    truth: Line
    """The row of truth.csv, by column."""


def case_record(design: Design, case: PhantomCase, others: tuple[Records, ...]) -> CaseRecord:
    """Keep what the tables need and let the voxels go."""
    records = (case.records, *others)
    labels = {task: _label(value) for task, value in case.labels.items()} | dict(case.further)
    return CaseRecord(case.patient, records, labels, _truth_line(design.world, case))


def _truth_line(world: World, case: PhantomCase) -> Line:
    """Flatten everything that is true of a case and not for training."""
    patient, target = case.patient, case.patient.target
    line = {f"{TRUE_PREFIX}{task}": f"{risk:.6f}" for task, risk in patient.risks.items()}
    line |= {f"{OBSERVABLE_PREFIX}{task}": f"{p:.6f}" for task, p in patient.observable.items()}
    line |= {f"outcome_{task}": str(int(bad)) for task, bad in patient.outcomes.items()}
    line |= {
        "site": patient.site.name,
        "has_image": str(int(patient.has_image)),
        "has_table": str(int(patient.has_table)),
        "has_notes": str(int(patient.has_notes)),
        "seen": " ".join(sorted(patient.seen)),
        f"has_{world.finding}": str(int(target is not None)),
        f"{world.finding}_side": target.side if target else "",
        f"{world.finding}_radius_mm": f"{target.radius_mm:.2f}" if target else "",
    }
    finding = case.scan.finding if case.scan else None
    for number, axis in enumerate("xyz"):
        written = f"{finding.centre_mm[number]:.2f}" if finding else ""
        line[f"{world.finding}_{axis}_mm"] = written
    place = f"{world.finding}_{world.place.name}"
    line[place] = f"{patient.facts[place]:.4f}" if target else ""
    for column in world.columns:
        line[f"fact_{column.name}"] = column.written(column.value(patient.facts[column.name]))
    line |= {f"fact_{topic}": status for topic, status in patient.statuses.items()}
    return line | _counts(case.records, patient.scanned_at)


def _counts(records: Records, moment: datetime) -> dict[str, str]:
    """Count what a reader at the scan may read of the patient's own records, and may not."""
    n_rows = sum(_is_after(row, moment) for row in records.rows)
    n_notes = sum(note.written_at > moment for note in records.notes)
    return {
        "n_rows": str(len(records.rows) - n_rows),
        "n_notes": str(len(records.notes) - n_notes),
        "n_future_rows": str(n_rows),
        "n_future_notes": str(n_notes),
    }


def _is_after(row: Row, moment: datetime) -> bool:
    return row.recorded_at is not None and (row.recorded_at > moment or row.is_day_only)


def write_tables(folder: Path, world: World, cases: Sequence[CaseRecord]) -> None:
    """Write tabular.csv, notes.csv, labels.csv, traps.csv and truth.csv."""
    records = [record for case in cases for record in case.records]
    _write_tabular(folder / "tabular.csv", world, records)
    _write_csv(
        folder / "notes.csv",
        ["patient_id", "written_at", "kind", "text"],
        (
            {
                "patient_id": record.patient_id,
                "written_at": note.written_at.isoformat(),
                "kind": note.kind,
                "text": note.text,
            }
            for record in records
            for note in record.notes
        ),
    )
    _write_csv(
        folder / "labels.csv",
        ["patient_id", "study_uid", *(risk.task for risk in world.risks), *further_columns(world)],
        (_ids(case) | dict(case.labels) for case in cases),
    )
    _write_csv(
        folder / "traps.csv",
        ["patient_id", "study_uid", "trap", "record_id", "n_rows", "n_values", "n_notes"],
        (line for case in cases for line in _trap_lines(case)),
    )
    truth = [_ids(case) | dict(case.truth) for case in cases]
    _write_csv(folder / "truth.csv", list(truth[0]), truth)


def _write_tabular(path: Path, world: World, records: Sequence[Records]) -> None:
    """Write all rows, a column each or a line each value, as the world's hospitals do."""
    units = {column.name: column.unit for column in world.columns}
    rows = [(record.patient_id, row) for record in records for row in record.rows]
    if world.is_table_long:
        _write_csv(
            path,
            ["patient_id", "recorded_at", "name", "value", "unit"],
            (
                {**_key(patient_id, row), "name": name, "value": text, "unit": unit}
                for patient_id, row in rows
                for name, text in row.values.items()
                for unit in [row.units.get(name, _own_unit(row, units.get(name, "")))]
            ),
        )
        return
    _write_csv(
        path,
        ["patient_id", "recorded_at", "sex", "birth_year", *units],
        (
            _key(patient_id, row)
            | {
                name: f"{text} {row.units.get(name, '')}".strip()
                for name, text in row.values.items()
            }
            for patient_id, row in rows
        ),
    )


def _own_unit(row: Row, unit: str) -> str:
    """State a column's own unit, but for records that do not say in which they are."""
    return "" if Trap.UNIT_UNSTATED in row.traps else unit


def _key(patient_id: str, row: Row) -> dict[str, str]:
    return {"patient_id": patient_id, "recorded_at": row_time(row)}


def _trap_lines(case: CaseRecord) -> Iterable[Line]:
    """Count what is planted for each reason, under the patient's own ID and others."""
    for trap in Trap:
        for record in case.records:
            counts = record.with_trap(trap)
            if any(counts):
                names = ("n_rows", "n_values", "n_notes")
                yield (
                    _ids(case)
                    | {"trap": trap.value, "record_id": record.patient_id}
                    | {name: str(count) for name, count in zip(names, counts, strict=True)}
                )


def _ids(case: CaseRecord) -> dict[str, str]:
    return {"patient_id": case.patient.patient_id, "study_uid": case.patient.study_uid}


def _label(value: int | None) -> str:
    return "" if value is None else str(value)


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Line]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

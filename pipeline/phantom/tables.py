"""The tables of a simulated cohort: what training reads, and the truth that it must not."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.phantom.case import PhantomCase
from pipeline.phantom.patient import Patient
from pipeline.phantom.records import Records
from pipeline.phantom.truth import TRUE_PREFIX
from pipeline.phantom.world import World


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """What the tables hold of one case: everything but its voxels."""

    patient: Patient
    """Who."""
    records: Records
    """Table rows and notes."""
    labels: Mapping[str, int | None]
    """Outcomes as far as they are known."""
    truth: Mapping[str, str]
    """The row of truth.csv, by column."""


def case_record(world: World, case: PhantomCase) -> CaseRecord:
    """Keep what the tables need and let the voxels go."""
    return CaseRecord(case.patient, case.records, case.labels, _truth_row(world, case))


def _truth_row(world: World, case: PhantomCase) -> dict[str, str]:
    """Flatten everything that is true of a case and not for training."""
    patient, finding = case.patient, case.scan.finding
    before = _count_before(case.records, patient.scanned_at)
    row = {f"{TRUE_PREFIX}{task}": f"{risk:.6f}" for task, risk in patient.risks.items()}
    row |= {f"outcome_{task}": str(int(bad)) for task, bad in patient.outcomes.items()}
    row |= {"site": patient.site.name, f"has_{world.finding}": str(int(finding is not None))}
    names = [f"{world.finding}_{axis}_mm" for axis in ("x", "y", "z", "radius")]
    row |= dict.fromkeys(names, "")
    if finding is not None:
        places = (*finding.centre_mm, finding.radius_mm)
        row |= {name: f"{value:.2f}" for name, value in zip(names, places, strict=True)}
    row[f"{world.finding}_side"] = finding.side if finding else ""
    for column in world.columns:
        row[f"fact_{column.name}"] = column.written(patient.values[column.name])
    row |= {f"fact_{topic}": status for topic, status in patient.statuses.items()}
    return row | {
        "n_rows": str(before[0]),
        "n_notes": str(before[1]),
        "n_future_rows": str(case.records.rows_after(patient.scanned_at)),
        "n_future_notes": str(case.records.notes_after(patient.scanned_at)),
    }


def _count_before(records: Records, moment: datetime) -> tuple[int, int]:
    return (
        len(records.rows) - records.rows_after(moment),
        len(records.notes) - records.notes_after(moment),
    )


def write_tables(folder: Path, world: World, records: Sequence[CaseRecord]) -> None:
    """Write tabular.csv, notes.csv, labels.csv and truth.csv."""
    columns = ["sex", *(column.name for column in world.columns)]
    tasks = [risk.task for risk in world.risks]
    _write_csv(
        folder / "tabular.csv",
        ["patient_id", "recorded_at", *columns],
        (
            {"patient_id": case.patient.patient_id, "recorded_at": _iso(row.recorded_at)}
            | dict(row.values)
            for case in records
            for row in case.records.rows
        ),
    )
    _write_csv(
        folder / "notes.csv",
        ["patient_id", "written_at", "kind", "text"],
        (
            {
                "patient_id": case.patient.patient_id,
                "written_at": _iso(note.written_at),
                "kind": note.kind,
                "text": note.text,
            }
            for case in records
            for note in case.records.notes
        ),
    )
    _write_csv(
        folder / "labels.csv",
        ["patient_id", "study_uid", *tasks],
        (_ids(case) | {task: _label(case.labels[task]) for task in tasks} for case in records),
    )
    truth = [_ids(case) | dict(case.truth) for case in records]
    _write_csv(folder / "truth.csv", list(truth[0]), truth)


def _ids(case: CaseRecord) -> dict[str, str]:
    return {"patient_id": case.patient.patient_id, "study_uid": case.patient.study_uid}


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


def _label(value: int | None) -> str:
    return "" if value is None else str(value)


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

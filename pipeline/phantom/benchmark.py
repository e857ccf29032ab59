"""Simulated cases straight into memory, without files: what large benchmarks train on.

A case takes the way of a real one from the moment when its files have been read: a Volume on the
scanner's grid, and a History that ``history_at`` cuts from all records, those after the scan and
all other traps included. Only the mix-ups of identity need a cohort on disk.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.case import Case
from pipeline.history import Records as HistoryRecords
from pipeline.history import history_at
from pipeline.phantom.case import PhantomCase, draw_case
from pipeline.phantom.dicom import uid_from
from pipeline.phantom.patient import Design
from pipeline.phantom.records import Records
from pipeline.phantom.rows import row_time
from pipeline.phantom.scan import Scan
from pipeline.volume import Volume
from schemas.protocol import Protocol
from schemas.series import FrameSource

AT_ONCE = 50
"""Records of one patient alone take as long to check as those of many."""


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkCase:
    """One simulated case, its labels, and the truth, which is for scoring alone."""

    patient_id: str
    """Patient ID."""
    case: Case
    """What assessment would read."""
    labels: Mapping[str, int | None]
    """Outcome of every task of the world; None if it is unknown."""
    mask: NDArray[np.uint8] | None
    """Where the finding is, on the volume's grid; None without an image or a finding."""
    finding: str
    """The task whose finding the mask shows."""
    true: Mapping[str, float]
    """True probability of every task of the world."""
    observable: Mapping[str, float]
    """The same given only what is observable."""
    outcomes: Mapping[str, bool]
    """What came of it, unknown labels included."""
    facts: Mapping[str, float]
    """All that risks depend on."""
    seen: frozenset[str]
    """What is observable: ``image``, and the names of columns and topics."""


def draw_benchmark(
    design: Design, protocol: Protocol, indices: Iterable[int]
) -> Iterator[BenchmarkCase]:
    """Draw cases one by one; the same number gives the same case as in a cohort on disk.

    Parameters
    ----------
    design
        World, seed, strength of the interaction, generator family.
    protocol
        By which records are read; its first series takes the image.
    indices
        Numbers of the cases, from 0.
    """
    numbers = iter(indices)
    while some := tuple(islice(numbers, AT_ONCE)):
        drawn = [draw_case(design, index) for index in some]
        records = memory_records([case.records for case in drawn], protocol)
        for case in drawn:
            yield _benchmark_case(design, protocol, case, records)


def _benchmark_case(
    design: Design, protocol: Protocol, drawn: PhantomCase, records: HistoryRecords
) -> BenchmarkCase:
    patient, scan = drawn.patient, drawn.scan
    history = history_at(records, patient.patient_id, patient.scanned_at, protocol)
    volumes = {} if scan is None else {protocol.series[0].name: _volume(design, drawn, scan)}
    return BenchmarkCase(
        patient_id=patient.patient_id,
        case=Case(patient.study_uid, volumes, history, issues=history.issues),
        labels=drawn.labels,
        mask=scan.finding.mask if scan is not None and scan.finding is not None else None,
        finding=design.world.finding,
        true=patient.risks,
        observable=patient.observable,
        outcomes=patient.outcomes,
        facts=patient.facts,
        seen=patient.seen,
    )


def _volume(design: Design, drawn: PhantomCase, scan: Scan) -> Volume:
    unit: Literal["HU", "scanner"] = "HU" if design.world.modality == "CT" else "scanner"
    series_uid = uid_from(drawn.patient.study_uid, "series", 1)
    sources = tuple(
        FrameSource(file=f"IM{number + 1:04d}.dcm", sop_instance_uid=f"{series_uid}.{number + 1}")
        for number in range(scan.array.shape[0])
    )
    return Volume(scan.array, scan.geometry, unit, series_uid, sources)


def memory_records(records: Iterable[Records], protocol: Protocol) -> HistoryRecords:
    """Give records as ``load_records`` would after they were written to a cohort folder."""
    listed = list(records)
    values = [
        (record.patient_id, row_time(row), name, text, row.units.get(name, ""))
        for record in listed
        for row in record.rows
        for name, text in row.values.items()
    ]
    told = [
        (record.patient_id, note.written_at.isoformat(), note.kind, note.text)
        for record in listed
        for note in record.notes
    ]
    return HistoryRecords.from_frames(
        _frame(values, ("patient_id", "recorded_at", "name", "text", "unit")),
        _frame(told, ("patient_id", "written_at", "kind", "text")),
        protocol,
    )


def _frame(rows: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(names), dtype="str")
    return frame.assign(source="simulated records", row=range(1, len(frame) + 1))

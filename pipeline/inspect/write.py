"""An inspection as a page for readers and as tables for other programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.files import make_folder, write_text
from pipeline.inspect.gather import InspectedStudy
from pipeline.report.index import spreadsheet_safe
from pipeline.report.page import render
from schemas.inspection import Inspection
from schemas.protocol import Protocol

PAGE_NAME = "index.html"
JSON_NAME = "inspection.json"
STUDIES_NAME = "studies.csv"


def write_inspection(
    out: Path, inspection: Inspection, studies: Sequence[InspectedStudy], protocol: Protocol
) -> Path:
    """Write the page, inspection.json and studies.csv; return the page's path."""
    make_folder(out)
    page = render("inspection.html.j2", script="inspection.js", inspection=inspection)
    write_text(out / JSON_NAME, inspection.model_dump_json(indent=1) + "\n")
    write_text(out / STUDIES_NAME, _studies_csv(studies, protocol))
    write_text(out / PAGE_NAME, page)
    return out / PAGE_NAME


def _studies_csv(studies: Iterable[InspectedStudy], protocol: Protocol) -> str:
    """One row a study: what was chosen, what is there, what was left out."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [column.name for column in protocol.table]
    series = [f"series_{rule.name}" for rule in protocol.series]
    counts = ("n_notes", "n_after_scan", "n_too_old", "issues")
    writer.writerow(["study_uid", "patient_id", "acquired_at", *series, *columns, *counts])
    for one in studies:
        chosen = {use.name: use.series_uid for use in one.uses if use.name}
        has_value = {value.name: value.value is not None for value in one.history.values}
        codes = dict.fromkeys(issue.code.value for issue in one.issues)
        time = one.study.acquired_at
        cells = [
            one.study.study_uid,
            one.study.patient_id,
            "" if time is None else time.isoformat(),
            *(chosen.get(rule.name, "") for rule in protocol.series),
            *(str(int(has_value.get(name, False))) for name in columns),
            str(len(one.history.notes)),
            str(one.history.n_after_scan),
            str(one.history.n_too_old),
            " ".join(codes),
        ]
        writer.writerow(map(spreadsheet_safe, cells))
    return stream.getvalue()

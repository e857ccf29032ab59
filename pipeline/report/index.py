"""A batch of reports: the page that lists them, and the table for other programs."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.files import make_folder, whole_file
from pipeline.report.page import heaviest_first, render
from pipeline.report.write import FILE_MODE, PAGE_NAME, study_folder_name
from schemas.issue import Issue
from schemas.report import Risk, RiskReport
from schemas.series import SkippedFile

INDEX_NAME = "index.html"
PREDICTIONS_NAME = "predictions.csv"
STUDIES_NAME = "studies"
EMPTY_SET = "{}"
"""In a cell that would otherwise look like one without a set."""
COLUMNS = (
    "study_uid",
    "patient_id",
    "task",
    "outcome",
    "probability",
    "lower",
    "upper",
    "set",
    "status",
    "issues",
)

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Row:
    """One study in the list."""

    report: RiskReport
    link: str
    risks: tuple[Risk | None, ...]
    """One for each column; None where the study has no such result."""
    highest: float | None
    worst: Issue | None


def write_index(
    out: Path,
    reports: Sequence[RiskReport],
    *,
    title: str,
    n_reused: int = 0,
    left_out: Sequence[SkippedFile] = (),
) -> None:
    """Write index.html: assessed studies by their highest probability, then the others.

    Parameters
    ----------
    out
        Holds ``studies/<study_uid>/report.html`` of each report.
    reports
        Of all studies of the batch, withheld and refused ones included.
    n_reused
        How many of them were there already.
    left_out
        Files that belong to no study; counted by reason, not named.
    """
    tasks = _tasks(reports)
    rows = [_row(report, tasks) for report in reports]
    page = render(
        "index.html.j2",
        script="index.js",
        title=title,
        tasks=tasks,
        assessed=sorted(
            (row for row in rows if row.report.status == "assessed"),
            key=lambda row: (-(row.highest or 0.0), row.report.study_uid),
        ),
        withheld=[row for row in rows if row.report.status == "withheld"],
        refused=[row for row in rows if row.report.status == "refused"],
        is_simulated=any(report.bundle.is_simulated for report in reports),
        n_studies=len(reports),
        n_reused=n_reused,
        left_out=Counter(skipped.issue.code.value for skipped in left_out).most_common(),
        n_left_out=len(left_out),
    )
    _publish(out / INDEX_NAME, page)


def write_predictions_csv(out: Path, reports: Iterable[RiskReport]) -> None:
    """Write predictions.csv: one row a study and task, empty where nothing was computed.

    A task of several classes, levels or horizons has a row for each, named in ``outcome``.

    A study without any task (it was refused) has one row with an empty task, so that none is
    lost. An identifier that a spreadsheet would run as a formula gets an apostrophe in front; see
    :func:`spreadsheet_safe`.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in sorted(reports, key=lambda report: report.study_uid):
        for risk in report.risks or (None,):
            writer.writerows(_rows_of(report, risk))
    _publish(out / PREDICTIONS_NAME, stream.getvalue())


def spreadsheet_safe(text: str) -> str:
    """Put an apostrophe before a text that begins like a formula: ``= + - @``, tab or return.

    A text that begins with apostrophes and then such a character gets one more, so that
    :func:`from_spreadsheet_safe` returns exactly what was there. All others are left alone.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_spreadsheet_safe(cell: str) -> str:
    """Return the text that :func:`spreadsheet_safe` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _tasks(reports: Iterable[RiskReport]) -> tuple[str, ...]:
    """Return the tasks of all reports, in the order in which they are met."""
    return tuple(dict.fromkeys(risk.task for report in reports for risk in report.risks))


def _row(report: RiskReport, tasks: Sequence[str]) -> Row:
    found = {risk.task: risk for risk in report.risks if risk.probability is not None}
    # That a class is probable makes no study a risky one; an event by the last horizon does.
    probabilities = [
        risk.probability
        for risk in found.values()
        if risk.probability is not None and (risk.steps is None or risk.steps.kind == "survival")
    ]
    folder = quote(study_folder_name(report.study_uid), safe="")
    return Row(
        report=report,
        link=f"{STUDIES_NAME}/{folder}/{PAGE_NAME}",
        risks=tuple(found.get(task) for task in tasks),
        highest=max(probabilities, default=None),
        worst=next(iter(heaviest_first(report.issues)), None),
    )


def _rows_of(report: RiskReport, risk: Risk | None) -> list[tuple[str, ...]]:
    codes = dict.fromkeys(issue.code.value for issue in report.issues)
    ids = (spreadsheet_safe(report.study_uid), spreadsheet_safe(report.patient_id))
    cells = [("",) * 6] if risk is None else _result_cells(risk)
    return [(*ids, *own, report.status, " ".join(codes)) for own in cells]


def _result_cells(risk: Risk) -> list[tuple[str, ...]]:
    """Return task, outcome, probability, interval and set: a row, or one for each outcome."""
    # A class may have a name of several words.
    written = (" " if risk.steps is None else "; ").join(risk.set or ()) or EMPTY_SET
    held = "" if risk.set is None else spreadsheet_safe(written)
    if risk.steps is not None:
        return [
            (risk.task, spreadsheet_safe(one.label), repr(one.probability), "", "", held)
            for one in risk.steps.outcomes
        ]
    numbers = (risk.probability, risk.lower, risk.upper)
    ends = ("" if number is None else repr(number) for number in numbers)
    return [(risk.task, "", *ends, held)]


def _publish(path: Path, text: str) -> None:
    make_folder(path.parent)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.chmod(FILE_MODE)

"""What `synopt ingest` found, as a table on the terminal."""

from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.ingest import IngestedSeries, IngestReport
from schemas.issue import IssueCode

_STYLES = {"read": "green", "set aside": "dim", "refused": "red"}
_LONGEST_CODE = max(map(len, IssueCode))


def print_series(report: IngestReport) -> None:
    """Print one line a series, and how many files were skipped for which reason.

    Descriptions are not shown: they may hold anything, also a name.
    """
    console = Console(highlight=False)
    table = Table("series", "", "slices x rows x columns", "mm", "status", box=SIMPLE_HEAD)
    table.add_column("issues", no_wrap=True, min_width=_LONGEST_CODE)
    for item in report.series:
        table.add_row(*_cells(item))
    console.print(table)
    counts = Counter(item.issue.code for item in report.skipped)
    if counts:
        reasons = ", ".join(f"{n} {code}" for code, n in sorted(counts.items()))
        console.print(f"Files in no series: {reasons}", markup=False)


def _cells(item: IngestedSeries) -> tuple[str | Text, ...]:
    geometry = item.geometry
    size = " x ".join(map(str, geometry.shape)) if geometry else f"{item.n_frames} images"
    spacing = " x ".join(f"{mm:.4g}" for mm in geometry.spacing_mm) if geometry else ""
    return (
        _short(item.series_uid),
        item.modality,
        size,
        spacing,
        Text(item.status, style=_STYLES[item.status]),
        Text("\n".join(item.codes)),
    )


def _short(uid: str) -> str:
    return uid if len(uid) <= 24 else f"{uid[:12]}...{uid[-9:]}"

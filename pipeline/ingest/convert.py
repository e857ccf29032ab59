"""A folder of anything to volumes as NIfTI files, and a series.json about all that was found."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pipeline.errors import GeometryError, IngestError
from pipeline.files import file_sha256, make_folder, whole_folder, write_text
from pipeline.ingest.discover import discover
from pipeline.ingest.load import load_volume
from pipeline.nifti import save_nifti
from pipeline.progress import Progress, silent
from pipeline.published import published_schema, schema_file
from pipeline.volume import Volume
from schemas.ingest import IngestedSeries, IngestedStudy, IngestReport, SeriesGeometry
from schemas.issue import Issue, IssueCode, Severity
from schemas.series import Series

REPORT_NAME = "series.json"
_VOLUMES = "volumes"
# What images may be without anything being wrong with them.
_NO_FAULT = {
    IssueCode.SERIES_LOCALIZER,
    IssueCode.SERIES_DERIVED,
    IssueCode.SERIES_UNSUPPORTED,
}
_TITLE = "Synopt ingest"
_DESCRIPTION = (
    "What synopt ingest found below a folder, as it writes it to series.json. "
    "For research; not a medical device."
)


def ingest_folder(folder: Path, out: Path, *, progress: Progress = silent) -> IngestReport:
    """Write every usable series below a folder as a NIfTI file, and series.json about all of them.

    The same files give the same bytes.

    Parameters
    ----------
    folder
        Any heap of files, folders and zip archives.
    out
        New or empty; complete or not there.

    Raises
    ------
    UsageError
        If ``folder`` is none, or ``out`` cannot be written.
    """
    with whole_folder(out) as temporary:
        make_folder(temporary / _VOLUMES)
        inventory = discover(
            folder, on_progress=lambda done, total: progress("reading headers", done, total)
        )
        found = [series for study in inventory.studies for series in study.series]
        entries = []
        for number, series in enumerate(found):
            progress("writing volumes", number, len(found))
            entries.append(_write(folder, series, temporary))
        progress("writing volumes", len(found), len(found))
        report = IngestReport(
            synopt_version=version("synopt"),
            studies=tuple(
                IngestedStudy(
                    study_uid=study.study_uid,
                    acquired_at=study.acquired_at,
                    content_sha256=study.content_sha256,
                    issues=study.issues,
                )
                for study in inventory.studies
            ),
            series=tuple(entries),
            skipped=inventory.skipped,
        )
        write_text(temporary / REPORT_NAME, report.model_dump_json(indent=1) + "\n")
    return report


def report_schema_text() -> str:
    """Return the published JSON Schema of series.json."""
    return schema_file(published_schema(IngestReport, title=_TITLE, description=_DESCRIPTION))


def _write(folder: Path, series: Series, out: Path) -> IngestedSeries:
    if not series.is_usable:
        return _entry(series, series.issues)
    try:
        volume = load_volume(folder, series)
    except (IngestError, GeometryError) as error:
        code = error.code if isinstance(error, IngestError) else IssueCode.GEOMETRY_MISMATCH
        issue = Issue(code=code, severity=Severity.ERROR, message=str(error))
        return _entry(series, (*series.issues, issue))
    name = f"{_VOLUMES}/{series.series_uid}.nii.gz"
    save_nifti(out / name, volume.array, volume.geometry)
    return _entry(series, series.issues).model_copy(
        update={
            "status": "read",
            "slices": volume.sources,
            "geometry": _geometry(volume),
            "unit": volume.unit,
            "volume": name,
            "volume_sha256": file_sha256(out / name),
        }
    )


def _entry(series: Series, issues: Sequence[Issue]) -> IngestedSeries:
    """Describe a series of which no volume was written."""
    errors = {issue.code for issue in issues if issue.severity is Severity.ERROR}
    return IngestedSeries(
        series_uid=series.series_uid,
        source_uid=series.source_uid,
        part=series.part,
        study_uid=series.study_uid,
        modality=series.modality,
        description=series.description,
        acquired_at=series.acquired_at,
        status="set aside" if errors <= _NO_FAULT else "refused",
        codes=tuple(sorted({issue.code for issue in issues})),
        issues=tuple(issues),
        n_frames=series.n_frames,
        files=series.files,
        slices=(),
        geometry=None,
        unit=None,
        volume=None,
        volume_sha256=None,
    )


def _geometry(volume: Volume) -> SeriesGeometry:
    rows = np.asarray(volume.geometry.affine).tolist()
    return SeriesGeometry(
        shape=volume.geometry.shape,
        spacing_mm=volume.geometry.spacing_mm,
        affine_lps=tuple((row[0], row[1], row[2], row[3]) for row in rows),
        frame_of_reference_uid=volume.geometry.frame_of_reference_uid,
    )

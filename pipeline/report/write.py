"""A report's folder: complete, or as it was before."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.files import whole_folder, write_text
from pipeline.heatmap import Heatmap
from pipeline.nifti import save_nifti
from pipeline.report.check import check_report, heatmap_name
from pipeline.report.page import render_page
from pipeline.report.schema import check_json
from pipeline.volume import Volume
from schemas.report import RiskReport

JSON_NAME = "report.json"
PAGE_NAME = "report.html"
FILE_MODE = 0o644


def study_folder_name(study_uid: str) -> str:
    """Return the folder name of a study: its UID, with what is unsafe in a name escaped."""
    name = quote(study_uid, safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def write_report(
    folder: Path, report: RiskReport, *, volume: Volume | None, heatmaps: Mapping[str, Heatmap]
) -> None:
    """Write report.json, report.html and heatmap_<task>.nii.gz into ``folder``.

    All is written to a temporary folder beside it, which then takes its place; an earlier report
    of the same study stands until then.

    Parameters
    ----------
    folder
        May exist if it is empty or holds a report of the same study.
    volume
        What was read; None if no image could be read.
    heatmaps
        By task, on the volume's grid.

    Raises
    ------
    ValueError
        If the report contradicts itself, its pictures or the published schema.
    UsageError
        If ``folder`` holds something else, or there is no permission.
    """
    check_report(report, volume, heatmaps)
    text = report.model_dump_json(indent=2) + "\n"
    check_json(text)
    page = render_page(report, volume=volume, heatmaps=heatmaps)
    _recover(folder)
    _refuse_other_content(folder, report.study_uid)
    fresh = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh) as temporary:
        write_text(temporary / JSON_NAME, text)
        write_text(temporary / PAGE_NAME, page)
        for task, heatmap in heatmaps.items():
            save_nifti(temporary / heatmap_name(task), heatmap.array, heatmap.geometry)
        for path in temporary.iterdir():
            path.chmod(FILE_MODE)
    _swap(fresh, folder)


def read_report(folder: Path) -> RiskReport | None:
    """Read a written report; None if it is absent, invalid, or a file that belongs to it is."""
    try:
        report = RiskReport.model_validate_json((folder / JSON_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    names = [PAGE_NAME, *(risk.heatmap for risk in report.risks if risk.heatmap is not None)]
    return report if all((folder / name).is_file() for name in names) else None


def _previous(folder: Path) -> Path:
    return folder.with_name(f".previous-{folder.name}")


def _recover(folder: Path) -> None:
    """Put an earlier report back that an interrupted swap left aside."""
    if _previous(folder).exists() and not folder.exists():
        _previous(folder).rename(folder)


def _refuse_other_content(folder: Path, study_uid: str) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / JSON_NAME).is_file():
        msg = f"{folder} holds no report: choose another place or remove it"
        raise UsageError(msg)
    earlier = read_report(folder)
    if earlier is not None and earlier.study_uid != study_uid:
        msg = f"{folder} holds the report of another study: choose another place or remove it"
        raise UsageError(msg)


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; on failure the earlier folder is put back."""
    previous = _previous(folder)
    shutil.rmtree(previous, ignore_errors=True)
    if folder.exists():
        folder.rename(previous)
    try:
        fresh.rename(folder)
    except OSError:
        _recover(folder)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(previous, ignore_errors=True)

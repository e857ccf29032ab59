"""A bundle with a site's own outcomes on top of its calibration, as a new bundle."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.bundle import CARD, Bundle, load_bundle, making_of, save_bundle
from pipeline.calibration.site import MIN_EVENTS, recalibrated
from pipeline.errors import UsageError
from pipeline.files import file_sha256, whole_folder
from pipeline.history import read_label_file
from pipeline.report import read_report
from pipeline.report.index import STUDIES_NAME
from schemas.calibration import AnyCalibrator, Calibrator, StepCalibrator
from schemas.report import RiskReport


def recalibrate(bundle_folder: Path, labels_file: Path, reports: Path, out: Path) -> Bundle:
    """Update a bundle on a site's outcomes and write it as a new bundle, whole or not at all.

    Parameters
    ----------
    labels_file
        Of the site: patient_id, study_uid, and each task's column.
    reports
        Folder that ``synopt assess`` wrote with this very bundle.
    out
        Where the new bundle is put; must not exist, or be empty.

    Raises
    ------
    UsageError
        If no study has both a result of this bundle and an outcome, or no task has enough events.
    CalibrationError
        If the bundle's answers do not rank the site's cases.
    """
    bundle = load_bundle(bundle_folder)
    if all(isinstance(calibrator, StepCalibrator) for calibrator in bundle.calibrators):
        msg = (
            f"{bundle_folder} answers no binary task, and this version recalibrates no other kind: "
            "train a bundle on the site's cohort"
        )
        raise UsageError(msg)
    labels = read_label_file(labels_file, bundle.protocol)
    found = _results(bundle, reports)
    digest = file_sha256(labels_file)
    updated = tuple(
        _updated(bundle, number, found, labels.values, digest)
        for number in range(len(bundle.calibrators))
    )
    if updated == bundle.calibrators:
        msg = (
            f"no task has {MIN_EVENTS} outcomes of each kind among the {len(found)} studies that "
            f"{reports} holds results for: recalibrate with more"
        )
        raise UsageError(msg)
    card = (bundle_folder / CARD).read_text(encoding="utf-8")
    with whole_folder(out) as folder:
        save_bundle(
            folder, replace(bundle, calibrators=updated), card + _words(updated),
            making_of(bundle_folder),
        )  # fmt: skip
    return load_bundle(out)


def _results(bundle: Bundle, reports: Path) -> Mapping[str, RiskReport]:
    """Return the assessed reports of this bundle by study UID."""
    folders = sorted((reports / STUDIES_NAME).glob("*/"))
    read = [report for folder in folders if (report := read_report(folder)) is not None]
    own = [report for report in read if report.bundle.sha256 == bundle.identity.sha256]
    if not own:
        msg = f"{reports} holds no report of this bundle: assess the site's studies with it first"
        raise UsageError(msg)
    return {report.study_uid: report for report in own if report.status == "assessed"}


def _updated(
    bundle: Bundle,
    number: int,
    found: Mapping[str, RiskReport],
    labels: Mapping[str, tuple[float | None, ...]],
    digest: str,
) -> AnyCalibrator:
    calibrator = bundle.calibrators[number]
    if not isinstance(calibrator, Calibrator):
        return calibrator
    place = sum(len(task.label_columns) for task in bundle.protocol.tasks[:number])
    odds, outcomes = [], []
    for study_uid, report in found.items():
        outcome = labels.get(study_uid, ())[place : place + 1]
        answer = report.risks[number].calibrated_logit
        if outcome and outcome[0] is not None and answer is not None:
            odds.append(answer)
            outcomes.append(outcome[0])
    fresh = recalibrated(
        calibrator, np.array(odds, dtype=np.float64), np.array(outcomes, dtype=np.float64),
        labels_sha256=digest, from_bundle_sha256=bundle.identity.sha256,
    )  # fmt: skip
    return fresh or calibrator


def _words(calibrators: tuple[AnyCalibrator, ...]) -> str:
    lines = ["", "## Recalibrated on a site", ""]
    for calibrator in calibrators:
        if not isinstance(calibrator, Calibrator):
            lines.append(f"- `{calibrator.task}`: as it was; only binary tasks are recalibrated")
            continue
        site = calibrator.recalibration
        what = (
            "too few outcomes; as it was"
            if site is None
            else f"log-odds x {site.slope:.3f} {site.intercept:+.3f}, from {site.n_cases} patients "
            f"with {site.n_events} events"
        )
        lines.append(f"- `{calibrator.task}`: {what}")
    return "\n".join(lines) + "\n"

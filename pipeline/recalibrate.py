"""A bundle with a site's own outcomes on top of its calibration, as a new bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.bundle import CARD, SPLITS, Bundle, load_bundle, making_of, save_bundle, split_of
from pipeline.calibration import is_answered
from pipeline.calibration.site import MIN_EVENTS, recalibrated
from pipeline.errors import UsageError
from pipeline.files import file_sha256, whole_folder
from pipeline.history import Labels, read_label_file
from pipeline.report import read_report
from pipeline.report.index import STUDIES_NAME
from pipeline.train.splits import one_study_each, patient_key, was_seen, with_site
from schemas.calibration import AnyCalibrator, Calibrator, StepCalibrator
from schemas.metrics import AnyMetrics
from schemas.report import RiskReport
from schemas.splits import SplitRecord


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrated:
    """A bundle of a site.

    Parameters
    ----------
    n_known
        Studies that were left out since their patients had helped to make the bundle before.
    """

    bundle: Bundle
    n_known: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Followed:
    """An assessed study of which the site's file has a row.

    Parameters
    ----------
    outcomes
        One for each label column; None where unknown.
    patient_id
        Whose it is, by the file.
    names
        By the file and by its images.
    """

    report: RiskReport
    outcomes: Sequence[float | None]
    patient_id: str
    names: frozenset[str]


def recalibrate(bundle_folder: Path, labels_file: Path, reports: Path, out: Path) -> Recalibrated:
    """Update a bundle on a site's outcomes and write it as a new bundle, whole or not at all.

    Of a patient's studies one counts, drawn by the protocol's seed: errors hold for patients.
    Patients who were trained or calibrated on are left out: of them the bundle's answers are too
    good. Those of its test part are not, and count as seen by the new bundle.

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
        If no study has both a result of this bundle and an outcome, every such patient helped to
        make the bundle, or no task has enough events.
    RecordsError
        If a row's patient is not the one whom the study's images name.
    CalibrationError
        If the bundle's answers do not rank the site's cases.
    """
    bundle, split = load_bundle(bundle_folder), split_of(bundle_folder)
    _require_binary(bundle)
    found, labels = _results(bundle, reports), read_label_file(labels_file, bundle.protocol)
    owners = {uid: report.patient_id for uid, report in found.items()}
    labels.require_same_patients(owners, bundle.protocol.identity)
    followed = _followed(found, labels)
    fresh = _fresh(followed, split)
    digest = file_sha256(labels_file)
    used = [_used(bundle, number, fresh) for number in range(len(bundle.calibrators))]
    updated = tuple(
        _updated(bundle, number, cases, digest) for number, cases in enumerate(used)
    )  # fmt: skip
    changed = [number for number, one in enumerate(updated) if one != bundle.calibrators[number]]
    n_known = len(followed) - len(fresh)
    if not changed:
        msg = (
            f"no task has {MIN_EVENTS} patients of each outcome among the {len(fresh)} studies of "
            f"{reports} with a row in {labels_file.name} ({n_known} more are of patients who "
            "helped to make the bundle): recalibrate with more"
        )
        raise UsageError(msg)
    drawn = {patient_key(case.patient_id) for number in changed for case in used[number]}
    patients = {
        name for case in fresh if patient_key(case.patient_id) in drawn for name in case.names
    }
    records = {**making_of(bundle_folder), SPLITS: with_site(split, patients)}
    card = (bundle_folder / CARD).read_text(encoding="utf-8")
    words = _words(updated, bundle.metrics, n_known)
    with whole_folder(out) as folder:
        save_bundle(folder, replace(bundle, calibrators=updated), card + words, records)
    return Recalibrated(load_bundle(out), n_known)


def _require_binary(bundle: Bundle) -> None:
    if all(isinstance(calibrator, StepCalibrator) for calibrator in bundle.calibrators):
        msg = (
            f"the bundle {bundle.identity.name} answers no binary task, and this version "
            "recalibrates no other kind: train a bundle on the site's cohort"
        )
        raise UsageError(msg)


def _results(bundle: Bundle, reports: Path) -> Mapping[str, RiskReport]:
    """Return the assessed reports of this bundle by study UID."""
    folders = sorted((reports / STUDIES_NAME).glob("*/"))
    read = [report for folder in folders if (report := read_report(folder)) is not None]
    own = [report for report in read if report.bundle.sha256 == bundle.identity.sha256]
    if not own:
        msg = f"{reports} holds no report of this bundle: assess the site's studies with it first"
        raise UsageError(msg)
    return {report.study_uid: report for report in own if report.status == "assessed"}


def _followed(found: Mapping[str, RiskReport], labels: Labels) -> list[Followed]:
    return [
        Followed(
            report,
            labels.values[uid],
            labels.patients[uid],
            frozenset({report.patient_id, labels.patients[uid]} - {""}),
        )
        for uid, report in found.items()
        if uid in labels.values
    ]


def _fresh(followed: Sequence[Followed], split: SplitRecord) -> list[Followed]:
    """Return the studies of patients who helped in no way to make the bundle."""
    fresh = [case for case in followed if not any(was_seen(split, name) for name in case.names)]
    if followed and not fresh:
        msg = (
            f"all {len(followed)} studies with a result and a row of outcomes are of patients who "
            "helped to make this bundle: recalibrate on other patients"
        )
        raise UsageError(msg)
    return fresh


def _used(bundle: Bundle, number: int, cases: Sequence[Followed]) -> list[Followed]:
    """Return the cases that have both an answer to a task and its outcome, one a patient."""
    place = _place(bundle, number)
    known = [
        case
        for case in cases
        if case.outcomes[place] is not None
        and case.report.risks[number].calibrated_logit is not None
    ]
    studies = [(case.patient_id, case.report.study_uid) for case in known]
    return [known[own] for own in one_study_each(studies, seed=bundle.protocol.training.seed)]


def _place(bundle: Bundle, number: int) -> int:
    """Return where a task's first label column stands."""
    return sum(len(task.label_columns) for task in bundle.protocol.tasks[:number])


def _updated(bundle: Bundle, number: int, cases: Sequence[Followed], digest: str) -> AnyCalibrator:
    """Return a task's calibrator updated on these cases, or as it was."""
    calibrator, place = bundle.calibrators[number], _place(bundle, number)
    if not isinstance(calibrator, Calibrator):
        return calibrator
    odds = [case.report.risks[number].calibrated_logit for case in cases]
    fresh = recalibrated(
        calibrator,
        np.array(odds, dtype=np.float64),
        np.array([case.outcomes[place] for case in cases], dtype=np.float64),
        labels_sha256=digest,
        from_bundle_sha256=bundle.identity.sha256,
    )
    return fresh or calibrator


def _words(
    calibrators: Sequence[AnyCalibrator], metrics: Sequence[AnyMetrics], n_known: int
) -> str:
    """Return what the card says of the update."""
    lines = ["", "## Recalibrated on a site", ""]
    for calibrator, task in zip(calibrators, metrics, strict=True):
        lines.append(f"- `{calibrator.task}`: {_what(calibrator)}")
        lines += [
            f"- `{task.task}`: no report repeats this doubt any more: {doubt.words}"
            for doubt in task.doubts
            if is_answered(doubt, calibrator)
        ]
    left_out = f"{n_known} studies of patients who had helped to make the bundle were left out."
    return "\n".join([*lines, "", f"What stands above was seen before. {left_out}"]) + "\n"


def _what(calibrator: AnyCalibrator) -> str:
    if not isinstance(calibrator, Calibrator):
        return "as it was; only binary tasks are recalibrated"
    site = calibrator.recalibration
    if site is None:
        return "too few outcomes; as it was"
    return (
        f"log-odds x {site.slope:.3f} {site.intercept:+.3f}, from {site.n_cases} patients "
        f"with {site.n_events} events"
    )

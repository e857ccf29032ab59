import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from monai.bundle import ConfigParser

from flows.cli import main
from pipeline.bundle import load_bundle
from pipeline.errors import CheckpointError
from pipeline.protocol import read_protocol
from schemas.evaluation import Evaluation
from schemas.leaks import LeakReport

PROTOCOLS = Path(__file__).parents[2] / "data_samples" / "protocols"


def synopt(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lesion task alone, every mask used, parts that a small cohort can fill."""
    content = yaml.safe_load((PROTOCOLS / "brain_mr.yaml").read_text())
    content["tasks"] = content["tasks"][:1]
    content["training"] = {
        "epochs": 5,
        "batch_size": 8,
        "splits": {"train": 0.5, "validation": 0.15, "calibration": 0.17, "conformal": 0.0},
    }
    path = tmp_path_factory.mktemp("protocol") / "lesion.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def decide_by_sex(cohort: Path) -> None:
    """Let the outcome follow from the table: a hundred patients teach nothing about their scans."""
    table = pd.read_csv(cohort / "tabular.csv", dtype=str)
    sex = table.dropna(subset="sex").groupby("patient_id")["sex"].first()
    labels = pd.read_csv(cohort / "labels.csv", dtype=str, keep_default_na=False)
    labels["lesion"] = labels["patient_id"].map(sex).map({"M": "1", "F": "0"})
    labels.to_csv(cohort / "labels.csv", index=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_from_nothing_to_reports_with_a_bundle_of_ones_own(
    protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cohort, bundle, out = tmp_path / "cohort", tmp_path / "bundle", tmp_path / "out"
    world = ["--world", "brain_mr", "--size", "48x30"]
    arguments = ["phantom", str(cohort), *world, "--cases", "200", "--seed", "3"]
    assert synopt(arguments, monkeypatch) == 0
    decide_by_sex(cohort)
    arguments = ["train", str(cohort), "--protocol", str(protocol), "--out", str(bundle)]
    assert synopt([*arguments, "--cache", str(tmp_path / "cache")], monkeypatch) == 0
    assert "lesion: test AUROC" in capsys.readouterr().out
    # An image and the sentences of most patients; no checkpoints beside the bundle.
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) > 200
    assert not (tmp_path / "bundle.training").exists()
    loaded = load_bundle(bundle)
    (metrics,) = loaded.metrics
    assert metrics.whole.auroc is not None
    assert metrics.whole.auroc.lower > 0.8
    assert "Trained on simulated data" in (bundle / "docs" / "README.md").read_text()
    split = json.loads((bundle / "configs" / "splits.json").read_text())
    assert sum(len(patients) for patients in split["parts"].values()) > 150
    assert "BR003" not in json.dumps(split)
    leaks = LeakReport.model_validate_json((bundle / "configs" / "leaks.json").read_text())
    assert leaks.is_clean
    assert leaks.n_images > 100
    parser = ConfigParser()
    parser.read_meta(str(bundle / "configs" / "metadata.json"))
    assert parser.get("_meta_")["network_data_format"]["outputs"]["pred"]["num_channels"] == 1
    small = tmp_path / "small"
    assert synopt(["phantom", str(small), *world, "--cases", "2", "--seed", "4"], monkeypatch) == 0
    arguments = ["assess", str(small), "--bundle", str(bundle), "--out", str(out)]
    assert synopt(arguments, monkeypatch) == 0
    reports = [json.loads(path.read_text()) for path in out.glob("studies/*/report.json")]
    assert len(reports) == 2
    assert {report["bundle"]["sha256"] for report in reports} == {loaded.identity.sha256}
    judged, site = tmp_path / "judged", tmp_path / "site.yaml"
    content = yaml.safe_load((bundle / "configs" / "protocol.yaml").read_text())
    site.write_text(yaml.safe_dump(content | {"timezone": "Europe/Berlin"}))
    arguments = ["evaluate", str(cohort), "--bundle", str(bundle), "--out", str(judged)]
    n_kept = len(list((tmp_path / "cache").rglob("*.safetensors")))
    more = ["--protocol", str(site), "--cache", str(tmp_path / "cache")]
    assert synopt([*arguments, *more], monkeypatch) == 0
    # Evaluation reads what training kept.
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == n_kept
    found = Evaluation.model_validate_json((judged / "evaluation.json").read_text())
    assert found.bundle.protocol_sha256 == read_protocol(site).sha256()
    # The cohort's test part alone: the other patients made the bundle.
    assert 30 < found.n_studies < 50
    assert found.tasks[0].whole.n_cases == loaded.metrics[0].whole.n_cases
    assert found.tasks[0].whole.auroc == loaded.metrics[0].whole.auroc
    assert len(found.subsets) == 6


@pytest.mark.parametrize(
    "name", ["models/model.safetensors", "configs/calibrators.json", "docs/README.md"]
)
def test_an_altered_bundle_is_refused(name: str, bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    for path in bundle.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(bundle)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    altered = bytearray((copy / name).read_bytes())
    altered[-2] ^= 1
    (copy / name).write_bytes(bytes(altered))
    with pytest.raises(CheckpointError, match=name):
        load_bundle(copy)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_bundle(copy)


def test_a_bundle_holds_no_pickle(bundle: Path) -> None:
    allowed = {".json", ".yaml", ".safetensors", ".md"}
    assert {path.suffix for path in bundle.rglob("*") if path.is_file()} <= allowed

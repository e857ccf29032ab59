import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort

from flows.assess import assess_cohort
from pipeline.assess import Assessor
from pipeline.cohort import open_cohort, read_case
from pipeline.errors import UsageError
from pipeline.files import only_run
from pipeline.geometry import LPS_TO_RAS
from pipeline.model.network import FusedNetwork
from pipeline.protocol import read_protocol
from pipeline.report.schema import check_json
from pipeline.tensors import Batch, ModelOutput
from schemas.report import RiskReport
from schemas.run import BatchSummary

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]


def run(cohort: Path, bundle: Path, out: Path, protocol: Path | None = None) -> BatchSummary:
    return assess_cohort(cohort, bundle, out, protocol=protocol, quiet=True)


def reports(out: Path) -> dict[str, RiskReport]:
    paths = sorted(out.glob("studies/*/report.json"))
    return {path.parent.name: RiskReport.model_validate_json(path.read_text()) for path in paths}


def times(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("studies/*/report.json")}


def test_every_study_gets_a_report_that_holds_what_it_promises(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = run(cohort, bundle, out)
    assert (summary.n_studies, summary.n_assessed, summary.n_reused) == (3, 3, 0)
    opened = open_cohort(cohort, read_protocol(bundle / "configs" / "protocol.yaml"))
    for study in opened.inventory.studies:
        folder = out / "studies" / study.study_uid
        check_json((folder / "report.json").read_text())
        report = RiskReport.model_validate_json((folder / "report.json").read_text())
        volume = read_case(opened, study).volumes["t1"]
        for risk in report.risks:
            assert risk.evidence is not None
            assert risk.logit is not None
            assert risk.evidence.total() == pytest.approx(risk.logit, abs=1e-4)
            assert risk.map_check is not None
            is_proved = risk.map_proof is None or risk.map_proof.status == "passed"
            is_shown = is_proved and risk.map_check.status != "failed"
            assert (risk.heatmap is not None) == is_shown
            assert (risk.heatmap is None) == bool(risk.heatmap_reason)
            if risk.heatmap is not None:
                heat = nibabel.load(folder / risk.heatmap)
                affine = LPS_TO_RAS @ volume.geometry.affine[:, [2, 1, 0, 3]]
                assert np.allclose(heat.affine, affine, atol=1e-3)
                assert heat.shape == volume.geometry.shape[::-1]
                assert np.nansum(heat.get_fdata()) == pytest.approx(risk.evidence.image, abs=1e-3)
            assert risk.lower is not None
            assert risk.upper is not None
            assert risk.probability is not None
            assert risk.lower <= risk.probability <= risk.upper
            assert risk.set in ((), ("0",), ("1",), ("0", "1"))
            assert risk.set_coverage == 0.9
            assert risk.calibrated_logit is not None
            assert risk.probability == pytest.approx(1 / (1 + np.exp(-risk.calibrated_logit)))
    table = pd.read_csv(out / "predictions.csv", dtype=str, keep_default_na=False)
    assert list(table.columns) == [
        "study_uid", "patient_id", "task", "outcome", "probability", "lower", "upper", "set",
        "status", "issues",
    ]  # fmt: skip
    assert len(table) == 3 * len(opened.protocol.tasks)


def test_a_map_that_fails_on_its_case_is_not_shown_and_the_report_says_why(
    cohort: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FusedNetwork.forward

    def with_a_wrong_map(
        self: FusedNetwork, batch: Batch, *, with_cells: bool = False
    ) -> ModelOutput:
        # The logit is kept, so nothing but the deletion test can tell: all sits in one corner.
        found = whole(self, batch, with_cells=with_cells)
        wrong, table = torch.zeros_like(found.image), found.table.clone()
        wrong[..., 0] = 5.0
        table[..., 0] += found.image.sum(-1) - 5.0
        return replace(found, image=wrong, table=table)

    monkeypatch.setattr(FusedNetwork, "forward", with_a_wrong_map)
    run(cohort, bundle, tmp_path / "out")
    found = reports(tmp_path / "out")
    checks = [risk.map_check for report in found.values() for risk in report.risks]
    failed = [check is not None and check.status == "failed" for check in checks]
    assert sum(failed) > len(failed) / 2, "a map that knows nothing passes once in nine times"
    for name, report in found.items():
        for risk in report.risks:
            assert risk.map_check is not None
            if risk.map_check.status == "passed":
                continue
            assert (risk.heatmap, risk.regions) == (None, ())
            assert not list((tmp_path / "out" / "studies" / name).glob(f"*{risk.task}*.nii.gz"))
            assert risk.map_proof is not None
            why = {"passed": "failed its own test", "failed": "are not proved"}
            assert why[risk.map_proof.status] in risk.heatmap_reason
            assert risk.probability is not None
        folder = tmp_path / "out" / "studies" / name
        assert "failed its own test" in (folder / "report.html").read_text()


def test_nothing_recorded_after_the_scan_reaches_a_report(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    notes = pd.read_csv(cohort / "notes.csv", dtype=str, keep_default_na=False)
    later = pd.DataFrame(
        {
            "patient_id": [path.name for path in (cohort / "dicom").iterdir()],
            "written_at": "2099-01-01T10:00:00",
            "kind": "clinic",
            "text": "Biopsy: malignant zebra.",
        }
    )
    pd.concat([notes, later]).to_csv(cohort / "notes.csv", index=False)
    run(cohort, bundle, tmp_path / "out")
    for path in (tmp_path / "out").glob("studies/*/report.*"):
        assert "zebra" not in path.read_text()
    assert all(report.history.n_after_scan for report in reports(tmp_path / "out").values())


def test_a_second_run_does_nothing_again_and_says_so(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cohort, bundle, out)
    before = times(out)
    summary = run(cohort, bundle, out)
    assert summary.n_reused == 3
    assert "0 done now, 3 unchanged" in summary.sentence()
    assert times(out) == before
    assert (out / "index.html").is_file()


def test_only_a_study_whose_history_changed_is_done_again(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cohort, bundle, out)
    before = times(out)
    frame = pd.read_csv(cohort / "tabular.csv", dtype=str, keep_default_na=False)
    patient = sorted(path.name for path in (cohort / "dicom").iterdir())[0]
    row = {"patient_id": patient, "recorded_at": "", "sex": "F", "age_years": ""}
    frame = frame[frame["patient_id"] != patient]
    pd.concat([frame, pd.DataFrame([row]).reindex(columns=frame.columns, fill_value="")]).to_csv(
        cohort / "tabular.csv", index=False
    )
    assert run(cohort, bundle, out).n_reused == 2
    changed = [name for name, time in times(out).items() if time != before[name]]
    assert [reports(out)[name].patient_id for name in changed] == [patient]


def test_another_policy_or_another_bundle_does_the_work_again(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cohort, bundle, out)
    content = yaml.safe_load((bundle / "configs" / "protocol.yaml").read_text())
    content["assessment"]["out_of_distribution"] = "caution"
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(yaml.safe_dump(content))
    assert run(cohort, bundle, out, protocol).n_reused == 0
    assert run(cohort, bundle, out, protocol).n_reused == 3
    other = tmp_path / "bundle"
    shutil.copytree(bundle, other)
    card, manifest = other / "docs" / "README.md", other / "manifest.json"
    old = hashlib.sha256(card.read_bytes()).hexdigest()
    card.write_text(card.read_text() + "\nAnother edition.\n")
    new = hashlib.sha256(card.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(old, new))
    assert run(cohort, other, out, protocol).n_reused == 0


def test_a_bundle_of_another_protocol_is_refused_before_anything_is_written(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load((bundle / "configs" / "protocol.yaml").read_text())
    content["look_back_days"] = 30
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match="another protocol"):
        run(cohort, bundle, tmp_path / "out", protocol)
    assert not (tmp_path / "out").exists()


def test_two_assessments_never_write_to_one_folder(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with only_run(tmp_path / "out", "a test"):
        with pytest.raises(UsageError, match="another assessment is writing to"):
            run(cohort, bundle, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_study_that_cannot_be_read_is_listed_and_the_others_go_on(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    damaged = sorted((cohort / "dicom").iterdir())[1]
    files = sorted(path for path in damaged.rglob("*") if path.is_file())
    for path in files[len(files) // 2 : len(files) // 2 + 3]:
        path.unlink()
    summary = run(cohort, bundle, tmp_path / "out")
    assert (summary.n_assessed, summary.n_refused) == (2, 1)
    (refused,) = [item for item in reports(tmp_path / "out").values() if item.status == "refused"]
    assert refused.patient_id == damaged.name
    assert "geometry-irregular" in {i.code for use in refused.series for i in use.issues}
    assert refused.study_uid in (tmp_path / "out" / "index.html").read_text()


def test_a_fault_of_the_program_is_listed_and_the_others_go_on(
    cohort: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = Assessor.assess, []

    def fails_once(self: Assessor, study: object) -> object:
        calls.append(study)
        if len(calls) == 1:
            message = "the name of a patient"
            raise RuntimeError(message)
        return whole(self, study)

    out = tmp_path / "out"
    monkeypatch.setattr(Assessor, "assess", fails_once)
    assert run(cohort, bundle, out).n_refused == 1
    log = (out / "faults.log").read_text()
    assert "RuntimeError" in log
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(sort=TaskRunSort.END_TIME_DESC, limit=50)
    seen = json.dumps([item.model_dump(mode="json") for item in runs])
    assert "RuntimeError" in seen
    assert "name of a patient" not in log + seen + (out / "index.html").read_text()
    assert run(cohort, bundle, out).n_reused == 2  # the failed one is tried again


def test_a_fault_of_the_disk_is_tried_again(
    cohort: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = Assessor.assess, []

    def fails_once(self: Assessor, study: object) -> object:
        calls.append(study)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")
        return whole(self, study)

    monkeypatch.setattr(Assessor, "assess", fails_once)
    monkeypatch.setattr("flows.assess.RETRY_DELAY_S", 0.0)
    assert run(cohort, bundle, tmp_path / "out").n_assessed == 3
    assert len(calls) == 4


def test_a_bare_folder_of_dicom_is_a_cohort_without_histories(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    summary = run(cohort / "dicom", bundle, tmp_path / "out")
    assert summary.n_assessed == 3
    for report in reports(tmp_path / "out").values():
        assert "history-missing" in {issue.code for issue in report.issues}
        assert all(risk.evidence and not risk.evidence.notes for risk in report.risks)


def test_the_same_input_gives_the_same_report(cohort: Path, bundle: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(cohort, bundle, tmp_path / name)
    first, second = reports(tmp_path / "first"), reports(tmp_path / "second")
    for name, report in first.items():
        same = report.model_copy(update={"created_at": second[name].created_at})
        assert same == second[name]


def test_prefects_server_sees_paths_only(cohort: Path, bundle: Path, tmp_path: Path) -> None:
    run(cohort, bundle, tmp_path / "out")
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        task_runs = client.read_task_runs(sort=TaskRunSort.END_TIME_DESC, limit=200)
    assert flow_runs[0].parameters["cohort"] == str(cohort)
    seen = json.dumps([item.model_dump(mode="json") for item in (*flow_runs, *task_runs)])
    note = pd.read_csv(cohort / "notes.csv", dtype=str)["text"].iloc[0]
    assert note[:20] not in seen
    for patient in (cohort / "dicom").iterdir():
        assert patient.name not in seen

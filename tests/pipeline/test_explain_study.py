import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from flows.cli import main
from pipeline.bundle import Bundle, load_bundle
from pipeline.cohort import Cohort, open_cohort
from pipeline.errors import UsageError
from pipeline.explain_study import NAME, RAW_ATTENTION, explain_study
from pipeline.model.join import NoJoin
from schemas.explanation import Explanation
from schemas.series import Study

SAMPLES = Path(__file__).parents[2] / "data_samples"
COHORT, BUNDLE = SAMPLES / "brain_mr", SAMPLES / "bundles" / "brain_mr"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


@pytest.fixture(scope="module")
def cohort(bundle: Bundle) -> Cohort:
    return open_cohort(COHORT, bundle.protocol)


def study(cohort: Cohort, *, is_usable: bool) -> Study:
    return next(
        one for one in cohort.inventory.studies
        if any(series.is_usable for series in one.series) == is_usable
    )  # fmt: skip


def test_a_map_a_task_lies_on_the_scanners_grid_and_says_how_far_it_agrees(
    cohort: Cohort, bundle: Bundle, tmp_path: Path
) -> None:
    uid, out = study(cohort, is_usable=True).study_uid, tmp_path / "out"
    found = explain_study(cohort, bundle, uid, "hires_cam", out)
    assert Explanation.model_validate_json((out / NAME).read_text()) == found
    assert [task.task for task in found.tasks] == [task.name for task in bundle.protocol.tasks]
    assert len(list(out.iterdir())) == 1 + len(found.tasks)
    for task in found.tasks:
        array = nibabel.load(out / task.file).get_fdata()
        assert np.nansum(array) == pytest.approx(task.sum, abs=1e-3)
        assert task.rank_correlation is not None
        assert -1.0 <= task.rank_correlation <= 1.0
    # The network's own gate decides what either may say of a lesion.
    assert any(task.peak_distance_mm is not None for task in found.tasks)


def test_raw_attention_is_one_map_of_shares_for_all_tasks(
    cohort: Cohort, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    uid, out = study(cohort, is_usable=True).study_uid, tmp_path / "out"
    arguments = ["explain", uid, "--cohort", str(COHORT), "--bundle", str(BUNDLE)]
    arguments += ["--method", "attention", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "Raw attention, not evidence" in capsys.readouterr().out
    found = Explanation.model_validate_json((out / NAME).read_text())
    assert sorted(one.name for one in out.iterdir()) == [NAME, RAW_ATTENTION]
    assert {task.file for task in found.tasks} == {RAW_ATTENTION}
    array = nibabel.load(out / RAW_ATTENTION).get_fdata()
    assert np.nanmin(array) >= 0.0
    assert found.null_share is not None
    assert 0.0 < found.null_share < 1.0
    assert np.nansum(array) + found.null_share == pytest.approx(1.0, abs=1e-4)


def test_a_bundle_without_attention_says_so_and_leaves_nothing(
    cohort: Cohort, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for network in bundle.networks:
        monkeypatch.setattr(network, "join", NoJoin())
    uid = study(cohort, is_usable=True).study_uid
    with pytest.raises(UsageError, match="no attention"):
        explain_study(cohort, bundle, uid, "attention", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_is_not_there_is_a_mistake_and_leaves_nothing(
    cohort: Cohort, bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no study"):
        explain_study(cohort, bundle, "1.2.3", "grad_cam", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_and_prints_where(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    uid, out = study(cohort, is_usable=True).study_uid, tmp_path / "out"
    arguments = ["explain", uid, "--cohort", str(COHORT), "--bundle", str(BUNDLE)]
    arguments += ["--method", "grad_cam", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "rank correlation with the report's map" in shown
    assert str(out / NAME) in shown
    assert json.loads((out / NAME).read_text())["method"] == "grad_cam"

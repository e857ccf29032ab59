import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_examples import (
    FAILED,
    PEAK,
    STUDY_UID,
    UNPROVED,
    geometry,
    heatmap,
    report,
    risk,
    volume,
    withheld_report,
    withheld_risk,
)

from pipeline.errors import UsageError
from pipeline.heatmap import Heatmap
from pipeline.nifti import load_nifti
from pipeline.report import write
from pipeline.report.write import read_report, study_folder_name, write_report

GOLDEN = Path(__file__).parents[2] / "golden" / "report.json"


def written(folder, made=None, **options):
    made = made or report()
    given = {"volume": volume(), "heatmaps": {"mass": heatmap()}} | options
    write_report(folder, made, **given)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def differences(expected, found, place="$"):
    """Return the places at which two JSON values differ; numbers may by a billionth."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for name in sorted(expected.keys() | found.keys())
            for fault in differences(expected.get(name), found.get(name), f"{place}.{name}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [fault for i, pair in pairs for fault in differences(*pair, f"{place}[{i}]")]
    if isinstance(expected, float) and isinstance(found, float):
        return [] if math.isclose(expected, found, rel_tol=1e-9) else [place]
    return [] if expected == found and type(expected) is type(found) else [place]


def test_a_written_report_equals_the_golden_one_field_by_field(tmp_path):
    found = json.loads((written(tmp_path / "study") / "report.json").read_text("utf-8"))
    assert differences(json.loads(GOLDEN.read_text("utf-8")), found) == []


def test_the_comparison_with_the_golden_report_sees_any_changed_field():
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert differences(golden, golden | {"status": "withheld"}) == ["$.status"]
    changed = json.loads(json.dumps(golden))
    changed["risks"][0]["evidence"]["table"][1]["contribution"] += 1e-6
    assert differences(golden, changed) == ["$.risks[0].evidence.table[1].contribution"]


def test_a_report_reads_back_as_it_was(tmp_path):
    assert read_report(written(tmp_path / "study")) == report()


def test_the_folder_holds_the_three_kinds_of_files_for_all_to_read(tmp_path):
    folder = written(tmp_path / "study")
    assert sorted(contents(folder)) == ["heatmap_mass.nii.gz", "report.html", "report.json"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_the_heatmap_file_lies_on_the_scanners_grid(tmp_path):
    array, grid = load_nifti(written(tmp_path / "study") / "heatmap_mass.nii.gz")
    np.testing.assert_array_equal(array, heatmap().array)
    np.testing.assert_allclose(grid.to_mm(PEAK), geometry().to_mm(PEAK), atol=1e-3)


def test_the_same_report_is_the_same_bytes(tmp_path):
    assert contents(written(tmp_path / "one")) == contents(written(tmp_path / "two"))


def test_a_new_report_replaces_the_earlier_one_of_the_same_study_whole(tmp_path):
    written(tmp_path / "study")
    written(tmp_path / "study", withheld_report(), heatmaps={})
    assert sorted(contents(tmp_path / "study")) == ["report.html", "report.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


@pytest.mark.parametrize("step", ["write_text", "save_nifti"])
def test_a_failed_write_leaves_the_earlier_report_as_it_was(tmp_path, monkeypatch, step):
    before = contents(written(tmp_path / "study"))

    def fail(*_):
        msg = "no space left on device"
        raise OSError(msg)

    monkeypatch.setattr(write, step, fail)
    with pytest.raises(OSError, match="no space"):
        written(tmp_path / "study")
    assert contents(tmp_path / "study") == before
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_a_failed_first_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "save_nifti", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        written(tmp_path / "study")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_swap_puts_the_earlier_report_back(tmp_path, monkeypatch):
    before = contents(written(tmp_path / "study"))
    rename = Path.rename

    def fail(path, target):
        if path.name.startswith(".new-"):
            msg = "swap failed"
            raise OSError(msg)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="swap failed"):
        written(tmp_path / "study")
    assert contents(tmp_path / "study") == before
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_a_report_that_an_interrupted_swap_left_aside_is_not_lost(tmp_path, monkeypatch):
    before = contents(written(tmp_path / "study"))
    (tmp_path / "study").rename(tmp_path / ".previous-study")
    monkeypatch.setattr(write, "save_nifti", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        written(tmp_path / "study")
    assert contents(tmp_path / "study") == before


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no report"):
        written(tmp_path / "study")
    assert (tmp_path / "study" / "thesis.txt").read_text() == "mine"


def test_the_report_of_another_study_is_not_replaced(tmp_path):
    written(tmp_path / "study", report(study_uid="1.2.3"))
    with pytest.raises(UsageError, match="another study"):
        written(tmp_path / "study")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "study").mkdir()
    assert read_report(written(tmp_path / "study")) is not None


def test_a_damaged_report_is_replaced(tmp_path):
    folder = written(tmp_path / "study")
    (folder / "report.json").write_text("{")
    assert read_report(folder) is None
    assert read_report(written(folder)) == report()


@pytest.mark.parametrize("name", ["report.json", "report.html", "heatmap_mass.nii.gz"])
def test_a_report_with_a_missing_file_counts_as_absent(tmp_path, name):
    folder = written(tmp_path / "study")
    (folder / name).unlink()
    assert read_report(folder) is None


def test_an_absent_report_is_none(tmp_path):
    assert read_report(tmp_path / "nowhere") is None


def changed_region(**changes):
    return risk(regions=(risk().regions[0].model_copy(update=changes),))


NO_NUMBER = "without a probability there is no logit"


@pytest.mark.parametrize(
    ("made", "match"),
    [
        pytest.param(report(risk(logit=1.0)), "evidence sums to", id="logit"),
        pytest.param(report(risk(probability=0.9)), "the calibrated logit means", id="probability"),
        pytest.param(report(risk(calibrated_logit=None)), "calibration", id="calibration"),
        pytest.param(report(risk(calibrated_logit=3.0)), "means", id="another probability"),
        pytest.param(report(risk(lower=0.5)), "must hold the probability", id="lower"),
        pytest.param(report(risk(upper=0.3)), "must hold the probability", id="upper"),
        pytest.param(report(risk(upper=1.5)), "must hold the probability", id="upper above 1"),
        pytest.param(report(status="withheld"), "withheld has no probability", id="status"),
        pytest.param(report(risk(probability=None)), NO_NUMBER, id="withheld logit"),
        pytest.param(report(risk(heatmap=None)), "names the heatmap", id="heatmap not named"),
        pytest.param(report(risk(map_check=FAILED)), "failed its test", id="heatmap failed"),
        pytest.param(report(risk(map_proof=UNPROVED)), "not proved", id="maps not proved"),
        pytest.param(report(risk(heatmap="x.nii.gz")), "names the heatmap", id="heatmap name"),
        pytest.param(report(risk(), risk()), "must differ", id="task twice"),
        pytest.param(report(risk(regions=())), "regions", id="no region"),
        pytest.param(report(risk(regions=risk().regions * 2)), "regions", id="a region twice"),
        pytest.param(report(changed_region(index=(5, 5, 14))), "regions", id="index"),
        pytest.param(report(changed_region(position_mm=(8.0, -7.0, 6.0))), "regions", id="mm"),
        pytest.param(report(changed_region(sop_instance_uid="1.2")), "regions", id="instance"),
        pytest.param(report(changed_region(frame=2)), "regions", id="frame"),
        pytest.param(report(changed_region(is_resampled=True)), "regions", id="resampled"),
        pytest.param(report(changed_region(side="right")), "regions", id="side"),
        pytest.param(report(changed_region(volume_ml=1.0)), "regions", id="size"),
    ],
)
def test_a_report_that_contradicts_itself_is_not_written(tmp_path, made, match):
    with pytest.raises(ValueError, match=match):
        written(tmp_path / "study", made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "number",
    [
        {"logit": 0.1},
        {"lower": 0.1},
        {"upper": 0.9},
        {"set": ("0",)},
        {"evidence": risk().evidence},
        {"regions": risk().regions},
    ],
    ids=lambda number: next(iter(number)),
)
def test_a_withheld_risk_with_any_number_is_not_written(tmp_path, number):
    made = report(withheld_risk().model_copy(update=number), status="withheld")
    with pytest.raises(ValueError, match=NO_NUMBER):
        written(tmp_path / "study", made, heatmaps={})


@pytest.mark.parametrize("task", ["../mass", "Mass", "mass/1", ""])
def test_a_task_name_that_is_no_file_name_is_not_written(tmp_path, task):
    with pytest.raises(ValueError, match="task name"):
        written(tmp_path / "study", report(withheld_risk(task), status="withheld"), heatmaps={})


def test_a_heatmap_on_another_grid_is_not_written(tmp_path):
    moved = geometry().affine.copy()
    moved[0, 3] += 1.0
    with pytest.raises(ValueError, match="own grid"):
        written(tmp_path / "study", heatmaps={"mass": heatmap(geometry(moved))})


def test_a_heatmap_without_its_volume_or_of_another_task_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="own grid"):
        written(tmp_path / "study", volume=None)
    with pytest.raises(ValueError, match="heatmap of edema"):
        written(tmp_path / "study", heatmaps={"mass": heatmap(task="edema")})
    with pytest.raises(ValueError, match="own the heatmaps"):
        written(tmp_path / "study", heatmaps={"mass": heatmap(), "edema": heatmap()})


def test_a_heatmap_with_an_infinite_value_is_not_written(tmp_path):
    array = heatmap().array.copy()
    array[0, 0, 0] = -np.inf
    infinite = Heatmap(array, geometry(), "mass")
    with pytest.raises(ValueError, match="finite values"):
        written(tmp_path / "study", heatmaps={"mass": infinite})


@pytest.mark.parametrize(
    ("study_uid", "name"),
    [(STUDY_UID, STUDY_UID), ("../x", "%2E.%2Fx"), ("..", "%2E."), ("sub 01", "sub%2001")],
)
def test_a_study_folder_cannot_lie_elsewhere(study_uid, name):
    assert study_folder_name(study_uid) == name

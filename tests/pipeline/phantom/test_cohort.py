from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml

from pipeline.errors import UsageError
from pipeline.files import file_sha256, folder_sha256
from pipeline.nifti import load_nifti
from pipeline.phantom.cohort import WORLDS, WorldName, write_cohort
from schemas.protocol import Protocol

N_CASES, SEED = 14, 3  # as in conftest.py
PROTOCOLS = Path(__file__).parents[3] / "data_samples" / "protocols"


def table(cohort: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(cohort / name, dtype=str, keep_default_na=False)


def headers(cohort: Path) -> dict[str, list[pydicom.Dataset]]:
    """All slices by study, without pixels."""
    found: dict[str, list[pydicom.Dataset]] = {}
    for path in sorted((cohort / "dicom").rglob("*")):
        if path.is_file():
            item = pydicom.dcmread(path, stop_before_pixels=True)
            found.setdefault(item.StudyInstanceUID, []).append(item)
    return found


def scanned_at(cohort: Path) -> dict[str, str]:
    """Acquisition time by patient, ISO 8601."""
    moments = {}
    for items in headers(cohort).values():
        day, time = items[0].AcquisitionDate, items[0].AcquisitionTime
        moments[items[0].PatientID] = pd.Timestamp(f"{day}T{time}").isoformat()
    return moments


def test_the_same_seed_gives_the_same_bytes(world_name: WorldName, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_cohort(tmp_path / name, world=world_name, n_cases=3, seed=SEED)
    assert folder_sha256(tmp_path / "one") == folder_sha256(tmp_path / "two")


def test_a_smaller_cohort_holds_the_same_cases(
    cohort: Path, world_name: WorldName, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    write_cohort(small, world=world_name, n_cases=2, seed=SEED)
    files = [path for path in small.rglob("*") if path.suffix in {".dcm", ".gz"}]
    assert files
    for path in files:
        assert file_sha256(path) == file_sha256(cohort / path.relative_to(small))
    for name in ("tabular.csv", "notes.csv", "labels.csv", "truth.csv"):
        assert (cohort / name).read_text().startswith((small / name).read_text())


def test_another_seed_gives_other_patients(world_name: WorldName, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_cohort(tmp_path / str(seed), world=world_name, n_cases=1, seed=seed)
    one, two = (table(tmp_path / str(seed), "truth.csv") for seed in (1, 2))
    assert one["study_uid"][0] != two["study_uid"][0]
    assert one["patient_id"][0] != two["patient_id"][0]


def test_every_study_is_one_series_with_a_whole_header(cohort: Path, world_name: WorldName) -> None:
    truth = table(cohort, "truth.csv").set_index("study_uid")
    studies = headers(cohort)
    assert set(studies) == set(truth.index)
    for uid, items in studies.items():
        assert {item.PatientID for item in items} == {truth["patient_id"][uid]}
        assert len({item.SeriesInstanceUID for item in items}) == 1
        assert len({item.SOPInstanceUID for item in items}) == len(items)
        assert {item.Modality for item in items} == {WORLDS[world_name].modality}
        assert {tuple(item.ImageType[:2]) for item in items} == {("ORIGINAL", "PRIMARY")}
        assert 36 <= len(items) <= 64
        assert 36 <= items[0].Rows <= 64
        assert 36 <= items[0].Columns <= 64


def test_several_sites_take_part(cohort: Path) -> None:
    spacings = {tuple(items[0].PixelSpacing) for items in headers(cohort).values()}
    assert len(spacings) >= 3


def test_masks_lie_where_the_truth_says(cohort: Path, world_name: WorldName) -> None:
    finding = WORLDS[world_name].finding
    truth = table(cohort, "truth.csv")
    shown = truth[truth[f"has_{finding}"] == "1"]
    masks = {path.name for path in (cohort / "annotations").iterdir()}
    assert masks == {f"{uid}__{finding}.nii.gz" for uid in shown["study_uid"]}
    for _, row in shown.iterrows():
        mask, geometry = load_nifti(
            cohort / "annotations" / f"{row['study_uid']}__{finding}.nii.gz"
        )
        stated = np.array([float(row[f"{finding}_{axis}_mm"]) for axis in "xyz"])
        middle = geometry.to_mm(np.argwhere(mask)).mean(axis=0)
        assert np.linalg.norm(middle - stated) < 4.0
        assert mask[tuple(np.rint(geometry.to_index(stated)).astype(int))] == 1
        assert row[f"{finding}_side"] == ("left" if stated[0] > 0 else "right")


def test_masks_are_on_the_scanners_grid(cohort: Path, world_name: WorldName) -> None:
    for uid, items in headers(cohort).items():
        path = cohort / "annotations" / f"{uid}__{WORLDS[world_name].finding}.nii.gz"
        if path.exists():
            mask, geometry = load_nifti(path)
            assert mask.shape == (len(items), items[0].Rows, items[0].Columns)
            for item in items:
                where = geometry.to_mm((item.InstanceNumber - 1, 0, 0))
                np.testing.assert_allclose(where, item.ImagePositionPatient, atol=1e-3)


def test_counted_future_records_are_those_dated_after_the_scan(cohort: Path) -> None:
    moments = scanned_at(cohort)
    truth = table(cohort, "truth.csv").set_index("patient_id")
    for name, time, kept, future in (
        ("tabular.csv", "recorded_at", "n_rows", "n_future_rows"),
        ("notes.csv", "written_at", "n_notes", "n_future_notes"),
    ):
        records = table(cohort, name)
        is_after = records[time] > records["patient_id"].map(moments)
        after = Counter(records["patient_id"][is_after])
        before = Counter(records["patient_id"][~is_after])
        assert {patient: after[patient] for patient in moments} == {
            patient: int(truth[future][patient]) for patient in moments
        }
        assert {patient: before[patient] for patient in moments} == {
            patient: int(truth[kept][patient]) for patient in moments
        }


def test_only_sex_is_undated(cohort: Path) -> None:
    rows = table(cohort, "tabular.csv")
    undated = rows[rows["recorded_at"] == ""]
    assert (undated["sex"] != "").all()
    assert (undated.drop(columns=["patient_id", "recorded_at", "sex"]) == "").all().all()


def test_the_last_row_before_the_scan_tells_the_truth(cohort: Path, world_name: WorldName) -> None:
    moments = scanned_at(cohort)
    truth = table(cohort, "truth.csv").set_index("patient_id")
    rows = table(cohort, "tabular.csv")
    rows = rows[
        (rows["recorded_at"] != "") & (rows["recorded_at"] <= rows["patient_id"].map(moments))
    ]
    latest = rows.sort_values("recorded_at").groupby("patient_id").last()
    for column in WORLDS[world_name].columns:
        told = latest[column.name][latest[column.name] != ""]
        assert (told == truth[f"fact_{column.name}"][told.index]).all()


def test_the_protocol_finds_its_columns_tasks_and_series(
    cohort: Path, world_name: WorldName
) -> None:
    values: dict[str, Any] = yaml.safe_load((PROTOCOLS / f"{world_name}.yaml").read_text())
    protocol = Protocol.model_validate(values)
    assert protocol.name == world_name
    assert protocol.is_simulated
    rows = table(cohort, "tabular.csv")
    assert {column.name for column in protocol.table} == set(rows) - {"patient_id", "recorded_at"}
    assert {task.name for task in protocol.tasks} == set(table(cohort, "labels.csv")) - {
        "patient_id",
        "study_uid",
    }
    for column in protocol.table:
        written = rows[column.name][rows[column.name] != ""]
        if column.kind == "number":
            assert written.astype(float).between(column.low, column.high).all()
        allowed = set(column.categories) if column.kind == "category" else {"yes", "no"}
        assert column.kind == "number" or set(written) <= allowed
    first = next(iter(headers(cohort).values()))[0]
    rule = protocol.series[0]
    assert first.Modality == rule.modality
    assert any(word in first.SeriesDescription.lower() for word in rule.descriptions)


def test_the_readme_says_what_the_cohort_is(cohort: Path, world_name: WorldName) -> None:
    text = (cohort / "README.md").read_text()
    assert "simulated" in text
    assert f"--world {world_name} --cases {N_CASES} --seed {SEED}" in text


def test_progress_is_told_after_each_case(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_cohort(
        tmp_path / "x",
        world="brain_mr",
        n_cases=2,
        seed=0,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]


def test_a_broken_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "x", world="brain_mr", n_cases=2, seed=0, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("n_cases", "seed"), [(0, 0), (1, -1)])
def test_numbers_out_of_range_are_refused(tmp_path: Path, n_cases: int, seed: int) -> None:
    with pytest.raises(UsageError, match="at least"):
        write_cohort(tmp_path / "x", world="brain_mr", n_cases=n_cases, seed=seed)


def test_an_unknown_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose brain_mr or chest_ct"):
        write_cohort(tmp_path / "x", world="knee_mr", n_cases=1, seed=0)  # type: ignore[arg-type]

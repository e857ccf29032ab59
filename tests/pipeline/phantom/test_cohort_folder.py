import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml

from pipeline.errors import UsageError
from pipeline.files import file_sha256
from pipeline.history import read_labels
from pipeline.nifti import load_nifti
from pipeline.phantom import WORLDS, Design, Matrix, read_size, write_cohort
from schemas.protocol import Protocol

N_CASES, SEED = 30, 3  # as in conftest.py
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


def test_the_same_design_gives_the_same_bytes(design: Design, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_cohort(tmp_path / name, design=design, n_cases=3)
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert len(one) > 10
    assert one == two


def test_a_smaller_cohort_holds_the_same_cases(
    cohort: Path, design: Design, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    write_cohort(small, design=design, n_cases=2)
    files = [path for path in small.rglob("*") if path.suffix in {".dcm", ".gz"}]
    assert files
    for path in files:
        assert file_sha256(path) == file_sha256(cohort / path.relative_to(small))
    for name in ("tabular.csv", "notes.csv", "labels.csv", "traps.csv", "truth.csv"):
        assert (cohort / name).read_text().startswith((small / name).read_text())


@pytest.mark.parametrize("change", [{"seed": 4}, {"family": "b"}], ids=["seed", "family"])
def test_another_seed_or_family_gives_other_patients(
    cohort: Path, design: Design, change: dict[str, Any], tmp_path: Path
) -> None:
    write_cohort(tmp_path / "x", design=replace(design, **change), n_cases=3)
    one, two = (table(folder, "truth.csv") for folder in (cohort, tmp_path / "x"))
    for column in ("study_uid", "patient_id", "true_" + design.world.risks[2].task):
        assert not set(one[column][:3]) & set(two[column])
    if "family" in change:
        assert not set(one["site"]) & set(two["site"])


def test_every_study_is_one_series_with_a_whole_header(cohort: Path, world_name: str) -> None:
    truth = table(cohort, "truth.csv").set_index("study_uid")
    studies = headers(cohort)
    assert set(studies) == set(truth.index)
    for uid, items in studies.items():
        assert {item.PatientID for item in items} == {truth["patient_id"][uid]}
        assert len({item.SeriesInstanceUID for item in items}) == 1
        assert len({item.SOPInstanceUID for item in items}) == len(items)
        assert {item.Modality for item in items} == {WORLDS[world_name].modality}
        if truth["has_image"][uid] == "1":
            assert {tuple(item.ImageType[:2]) for item in items} == {("ORIGINAL", "PRIMARY")}
            assert "LOCALIZER" not in items[0].ImageType
            assert 36 <= len(items) <= 64
        else:
            assert items[0].ImageType[2] == "LOCALIZER"
            assert len(items) == 3
        assert 36 <= items[0].Rows <= 64
        assert 36 <= items[0].Columns <= 64


def test_several_sites_take_part(cohort: Path) -> None:
    spacings = {tuple(items[0].PixelSpacing) for items in headers(cohort).values()}
    assert len(spacings) >= 4


def test_masks_lie_where_the_truth_says(cohort: Path, world_name: str) -> None:
    finding = WORLDS[world_name].finding
    truth = table(cohort, "truth.csv")
    shown = truth[(truth[f"has_{finding}"] == "1") & (truth["has_image"] == "1")]
    masks = {path.name for path in (cohort / "annotations").iterdir()}
    assert masks == {f"{uid}__{finding}.nii.gz" for uid in shown["study_uid"]}
    for _, row in shown.iterrows():
        mask, geometry = load_nifti(
            cohort / "annotations" / f"{row['study_uid']}__{finding}.nii.gz"
        )
        stated = np.array([float(row[f"{finding}_{axis}_mm"]) for axis in "xyz"])
        middle = geometry.to_mm(np.argwhere(mask)).mean(axis=0)
        assert np.linalg.norm(middle - stated) < 5.0
        assert mask[tuple(np.rint(geometry.to_index(stated)).astype(int))] == 1
        assert row[f"{finding}_side"] == ("left" if stated[0] > 0 else "right")


def test_masks_are_on_the_scanners_grid(cohort: Path, world_name: str) -> None:
    for uid, items in headers(cohort).items():
        path = cohort / "annotations" / f"{uid}__{WORLDS[world_name].finding}.nii.gz"
        if path.exists():
            mask, geometry = load_nifti(path)
            assert mask.shape == (len(items), items[0].Rows, items[0].Columns)
            for item in items:
                where = geometry.to_mm((item.InstanceNumber - 1, 0, 0))
                np.testing.assert_allclose(where, item.ImagePositionPatient, atol=1e-3)


@pytest.mark.parametrize("name", ["brain_mr", "chest_ct", "brain_place", "brain_kinds"])
def test_a_protocol_finds_its_columns_tasks_and_series(name: str, tmp_path: Path) -> None:
    values: dict[str, Any] = yaml.safe_load((PROTOCOLS / f"{name}.yaml").read_text())
    protocol = Protocol.model_validate(values)
    world = WORLDS["chest_ct" if protocol.series[0].modality == "CT" else "brain_mr"]
    write_cohort(tmp_path / "x", design=Design(world=world, seed=1), n_cases=2)
    assert protocol.name == name
    assert protocol.is_simulated
    columns = {column.name: column for column in world.columns}
    assert {column.name for column in protocol.table} <= {"sex", *columns}
    for column in protocol.table:
        if column.kind == "number":
            assert column.low <= columns[column.name].low < columns[column.name].high <= column.high
    labels = table(tmp_path / "x", "labels.csv")
    assert {column for task in protocol.tasks for column in task.label_columns} <= set(labels)
    assert read_labels(tmp_path / "x", protocol).values
    whole = [items[0] for items in headers(tmp_path / "x").values() if len(items) > 3]
    first = whole[0]
    assert first.Modality == protocol.series[0].modality
    assert any(word in first.SeriesDescription.lower() for word in protocol.series[0].descriptions)


def test_a_number_in_another_unit_that_does_not_say_so_is_implausible(
    world_name: str,
) -> None:
    values = yaml.safe_load((PROTOCOLS / f"{world_name}.yaml").read_text())
    plausible = {column.name: column for column in Protocol.model_validate(values).table}
    mixed = [column for column in WORLDS[world_name].columns if column.other_unit]
    assert mixed
    for column in mixed:
        rule = plausible[column.name]
        ends = [bound * column.other_unit.per_unit for bound in (column.low, column.high)]
        assert ends[0] > rule.high or ends[1] < rule.low


def test_the_readme_says_what_the_cohort_is(cohort: Path, world_name: str) -> None:
    text = (cohort / "README.md").read_text()
    assert "simulated" in text
    assert f"--world {world_name} --cases {N_CASES} --seed {SEED}" in text


def test_the_readme_tells_every_option_that_differs(design: Design) -> None:
    changed = replace(design, interaction=0.5, family="b", matrix=Matrix(64, 40))
    assert changed.options(2).endswith("--seed 3 --interaction 0.5 --family b --size 64x40")


def test_progress_is_told_after_each_case(design: Design, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_cohort(
        tmp_path / "x",
        design=design,
        n_cases=2,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]


def test_a_broken_run_leaves_nothing(design: Design, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "x", design=design, n_cases=2, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_no_cases_are_refused(design: Design, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        write_cohort(tmp_path / "x", design=design, n_cases=0)


@pytest.mark.parametrize("change", [{"seed": -1}, {"interaction": 1.1}, {"interaction": math.nan}])
def test_a_design_out_of_range_is_refused(design: Design, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="interaction from 0 to 1"):
        replace(design, **change)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("small", None), ("large", Matrix(512, 300)), ("64x40", Matrix(64, 40))],
)
def test_a_size_is_read(text: str, expected: Matrix | None) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize("text", ["", "8x40", "64", "64x2000", "axb", "64x40x40"])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="size must be small, large"):
        read_size(text)

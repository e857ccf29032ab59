from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.nifti import save_nifti
from pipeline.preprocess import model_grid
from pipeline.tensors import ImageInput
from pipeline.train import examples
from pipeline.train.annotations import token_masks, with_empty_masks
from pipeline.volume import Volume
from schemas.protocol import Protocol


def test_a_mask_marks_the_tokens_at_its_place_in_mm(
    volume: Volume, protocol: Protocol, tmp_path: Path
) -> None:
    grid = model_grid(volume.geometry, protocol.grid)
    centre = grid.to_mm(np.array([1, 2, 4]) * 4 + 1.5)
    axes = [np.arange(size) for size in volume.geometry.shape]
    where = volume.geometry.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    ball = (np.linalg.norm(where - centre, axis=-1) <= 7.0).astype(np.uint8)
    (tmp_path / "annotations").mkdir()
    save_nifti(tmp_path / "annotations" / "1.2__lesion.nii.gz", ball, volume.geometry)
    masks = token_masks(tmp_path, "1.2", grid, protocol)
    # A ball of 7 mm lies wholly inside its token, which reaches 8 mm to each side.
    assert np.argwhere(masks[0] == 1.0).tolist() == [[1, 2, 4]]
    assert np.isnan(masks[1]).all()


def test_a_task_may_share_another_tasks_masks(
    volume: Volume, protocol: Protocol, tmp_path: Path
) -> None:
    grid = model_grid(volume.geometry, protocol.grid)
    (tmp_path / "annotations").mkdir()
    mask = np.ones(volume.geometry.shape, np.uint8)
    save_nifti(tmp_path / "annotations" / "1.2__lesion.nii.gz", mask, volume.geometry)
    tasks = (
        protocol.tasks[0], protocol.tasks[1].model_copy(update={"annotation": "lesion"}),
    )  # fmt: skip
    masks = token_masks(tmp_path, "1.2", grid, protocol.model_copy(update={"tasks": tasks}))
    assert np.array_equal(masks[0], masks[1])


def test_a_mask_that_lies_elsewhere_teaches_nothing_and_is_named(
    volume: Volume, protocol: Protocol, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += 5000.0
    elsewhere = replace(volume.geometry, affine=affine)
    (tmp_path / "annotations").mkdir()
    mask = np.ones(volume.geometry.shape, np.uint8)
    save_nifti(tmp_path / "annotations" / "1.2__lesion.nii.gz", mask, elsewhere)
    masks = token_masks(tmp_path, "1.2", model_grid(volume.geometry, protocol.grid), protocol)
    assert np.isnan(masks).all()
    assert "1.2__lesion.nii.gz: nothing of this mask lies" in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_masks_are_read_of_a_share_of_the_patients_and_all_studies_of_each(
    share: float, protocol: Protocol, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = protocol.training.model_copy(update={"annotation_share": share})
    asked = protocol.model_copy(update={"training": training})
    grid = model_grid(volume.geometry, protocol.grid)
    image = ImageInput(torch.zeros(1, *grid.shape), torch.ones(1, *grid.shape).bool(), grid)
    monkeypatch.setattr(examples, "token_masks", lambda *_: np.ones(1))

    def is_read(patient: str, uid: str) -> bool:
        study: Any = SimpleNamespace(patient_id=patient, study_uid=uid)
        return not np.isnan(examples._masks(Path(), study, image, asked)).any()

    read = np.array([[is_read(f"p{n}", uid) for uid in ("1.1", "1.2")] for n in range(400)])
    assert (read[:, 0] == read[:, 1]).all()
    assert read.mean() == pytest.approx(share, abs=0.06)


def test_an_unreadable_mask_is_named(volume: Volume, protocol: Protocol, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "1.2__lesion.nii.gz").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"1\.2__lesion"):
        token_masks(tmp_path, "1.2", model_grid(volume.geometry, protocol.grid), protocol)


def _masks(*, lesion: float, other: float) -> NDArray[np.float32]:
    masks = np.zeros((2, 2, 2, 2), np.float32)
    masks[0], masks[1] = lesion, other
    return masks


def test_what_is_known_to_be_absent_has_an_empty_mask(protocol: Protocol) -> None:
    tasks = (
        protocol.tasks[0], protocol.tasks[1].model_copy(update={"annotation": "lesion"}),
    )  # fmt: skip
    drawn, none = _masks(lesion=1.0, other=1.0), _masks(lesion=np.nan, other=np.nan)
    labels = [np.array(own, np.float32) for own in ([1, 0], [0, 1], [1, 0], [np.nan, 0], [0, 0])]
    found = with_empty_masks([drawn, none, none, none, drawn], labels, tasks)
    assert np.array_equal(found[0], drawn)
    assert (found[1] == 0.0).all(), "of both tasks, since both are about the lesion"
    assert np.isnan(found[2]).all(), "it is there, but was not drawn"
    assert np.isnan(found[3]).all(), "nobody knows"
    assert np.array_equal(found[4], drawn), "what was drawn stays"
    assert np.isnan(none).all(), "the cases' own masks are not touched"


def test_a_task_without_any_mask_is_left_alone(protocol: Protocol) -> None:
    none = _masks(lesion=np.nan, other=np.nan)
    found = with_empty_masks([none], [np.zeros(2, np.float32)], protocol.tasks[:2])
    assert np.isnan(found[0]).all()

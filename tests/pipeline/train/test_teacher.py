"""A finding on one side of the scan matters to smokers, on the other to all others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool3d

from pipeline.geometry import Geometry
from pipeline.model.image_encoder import STRIDE, token_positions
from pipeline.preprocess import fit_table_transform
from pipeline.tensors import Batch, ImageInput, ModelOutput
from pipeline.train.cases import Cases
from pipeline.train.examples import Example
from pipeline.train.teacher import taught
from schemas.history import History, TableValue
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.model.networks import TEXT_WIDTH

if TYPE_CHECKING:
    from pipeline.model.network import FusedNetwork

SHAPE = (16, 24, 32)
N = 600
LIKELY, UNLIKELY = 0.85, 0.1


class Finder(nn.Module):
    """An image branch that was trained: it finds bright tokens, and asks both questions alike."""

    def __init__(self) -> None:
        super().__init__()
        self.questions, self.bias = torch.zeros(2, TEXT_WIDTH), torch.zeros(2)
        self.places = token_positions(SHAPE, (4.0, 4.0, 4.0)) / 50.0

    def forward(self, batch: Batch) -> ModelOutput:
        bright = avg_pool3d(batch["voxels"], STRIDE).flatten(1)
        if "image_of" in batch:
            bright = bright[batch["image_of"]]
        presence = (8.0 * (bright - 0.5))[:, None].expand(-1, 2, -1)
        nothing = torch.zeros(len(bright), 2, 0)
        alone = presence.amax(-1)
        return ModelOutput(
            logits=alone, bias=self.bias, image=presence, text=nothing, table=nothing,
            presence=presence, cuts=torch.zeros(2, 0), image_alone=alone, attention=(),
            token_grid=(4, 6, 8), summary=nothing, history_summary=nothing, embedding=nothing,
        )  # fmt: skip


def example(number: int) -> tuple[Example, float]:
    """Return a case and the true probability of its first outcome."""
    random = np.random.default_rng(number)
    side, smokes = ("left", "right", "")[number % 3], bool(random.random() < 0.5)
    voxels = torch.full((1, *SHAPE), -1.0)
    if side:
        column = 20 if side == "left" else 4
        voxels[:, 4:8, 8:12, column : column + 4] = 1.0
    affine = np.array([[0, 0, 4.0, 0], [0, 4.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    scanned = torch.ones(1, *SHAPE, dtype=torch.bool)
    image = ImageInput(voxels, scanned, Geometry(affine, SHAPE))
    values = {"age": float(random.uniform(20, 80)), "sex": "F", "smoker": smokes}
    history = History(
        at=datetime(2024, 5, 31),
        values=tuple(TableValue(name=name, value=value) for name, value in values.items()),
    )
    risk = LIKELY if (side == "left" and smokes) or (side == "right" and not smokes) else UNLIKELY
    labels = np.array([random.random() < risk, np.nan if number % 4 else number % 8 == 0])
    masks = np.full((2, 4, 6, 8), np.nan, np.float32)
    return Example(
        f"1.{number}", f"p{number}", (), None if number % 10 == 0 else image, None, history,
        labels.astype(np.float32), masks, {},
    ), risk  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Example], np.ndarray]:
    examples, risks = zip(*(example(number) for number in range(N)), strict=True)
    return list(examples), np.array(risks)


def soft_of(
    examples: Sequence[Example], protocol: Protocol, *, share: float = 1.0
) -> list[Example]:
    transform = fit_table_transform([case.history for case in examples], protocol.table)
    asked = TrainingSettings(image_epochs=1, teacher_share=share)
    network = cast("FusedNetwork", Finder())
    return taught(network, examples, transform, protocol.model_copy(update={"training": asked}))


def first(examples: Sequence[Example]) -> np.ndarray:
    return np.array([case.soft[0] for case in examples if case.soft is not None])


def test_a_teacher_knows_the_risk_better_than_the_outcomes_do(
    drawn: tuple[list[Example], np.ndarray], tiny_protocol: Protocol
) -> None:
    examples, risks = drawn
    said = first(soft_of(examples, tiny_protocol))
    seen = np.array([case.image is not None for case in examples])
    outcomes = np.array([case.labels[0] for case in examples])
    # An outcome is 2 p (1 - p) from its probability on average: 0.2 here.
    assert np.abs(outcomes - risks)[seen].mean() > 0.15
    assert np.abs(said - risks)[seen].mean() < 0.08


def test_what_is_taught_of_a_patient_owes_nothing_to_the_patients_own_outcome(
    drawn: tuple[list[Example], np.ndarray], tiny_protocol: Protocol
) -> None:
    twice = [*drawn[0], *drawn[0][:40]]
    other = [
        replace(case, labels=np.array([1 - case.labels[0], case.labels[1]], np.float32))
        if case.patient_id == "p7" else case
        for case in twice
    ]  # fmt: skip
    said, turned = first(soft_of(twice, tiny_protocol)), first(soft_of(other, tiny_protocol))
    assert said[7] == turned[7] == said[N + 7]
    assert not np.array_equal(said, turned)


def test_a_share_lies_between_outcome_and_teacher(
    drawn: tuple[list[Example], np.ndarray], tiny_protocol: Protocol
) -> None:
    examples, _ = drawn
    outcomes = np.array([case.labels[0] for case in examples])
    whole, half = (first(soft_of(examples, tiny_protocol, share=share)) for share in (1.0, 0.5))
    assert half == pytest.approx((whole + outcomes) / 2, abs=1e-6)


def test_few_or_unknown_outcomes_stay_as_they_are(
    drawn: tuple[list[Example], np.ndarray],
    tiny_protocol: Protocol,
    caplog: pytest.LogCaptureFixture,
) -> None:
    examples, _ = drawn
    few = [replace(case, labels=np.flip(case.labels).copy()) for case in examples]
    few = [case if number < 150 else replace(case, labels=case.labels * np.nan)
           for number, case in enumerate(few)]  # fmt: skip
    for case in soft_of(few, tiny_protocol):
        assert np.array_equal(case.soft, case.labels, equal_nan=True)
    assert "task lesion: too few outcomes" in caplog.text


def test_only_yes_or_no_is_taught(
    drawn: tuple[list[Example], np.ndarray], tiny_protocol: Protocol
) -> None:
    lesion, fit = tiny_protocol.tasks
    levels = lesion.model_copy(update={"kind": "ordinal", "classes": ("no", "yes")})
    protocol = tiny_protocol.model_copy(update={"tasks": (levels, fit)})
    outcomes = np.array([case.labels[0] for case in drawn[0]])
    assert np.array_equal(first(soft_of(drawn[0], protocol)), outcomes)


def test_fusing_learns_what_is_taught_and_masks_follow_the_outcome(
    drawn: tuple[list[Example], np.ndarray], tiny_protocol: Protocol
) -> None:
    examples = drawn[0][:20]
    transform = fit_table_transform([case.history for case in examples], tiny_protocol.table)
    marked = [replace(case, masks=np.full_like(case.masks, case.labels[0])) for case in examples]
    soft = [replace(case, soft=np.array([0.4, np.nan], np.float32)) for case in marked]
    for phase in ("image", "fused"):
        hard = Cases(marked, transform, tiny_protocol, phase)
        cases = Cases(soft, transform, tiny_protocol, phase)
        assert all(cases.labels[n][0] == np.float32(0.4) for n in range(20))
        assert all(torch.equal(a, b) for a, b in zip(hard.masks, cases.masks, strict=True))


def test_a_teacher_needs_a_trained_image_branch() -> None:
    with pytest.raises(ValueError, match="teacher_share needs image_epochs"):
        TrainingSettings(teacher_share=0.5)

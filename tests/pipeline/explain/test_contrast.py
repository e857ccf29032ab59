from dataclasses import replace

import pytest
import torch

from pipeline.cells import CELLS
from pipeline.explain import contrasted
from pipeline.tensors import ModelOutput
from schemas.task import Task

QUESTION = "What will come of it?"
YES = Task(name="yes", question=QUESTION)
KIND = Task(name="kind", kind="multiclass", question=QUESTION, classes=("a", "b", "c"))
GRADE = Task(name="grade", kind="ordinal", question=QUESTION, classes=("a", "b", "c"))


def output() -> ModelOutput:
    """Two cases of five logits: one of a yes, three of a class, one of a grade."""
    torch.manual_seed(0)
    image, text, table = torch.randn(2, 5, 8), torch.randn(2, 5, 3), torch.randn(2, 5, 4)
    bias = torch.randn(5)
    return ModelOutput(
        logits=bias + image.sum(-1) + text.sum(-1) + table.sum(-1), bias=bias, image=image,
        text=text, table=table, presence=torch.randn(2, 5, 8), cuts=torch.zeros(3, 1),
        image_alone=torch.randn(2, 5), attention=(), token_grid=(2, 2, 2),
        summary=torch.zeros(2, 4), history_summary=torch.zeros(2, 4),
        embedding=torch.zeros(2, 2, 3),
    )  # fmt: skip


def test_a_class_is_set_against_the_mean_of_the_others_and_its_parts_sum_to_that() -> None:
    whole = output()
    spoken = contrasted(whole, (YES, KIND, GRADE), (0, 2, 0))
    assert spoken.logits.shape == (2, 3)
    expected = whole.logits[:, 3] - (whole.logits[:, 1] + whole.logits[:, 2]) / 2
    assert torch.allclose(spoken.logits[:, 1], expected, atol=1e-5)
    assert torch.allclose(spoken.logits[:, [0, 2]], whole.logits[:, [0, 4]])
    parts = spoken.image.sum(-1) + spoken.text.sum(-1) + spoken.table.sum(-1) + spoken.bias
    assert torch.allclose(parts, spoken.logits, atol=1e-5)
    assert torch.equal(spoken.presence[:, 1], whole.presence[:, 3])


def test_what_is_added_to_all_classes_moves_no_evidence() -> None:
    whole = output()
    image = whole.image.clone()
    image[:, 1:4] += 7.0
    moved = contrasted(replace(whole, image=image), (YES, KIND, GRADE), (0, 1, 0))
    assert torch.allclose(
        moved.image, contrasted(whole, (YES, KIND, GRADE), (0, 1, 0)).image, atol=1e-5
    )


def test_the_cells_of_a_contrast_are_those_of_the_classes_that_bring_it() -> None:
    whole = output()
    shares = torch.zeros(2, 5, 8, CELLS)
    for logit in range(5):
        shares[:, logit, :, logit] = 1.0
    spoken = contrasted(replace(whole, shares=shares), (YES, KIND, GRADE), (0, 2, 0))
    assert spoken.shares is not None
    assert torch.equal(spoken.shares[:, 0], shares[:, 0])
    assert torch.equal(spoken.shares[:, 2], shares[:, 4])
    brought = torch.stack([whole.image[:, 1] / 2, whole.image[:, 2] / 2, whole.image[:, 3]]).abs()
    expected = (brought / brought.sum(0)).permute(1, 2, 0)
    assert torch.allclose(spoken.shares[:, 1, :, 1:4], expected, atol=1e-6)


@pytest.mark.parametrize("shown", [(0, 0), (0, 1)])
def test_tasks_of_one_logit_are_left_as_they_are(shown: tuple[int, int]) -> None:
    whole = output()
    assert contrasted(whole, (YES, GRADE), shown) is whole

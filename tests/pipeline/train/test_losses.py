import math

import pytest
import torch

from pipeline.train.losses import annotation_loss, contrast_loss, outcome_losses
from schemas.task import Task

NAN = float("nan")
QUESTION = "What will come of it?"
BINARY = Task(name="yes", question=QUESTION)
CLASSES = Task(name="kind", kind="multiclass", question=QUESTION, classes=("a", "b", "c"))
GRADES = Task(name="grade", kind="ordinal", question=QUESTION, classes=("low", "mid", "high"))
DEATH = Task(name="death", kind="survival", question=QUESTION, horizons_days=(100.0, 200.0))


def test_the_masks_loss_is_focal_and_skips_what_has_no_mask() -> None:
    presence = torch.tensor([[[2.0, -1.0, -1.0, -1.0]], [[9.0, 9.0, 9.0, 9.0]]])
    masks = torch.tensor([[[1.0, 0.0, 0.0, 0.0]], [[NAN] * 4]])
    # Likelihood times the square of how wrong: 0.126928 * 0.119203^2, thrice 0.313262 * 0.268941^2.
    expected = (0.0018036 + 3 * 0.0226579) / 2
    assert annotation_loss(presence, masks, [0]).item() == pytest.approx(expected, abs=1e-5)
    assert annotation_loss(presence, torch.full_like(masks, torch.nan), [0]).item() == 0.0


def test_one_token_that_looks_like_a_finding_counts_however_many_do_not() -> None:
    clear = torch.full((1, 1, 1000), -4.0)
    wrong = clear.clone()
    wrong[..., 0] = 3.0
    masks = torch.zeros(1, 1, 1000)
    few, many = (annotation_loss(part, masks, [0]).item() for part in (clear, wrong))
    assert many > 100 * few


def test_a_multiclass_tasks_mask_is_shown_to_each_of_its_gates() -> None:
    presence = torch.tensor([[[2.0, -1.0], [2.0, -1.0], [0.0, 0.0]]])
    masks = torch.tensor([[[NAN, NAN], [1.0, 0.0]]])
    both = annotation_loss(presence, masks, [1, 1, 0]).item()
    assert both == pytest.approx((0.0018036 + 0.0226579) / 2, abs=1e-5)


def test_each_kind_of_task_has_its_own_likelihood() -> None:
    tasks = (BINARY, CLASSES, GRADES, DEATH)
    # One logit each, three for the classes; a second threshold for grades and for death.
    logits = torch.tensor([[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    cuts = torch.tensor([[0.0], [0.0], [1.0], [0.0]])
    labels = torch.tensor([[1.0, 2.0, 1.0, 150.0, 1.0]])
    losses = outcome_losses(logits, cuts, labels, tasks)
    middle = 1 / (1 + math.exp(0.0)) - 1 / (1 + math.exp(1.0))  # P(above low) - P(above mid)
    # Free of the event in the first 100 days, then the event: two halves.
    expected = [math.log(2), math.log(3), -math.log(middle), 2 * math.log(2)]
    assert losses.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("days", "event", "n_halves"),
    [
        pytest.param(100.0, 1.0, 1, id="event at the end of the first span"),
        pytest.param(150.0, 0.0, 1, id="lost within the second span, which then says nothing"),
        pytest.param(200.0, 0.0, 2, id="free to the end"),
        pytest.param(900.0, 1.0, 2, id="event after all spans"),
        pytest.param(50.0, 0.0, 0, id="lost within the first span"),
    ],
)
def test_censored_patients_count_for_the_spans_they_lived_through(
    days: float, event: float, n_halves: int
) -> None:
    loss = outcome_losses(
        torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[days, event]]), (DEATH,)
    )
    assert loss.item() == pytest.approx(n_halves * math.log(2), abs=1e-6)


@pytest.mark.parametrize("task", [BINARY, CLASSES, GRADES, DEATH], ids=lambda task: task.kind)
def test_a_case_without_a_label_moves_nothing(task: Task) -> None:
    logits = torch.randn(2, task.n_logits, requires_grad=True)
    width = len(task.label_columns)
    labels = torch.stack([torch.ones(width), torch.full((width,), NAN)])
    outcome_losses(logits, torch.ones(1, 1), labels, (task,)).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).any()
    nothing = outcome_losses(logits, torch.zeros(1, 1), torch.full((2, width), NAN), (task,))
    assert nothing.tolist() == [0.0]


def test_the_contrast_is_lowest_where_each_image_lies_by_its_own_history() -> None:
    axes = torch.eye(3)
    own = torch.stack([axes, axes], dim=1)
    other = torch.stack([axes, axes.roll(1, 0)], dim=1)
    # Own pairs: -log(e / (e + 1 + 1)); each other image is at a right angle.
    assert contrast_loss(own, 1.0).item() == pytest.approx(-1 + math.log(math.e + 2), abs=1e-5)
    assert contrast_loss(other, 1.0) > contrast_loss(own, 1.0)


def test_the_contrast_leaves_out_cases_that_lack_image_or_history() -> None:
    embedding = torch.stack([torch.eye(3), torch.eye(3)], dim=1)
    lacking = embedding.clone()
    lacking[2, 1] = 0.0
    assert contrast_loss(lacking, 0.1) == contrast_loss(embedding[:2], 0.1)
    assert contrast_loss(lacking[1:], 0.1).item() == 0.0

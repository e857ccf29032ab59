import pytest
import torch

from pipeline.model.heads import Cuts, all_steps, logit_tasks, task_steps
from schemas.task import Task

QUESTION = "What will come of it?"
TASKS = (
    Task(name="kind", kind="multiclass", question=QUESTION, classes=("a", "b", "c")),
    Task(name="grade", kind="ordinal", question=QUESTION, classes=("low", "mid", "high", "top")),
    Task(name="death", kind="survival", question=QUESTION, horizons_days=(90, 180, 365)),
    Task(name="yes", question=QUESTION),
)


@pytest.fixture
def cuts() -> torch.Tensor:
    torch.manual_seed(0)
    layer = Cuts(TASKS)
    layer.steps.data = torch.randn_like(layer.steps) * 3
    return layer()


def test_a_multiclass_task_has_a_logit_a_class_and_others_one() -> None:
    assert logit_tasks(TASKS) == [0, 0, 0, 1, 2, 3]


def test_steps_of_all_tasks_stand_side_by_side_with_their_further_thresholds(
    cuts: torch.Tensor,
) -> None:
    logits = torch.randn(5, 6)
    steps = all_steps(logits, cuts, TASKS)
    assert steps.shape == (5, sum(task.n_steps for task in TASKS)) == (5, 3 + 3 + 3 + 1)
    assert torch.equal(steps[:, :3], logits[:, :3])
    assert torch.allclose(steps[:, 4], logits[:, 3] - cuts[1, 0])
    assert torch.equal(steps[:, -1:], task_steps(logits, cuts, TASKS, 3))


def test_the_thresholds_of_levels_fall_as_levels_rise(cuts: torch.Tensor) -> None:
    steps = task_steps(torch.randn(50, 6) * 4, cuts, TASKS, 1)
    assert (steps.diff(dim=-1) < 0).all()

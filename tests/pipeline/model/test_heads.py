import pytest
import torch

from pipeline.model.heads import Cuts, logit_tasks, probabilities
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


@pytest.mark.parametrize("number", [0, 1])
def test_classes_have_probabilities_that_sum_to_one(cuts: torch.Tensor, number: int) -> None:
    answer = probabilities(torch.randn(5, 6) * 3, cuts, TASKS, number)
    assert answer.shape == (5, len(TASKS[number].classes))
    assert (answer >= 0).all()
    assert torch.allclose(answer.sum(-1), torch.ones(5), atol=1e-6)


def test_a_higher_logit_moves_an_ordinal_answer_up(cuts: torch.Tensor) -> None:
    logits = torch.zeros(2, 6)
    logits[1, 3] = 1.0
    answer = probabilities(logits, cuts, TASKS, 1)
    ranks = answer @ torch.arange(4.0)
    assert ranks[1] > ranks[0]


def test_the_risk_of_an_event_never_falls_with_the_horizon(cuts: torch.Tensor) -> None:
    answer = probabilities(torch.randn(50, 6) * 4, cuts, TASKS, 2)
    assert answer.shape == (50, 3)
    assert (answer.diff(dim=-1) >= 0).all()


def test_survival_multiplies_the_chances_of_living_through_each_span() -> None:
    # Hazards 1/2, 1/2, 1/2: risks 1/2, 3/4, 7/8.
    answer = probabilities(torch.zeros(1, 6), torch.zeros(4, 2), TASKS, 2)
    assert answer[0].tolist() == pytest.approx([0.5, 0.75, 0.875])

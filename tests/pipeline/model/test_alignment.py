import torch

from pipeline.model.alignment import joint_embedding, nearest


def test_the_nearest_cases_come_first_and_empty_ones_never() -> None:
    one, half = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    cohort = torch.stack([torch.tensor([0.0, 1.0]), one, torch.zeros(2), half])
    numbers, alike = nearest(one, cohort, n=9)
    assert numbers.tolist() == [1, 3, 0]
    assert torch.allclose(alike, torch.tensor([1.0, 0.6, 0.0]))


def test_a_case_lies_between_its_image_and_its_history_or_by_the_one_it_has() -> None:
    x, y, none = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.zeros(2)
    joint = joint_embedding(
        torch.stack([torch.stack(pair) for pair in ((x, y), (x, none), (none, none))])
    )
    assert torch.allclose(joint, torch.tensor([[0.5**0.5, 0.5**0.5], [1.0, 0.0], [0.0, 0.0]]))

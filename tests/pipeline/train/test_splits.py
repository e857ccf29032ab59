import numpy as np
import torch

from pipeline.train.loop import masked_loss
from pipeline.train.splits import part_of
from schemas.settings import SplitFractions

FRACTIONS = SplitFractions(train=0.6, validation=0.1, calibration=0.1, conformal=0.1)


def test_a_patient_is_always_in_the_same_part() -> None:
    parts = [part_of("007", FRACTIONS, seed=1) for _ in range(3)]
    assert len(set(parts)) == 1


def test_parts_have_their_shares_and_change_with_the_seed() -> None:
    patients = [f"p{number}" for number in range(20_000)]
    first = np.array([part_of(patient, FRACTIONS, seed=1) for patient in patients])
    second = np.array([part_of(patient, FRACTIONS, seed=2) for patient in patients])
    shares = {part: (first == part).mean() for part in np.unique(first)}
    # Binomial standard error at n = 20,000 is at most 0.0035.
    assert abs(shares["train"] - 0.6) < 0.015
    assert abs(shares["test"] - 0.1) < 0.015
    assert 0.3 < (first != second).mean() < 0.8


def test_unknown_labels_do_not_enter_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 9.0]])
    labels = torch.tensor([[1.0, float("nan")], [float("nan"), float("nan")]])
    # log(1 + exp(-2)) = 0.126928, the one known label
    assert abs(masked_loss(logits, labels).item() - 0.126928) < 1e-5


def test_a_batch_without_any_label_has_no_loss() -> None:
    assert masked_loss(torch.ones(2, 1), torch.full((2, 1), float("nan"))).item() == 0.0

"""What an image adds for and against an outcome, set against each other."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settle import settled

ADDITIONS = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=40)


def of(*values: float) -> list[float]:
    settled_once: list[float] = settled(torch.tensor(values)[None, None])[0, 0].tolist()
    return settled_once


def test_a_faint_spot_in_a_scan_that_lowers_the_risk_raises_it_nowhere() -> None:
    assert of(0.5, -1.0, -1.0) == [0.0, -0.75, -0.75]


def test_the_strongest_places_are_left() -> None:
    assert of(3.0, 1.0, 0.25, -1.25) == [2.5, 0.5, 0.0, 0.0]


def test_of_one_sign_nothing_changes() -> None:
    assert of(3.0, 1.0, 0.0) == [3.0, 1.0, 0.0]
    assert of(-3.0, -1.0, 0.0) == [-3.0, -1.0, 0.0]
    assert of(0.0, 0.0) == [0.0, 0.0]


def test_what_cancels_leaves_nothing() -> None:
    assert of(1.0, -1.0) == [0.0, 0.0]


@given(ADDITIONS)
def test_sums_order_and_signs_stay(values: list[float]) -> None:
    before = torch.tensor(values, dtype=torch.float64)
    after = settled(before[None, None])[0, 0]
    total = before.sum()
    torch.testing.assert_close(after.sum(), total, atol=1e-9, rtol=0)
    assert bool((after * total.sign() >= 0).all())
    assert bool((after.abs() <= before.abs() + 1e-12).all())
    for_it = before * total.sign() > 0
    torch.testing.assert_close(
        (after * total.sign())[for_it.nonzero()[:, 0]],
        ((before * total.sign())[for_it] - _cut(before, after)).clamp(min=0),
        atol=1e-9, rtol=0,
    )  # fmt: skip


def _cut(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return what the tokens that are left gave up, which is the same for all of them."""
    left = after != 0
    given_up = (before.abs() - after.abs())[left]
    return given_up.mean() if left.any() else before.abs().max()

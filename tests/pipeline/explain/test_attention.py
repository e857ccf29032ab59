"""Two variables and two sentences look at three tokens; what each looks at is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import UsageError
from pipeline.explain.attention import raw_attention
from pipeline.tensors import FLAGS, Attention, ModelInput, ModelOutput, TableInput, TextInput

LOOKED = torch.tensor([[0.5, 0.1, 0.0], [0.1, 0.1, 0.0], [0.0, 0.6, 0.0], [0.9, 0.0, 0.0]])
"""Of two variables, a sentence, and what pads a second."""
TABLE = TableInput(torch.zeros(2, 1), torch.tensor([True, False]), 0)


def narrow(whole: Tensor) -> Attention:
    """The same, of the two tokens that are looked at most, in another order."""
    places = torch.tensor([[1, 0]])
    return Attention(whole[None][..., places[0]], places, 3)


def output(*attention: Tensor) -> ModelOutput:
    nothing, two = torch.zeros(1, 1, 0), torch.zeros(1, 1, 2)
    return ModelOutput(
        logits=torch.zeros(1, 1), bias=torch.zeros(1), image=torch.zeros(1, 1, 3), text=two,
        table=two, presence=nothing, cuts=torch.zeros(1, 0), image_alone=torch.zeros(1, 1),
        attention=tuple(narrow(one) for one in attention), token_grid=(1, 1, 3), summary=nothing,
        history_summary=nothing, embedding=nothing,
    )  # fmt: skip


def sentence() -> TextInput:
    one = torch.zeros(1, 4)
    return TextInput(
        features=one, kinds=one, age_days=torch.zeros(1), flags=torch.zeros(1, len(FLAGS)),
        sentences=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "weights"),
    [
        (ModelInput(None, sentence(), TABLE), [0.2, 0.8 / 3, 0.0]),
        (ModelInput(None, sentence(), None), [0.0, 0.6, 0.0]),
        (ModelInput(None, None, TABLE), [0.3, 0.1, 0.0]),
    ],
    ids=["both", "notes", "table"],
)
def test_it_is_the_mean_of_what_was_read_and_the_rest_is_the_null_keys(
    case: ModelInput, weights: list[float]
) -> None:
    found = raw_attention(output(LOOKED), case)
    assert found.weights == pytest.approx(np.array(weights))
    assert found.null_share == pytest.approx(1.0 - sum(weights))


def test_of_an_ensemble_it_is_the_mean() -> None:
    found = raw_attention(output(LOOKED, LOOKED / 2), ModelInput(None, sentence(), None))
    assert found.weights == pytest.approx(np.array([0.0, 0.45, 0.0]))
    assert found.null_share == pytest.approx(0.55)


def test_a_network_without_cross_attention_has_none_to_show() -> None:
    with pytest.raises(UsageError, match="no attention"):
        raw_attention(output(), ModelInput(None, sentence(), TABLE))


def test_without_a_history_nothing_looks() -> None:
    with pytest.raises(UsageError, match="no notes and no table"):
        raw_attention(output(LOOKED), ModelInput(None, None, None))

from dataclasses import replace
from typing import get_args

import pytest
import torch

from pipeline.model.collate import collate
from pipeline.model.join import CrossJoin
from pipeline.tensors import ModelInput
from schemas.protocol import Protocol
from schemas.settings import Fusion
from tests.pipeline.model.networks import TEXT_WIDTH, new_network, score, shaken, text, with_model


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_in_every_fusion_the_parts_sum_and_the_history_is_left_without_the_image(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output = score(network, other, whole, replace(whole, text=text(20)))
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)
    blind = score(
        network, other, replace(whole, image=None), replace(whole, text=text(20), image=None)
    )
    assert torch.allclose(output.history_alone, blind.logits, atol=1e-6)


@pytest.mark.parametrize(
    ("fusion", "silent"), [("image_only", ("text", "table")), ("history_only", ("image",))]
)
def test_what_a_fusion_must_not_read_adds_nothing_and_changes_nothing(
    protocol: Protocol, whole: ModelInput, fusion: str, silent: tuple[str, ...]
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output = score(network, other, whole)
    for part in silent:
        assert (getattr(output, part) == 0).all()
    without = score(network, other, replace(whole, **dict.fromkeys(silent)))
    assert torch.equal(output.logits, without.logits)


@pytest.mark.parametrize("fusion", ["late", "concat", "projection", "cross"])
def test_only_some_fusions_let_the_history_move_the_images_evidence(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output, changed = (score(network, other, replace(whole, text=text(n))) for n in (7, 9))
    same = torch.allclose(output.image, changed.image, atol=1e-6)
    assert same == (fusion in ("late", "concat"))


@pytest.mark.parametrize("fusion", ["cross", "late", "image_only"])
def test_what_a_frozen_image_branch_shows_is_weighed_anew_in_fusing(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    for part in network.image_branch():
        part.requires_grad_(requires_grad=False)
    batch = collate([whole], other, text_width=TEXT_WIDTH, table_width=2)
    network(batch).image.sum().backward()
    weighed = [weight.grad for weight in network.join.parameters() if weight.grad is not None]
    assert any(bool(grad.abs().sum() > 0) for grad in weighed)


@pytest.mark.parametrize("fusion", ["cross", "concat", "projection", "late"])
def test_cases_that_share_an_image_encode_it_once_and_score_as_if_they_did_not(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    assert whole.image is not None
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    encoded = []
    network.image_encoder.stages.register_forward_pre_hook(
        lambda _, given: encoded.append(len(given[0]))
    )
    second = replace(whole.image, voxels=whole.image.voxels.flip(1))
    cases = [
        whole, replace(whole, text=text(3)), replace(whole, image=None),
        replace(whole, image=second), replace(whole, table=None),
    ]  # fmt: skip
    together = score(network, other, *cases)
    assert encoded == [2]
    alone = [score(network, other, case) for case in cases]
    for name in ("logits", "image", "presence", "summary", "embedding", "image_alone"):
        apart = torch.cat([getattr(one, name) for one in alone])
        assert torch.allclose(getattr(together, name), apart, atol=1e-5), name


@pytest.mark.parametrize("fusion", ["cross", "projection", "late"])
def test_before_training_no_fusion_adds_to_what_each_half_says_by_itself(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    torch.manual_seed(0)
    network = new_network(other, 2).eval()
    output, changed = (score(network, other, replace(whole, text=text(n))) for n in (7, 9))
    assert torch.equal(output.image, changed.image)
    assert torch.allclose(output.logits, output.image_alone + output.history_alone - network.bias)


def test_history_that_finds_nothing_in_the_image_attends_to_none_of_it(
    protocol: Protocol, whole: ModelInput
) -> None:
    network = shaken(protocol)
    assert isinstance(network.join, CrossJoin)
    asks = network.join.history_asks
    found = {}
    for null in (-60.0, 0.0, 60.0):
        torch.nn.init.constant_(asks.null, null)
        (attention,) = score(network, protocol, whole).attention
        found[null] = attention.weights.sum(-1)
    heard = found[-60.0] > 0
    assert heard.any()
    assert torch.allclose(found[-60.0][heard], torch.ones(()))
    assert ((found[0.0][heard] > 0) & (found[0.0][heard] < 1)).all()
    assert torch.allclose(found[60.0], torch.zeros(()), atol=1e-9)


def test_the_words_of_a_question_decide_what_is_asked(
    protocol: Protocol, whole: ModelInput
) -> None:
    network = shaken(protocol)
    asked = score(network, protocol, whole)
    network.questions.copy_(network.questions.flip(0))
    other = score(network, protocol, whole)
    for part in ("presence", "image", "text"):
        assert not torch.allclose(getattr(asked, part), getattr(other, part), atol=1e-4), part

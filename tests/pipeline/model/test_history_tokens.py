from dataclasses import replace

import torch

from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.tensors import FLAGS, ModelInput
from schemas.protocol import Protocol
from tests.pipeline.model.networks import TEXT_WIDTH, new_network, score, text


def test_padding_changes_no_score(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    alone = score(network, protocol, whole)
    longer = replace(whole, text=text(50))
    beside = score(network, protocol, whole, longer)
    assert torch.allclose(alone.logits[0], beside.logits[0], atol=1e-5)
    assert (beside.text[0, :, 7:] == 0).all()


def test_flags_move_a_score_by_their_weights_alone(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.text is not None
    plain = replace(whole, text=replace(whole.text, flags=torch.zeros_like(whole.text.flags)))
    logits = [score(network, protocol, case).logits for case in (whole, plain)]
    assert (logits[0] - logits[1]).abs().max() > 1e-4
    network.text.flags.data.zero_()
    logits = [score(network, protocol, case).logits for case in (whole, plain)]
    assert torch.equal(*logits)


def test_flags_weigh_nothing_before_training(protocol: Protocol) -> None:
    assert (new_network(protocol, 2).text.flags == 0).all()


def test_a_batch_pads_flags_with_zeros(protocol: Protocol, whole: ModelInput) -> None:
    cases = [replace(whole, text=text(9)), whole, replace(whole, text=None)]
    flags = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)["flags"]
    assert whole.text is not None
    assert flags.shape == (3, 9, len(FLAGS))
    assert torch.equal(flags[1, :7], whole.text.flags)
    assert (flags[1, 7:] == 0).all()
    assert (flags[2] == 0).all()


def test_the_order_of_the_notes_changes_no_score(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.text is not None
    order = torch.tensor([3, 0, 6, 5, 1, 2, 4])
    shuffled = replace(
        whole.text, features=whole.text.features[order], kinds=whole.text.kinds[order],
        flags=whole.text.flags[order],
    )  # fmt: skip
    output = score(network, protocol, whole)
    other = score(network, protocol, replace(whole, text=shuffled))
    assert torch.allclose(output.logits, other.logits, atol=1e-5)
    assert torch.allclose(output.text[..., order], other.text, atol=1e-5)


def test_a_text_without_a_sentence_scores_like_no_text(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    empty = score(network, protocol, replace(whole, text=text(0)))
    none = score(network, protocol, replace(whole, text=None))
    assert torch.equal(empty.logits, none.logits)


def test_a_missing_variable_has_no_effect_and_a_known_one_its_own(
    network: FusedNetwork, protocol: Protocol
) -> None:
    values = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])
    effects = network.effects(values, torch.tensor([[True, True, False]]))
    weight = network.effects.weight
    torch.testing.assert_close(effects[0, :, 0], weight[:, 0, 0] + weight[:, 0, 2])
    torch.testing.assert_close(effects[0, :, 1], weight[:, 1, 1] + weight[:, 1, 2])
    assert (effects[0, :, 2] == 0).all()


def test_the_historys_summary_does_not_depend_on_padding_or_image_and_is_0_without_a_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    alone = score(network, protocol, replace(whole, image=None)).history_summary
    longer = replace(whole, text=text(9))
    bare = replace(whole, text=None, table=None)
    together = score(network, protocol, whole, longer, bare).history_summary
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert not torch.allclose(together[1], alone[0], atol=1e-3)
    assert (together[2] == 0).all()

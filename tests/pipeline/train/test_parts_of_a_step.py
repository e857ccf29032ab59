"""A step is one mean over its cases, in however many parts and processes it is read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.preprocess import fit_table_transform
from pipeline.progress import silent
from pipeline.train.cases import Cases, packer
from pipeline.train.loop import fit
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.model.networks import TEXT_WIDTH, new_network
from tests.pipeline.train.test_fit import example

ROOT = Path(__file__).parents[3]


def asked(protocol: Protocol, **changes: object) -> Protocol:
    training = protocol.training.model_copy(update=changes)
    return protocol.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """No dropout inside the network; batch norms of the image as they are."""
    tiny: Protocol = request.getfixturevalue("tiny_protocol")
    exact = tiny.model_copy(update={"model": tiny.model.model_copy(update={"dropout": 0.0})})
    return asked(
        exact, epochs=2, batch_size=16, learning_rate=5e-3, freeze_image=True, sparsity=1e-4,
        shrink_sentences=0.1, learned_task_weights=True, modality_weight=0.2,
    )  # fmt: skip


def gradients(network: Supervised, batches: list[dict[str, object]]) -> dict[str, Tensor]:
    """Of the sum of the parts' losses, each with its share of what all of them hold."""
    network.zero_grad()
    counts = [network.counts(**batch) for batch in batches]  # type: ignore[arg-type]
    whole = torch.stack(counts).sum(0)
    for batch, own in zip(batches, counts, strict=True):
        shares = torch.where(own > 0, own / whole, 0.0)
        network(**batch, shares=shares)["loss"].backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("image_only", [True, False])
def test_parts_of_unlike_size_and_labels_sum_to_the_gradient_of_the_whole(
    protocol: Protocol, image_only: bool
) -> None:
    cases = [example(number) for number in range(12)]
    # Cases without an image, without labels, and with masks, unevenly over the parts.
    cases[1] = replace(cases[1], image=None)
    cases[3] = replace(cases[3], labels=cases[3].labels * torch.nan)
    cases[7].masks[:] = cases[8].masks[:] = 0.0
    cases[7].masks[:, 1, 2, 3] = 1.0
    transform = fit_table_transform([case.history for case in cases], protocol.table)
    torch.manual_seed(0)
    network = Supervised(new_network(protocol, transform.width), protocol, image_only=image_only)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.eval()  # batch norms would otherwise see each part by itself
    pack = packer(protocol, text_width=TEXT_WIDTH, table_width=transform.width)
    items = list(Cases(cases, transform, protocol, None))  # type: ignore[call-overload]
    whole = gradients(network, [pack(items)])
    parts = gradients(network, [pack(items[:5]), pack(items[5:8]), pack(items[8:])])
    assert whole.keys() == parts.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6)
    # Means of means would be something else.
    network.zero_grad()
    for part in (items[:5], items[5:8], items[8:]):
        (network(**pack(part))["loss"] / 3).backward()
    naive = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert not all(torch.allclose(naive[name], whole[name], rtol=1e-2) for name in whole)


def trained(protocol: Protocol) -> dict[str, Tensor]:
    cases = [example(number) for number in range(56)]
    transform = fit_table_transform([case.history for case in cases], protocol.table)
    torch.manual_seed(0)
    network = new_network(protocol, transform.width)
    return fit(network, cases[:40], cases[40:], transform, protocol, silent).state_dict()


def test_a_training_whose_steps_are_read_in_parts_ends_at_the_same_weights(
    protocol: Protocol,
) -> None:
    # 40 cases: two whole steps and a half one, in parts of 4 and of 16.
    whole, parts = trained(protocol), trained(asked(protocol, accumulate=4))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5)


def test_steps_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of accumulate 3"):
        TrainingSettings(batch_size=16, accumulate=3)

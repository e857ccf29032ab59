from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.tensors import FLAGS, Batch, ImageInput, ModelInput, TableInput, TextInput
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol
from schemas.settings import Fusion

SHAPE, WIDTH = (16, 24, 32), 8


def case(seed: int) -> ModelInput:
    random = torch.Generator().manual_seed(seed)
    affine = torch.tensor([[0, 0, 4.0, 0], [0, 4.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]]).numpy()
    return ModelInput(
        ImageInput(
            torch.randn(1, *SHAPE, generator=random), torch.ones(1, *SHAPE, dtype=torch.bool),
            Geometry(affine, SHAPE),
        ),
        TextInput(
            torch.randn(4, WIDTH, generator=random), torch.randn(4, WIDTH, generator=random),
            torch.ones(4), torch.zeros(4, len(FLAGS)), (),
        ),
        TableInput(torch.randn(3, 2, generator=random), torch.tensor([True, True, False]), 0),
    )  # fmt: skip


def with_settings(protocol: Protocol, **training: object) -> Protocol:
    settings = protocol.training.model_copy(update=training)
    return protocol.model_copy(update={"training": settings})


def new(protocol: Protocol, *, image_only: bool = False) -> Supervised:
    torch.manual_seed(0)
    network = FusedNetwork(
        protocol, 2, torch.randn(2, WIDTH), text_mean=torch.zeros(WIDTH),
        text_scale=torch.ones(WIDTH),
    )  # fmt: skip
    return Supervised(network, protocol, image_only=image_only)


@pytest.fixture
def cases() -> list[ModelInput]:
    whole = [case(number) for number in range(4)]
    return [*whole, replace(whole[0], image=None), replace(whole[1], text=None, table=None)]


def batch_of(cases: list[ModelInput], protocol: Protocol) -> Batch:
    return collate(cases, protocol, text_width=WIDTH, table_width=2)


LABELS = torch.tensor([[1.0, 0], [0, 1], [1, float("nan")], [0, 0], [1, 1], [0, 1]])
MASKS = torch.full((6, 2, 4, 6, 8), torch.nan)


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_a_few_steps_lower_the_loss_of_every_fusion(
    protocol: Protocol, cases: list[ModelInput], fusion: str
) -> None:
    model = protocol.model.model_copy(update={"fusion": fusion, "dropout": 0.0})
    other = protocol.model_copy(update={"model": model})
    supervised, batch = new(other), batch_of(cases, other)
    optimizer = torch.optim.AdamW(supervised.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = supervised(batch, LABELS, MASKS)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02


def test_warming_up_trains_the_image_branch_and_nothing_of_the_history(
    protocol: Protocol, cases: list[ModelInput]
) -> None:
    supervised = new(protocol, image_only=True)
    supervised.network.read_image.value_query.weight.data.normal_()
    supervised(batch_of(cases, protocol), LABELS, MASKS)["loss"].backward()
    network = supervised.network
    assert network.image_encoder.lateral.weight.grad is not None
    for part in (network.text, network.table, network.tasks_ask, network.read_text, network.join):
        assert all(weight.grad is None or (weight.grad == 0).all() for weight in part.parameters())


def test_each_loss_enters_with_its_weight(protocol: Protocol, cases: list[ModelInput]) -> None:
    batch = batch_of(cases, protocol)

    def loss(**training: object) -> float:
        supervised = new(with_settings(protocol, annotation_weight=0.0, **training)).eval()
        return supervised(batch, LABELS, MASKS)["loss"].item()

    bare, parts = loss(part_weight=0.0), loss(part_weight=1.0)
    assert loss(part_weight=0.5) == pytest.approx((bare + parts) / 2, abs=1e-5)
    assert parts > bare
    assert loss(part_weight=0.0, contrast_weight=1.0) > bare
    # Before training the learned doubt is 0, and weights nothing.
    assert loss(part_weight=0.0, learned_task_weights=True) == pytest.approx(bare, abs=1e-6)


def test_notes_and_table_are_each_taught_by_themselves(
    protocol: Protocol, cases: list[ModelInput]
) -> None:
    """The loss of each is that of its own parts, over the cases that have it."""
    cases = [*cases, replace(cases[2], text=None), replace(cases[3], table=None)]
    labels = torch.cat([LABELS, torch.tensor([[1.0, 0.0], [0.0, 1.0]])])
    masks = torch.full((8, 2, 4, 6, 8), torch.nan)
    batch = batch_of(cases, protocol)
    losses = []
    for weight in (0.0, 0.5):
        supervised = new(with_settings(protocol, modality_weight=weight)).eval()
        for read in (supervised.network.read_text, supervised.network.read_table):
            torch.nn.init.normal_(read.value_query.weight)
        losses.append(supervised(batch, labels, masks)["loss"])
    output = supervised.network(batch)
    expected = 0.0
    for part, without in ((output.text, (5, 6)), (output.table, (5, 7))):
        kept = [number for number in range(8) if number not in without]
        said, known = part.sum(-1)[kept], labels[kept]
        for task in range(2):
            of = ~known[:, task].isnan()
            loss = binary_cross_entropy_with_logits(said[of, task].detach(), known[of, task])
            expected += 0.5 * float(loss) / 2
    assert (losses[1] - losses[0]).item() == pytest.approx(expected, abs=1e-5)
    losses[1].backward()
    assert supervised.heads.grad is not None
    assert (supervised.heads.grad != 0).all()


def test_a_task_of_greater_weight_counts_for_more(
    protocol: Protocol, cases: list[ModelInput]
) -> None:
    def gradient(weight: float) -> torch.Tensor:
        tasks = (protocol.tasks[0], protocol.tasks[1].model_copy(update={"weight": weight}))
        supervised = new(protocol.model_copy(update={"tasks": tasks})).eval()
        supervised(batch_of(cases, protocol), LABELS, MASKS)["loss"].backward()
        assert supervised.network.bias.grad is not None
        return supervised.network.bias.grad

    even, second = gradient(1.0), gradient(3.0)
    # Shares 1/2 and 1/2, then 1/4 and 3/4.
    assert second[0] == pytest.approx(even[0].item() / 2, abs=1e-6)
    assert second[1] == pytest.approx(even[1].item() * 1.5, abs=1e-6)


def test_a_task_that_is_mostly_noise_learns_to_count_for_less(
    protocol: Protocol, cases: list[ModelInput]
) -> None:
    settings = with_settings(protocol, learned_task_weights=True, part_weight=0.0)
    supervised = new(settings).eval()
    torch.nn.init.constant_(supervised.network.bias, 2.0)
    # The first task's labels are what the network says, the second's the contrary.
    labels = torch.tensor([[1.0, 0.0]]).repeat(6, 1)
    supervised(batch_of(cases, settings), labels, MASKS)["loss"].backward()
    assert supervised.doubt.grad is not None
    assert supervised.doubt.grad[1] < supervised.doubt.grad[0]


def test_what_sentences_add_costs_its_mean_square(
    tiny_protocol: Protocol, cases: list[ModelInput]
) -> None:
    batch = batch_of(cases, tiny_protocol)
    losses = []
    for shrink in (0.0, 0.25):
        supervised = new(with_settings(tiny_protocol, shrink_sentences=shrink)).eval()
        torch.nn.init.normal_(supervised.network.read_text.value_query.weight)
        losses.append(supervised(batch, LABELS, MASKS)["loss"])
        added = supervised.network(batch).text.sum(-1)
    assert added.abs().max() > 0.01
    torch.testing.assert_close(losses[1] - losses[0], 0.25 * added.square().mean())


def test_effects_of_single_variables_cost_their_size(
    tiny_protocol: Protocol, cases: list[ModelInput]
) -> None:
    batch = batch_of(cases, tiny_protocol)
    losses = []
    for sparsity in (0.0, 0.01):
        supervised = new(with_settings(tiny_protocol, sparsity=sparsity)).eval()
        supervised.network.effects.weight.data.fill_(-0.5)
        losses.append(supervised(batch, LABELS, MASKS)["loss"])
    expected = 0.01 * 0.5 * supervised.network.effects.weight.numel()
    torch.testing.assert_close(losses[1] - losses[0], torch.tensor(expected))

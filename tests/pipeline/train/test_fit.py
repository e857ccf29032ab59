from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import UsageError
from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import silent
from pipeline.tensors import ImageInput
from pipeline.train import loop, teacher
from pipeline.train.augment import STILL, augmented
from pipeline.train.cases import Cases
from pipeline.train.examples import Example
from pipeline.train.loop import fit, fit_image, with_tokens
from schemas.history import ConceptValue, History, TableValue
from schemas.notes_rule import Concept
from schemas.protocol import Protocol
from tests.pipeline.model.networks import TEXT_WIDTH, new_network

SHAPE = (16, 24, 32)


def example(number: int) -> Example:
    """A case whose first label is a bright block in the image, whose second is the age."""
    random = np.random.default_rng(number)
    has_block, age = bool(number % 2), float(random.uniform(20, 80))
    voxels = random.normal(-0.5, 0.1, SHAPE).astype(np.float32)
    if has_block:
        corner = random.integers(2, 10, 3)
        voxels[tuple(slice(start, start + 5) for start in corner)] += 1.0
    affine = np.array([[0, 0, 4.0, 0], [0, 4.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    image = ImageInput(
        torch.from_numpy(voxels)[None], torch.ones(1, *SHAPE, dtype=torch.bool),
        Geometry(affine, SHAPE),
    )  # fmt: skip
    values = {"age": age, "sex": "F", "smoker": None}
    history = History(
        at=datetime(2024, 5, 31),
        values=tuple(TableValue(name=n, value=v) for n, v in values.items()),
    )
    masks = np.full((2, 4, 6, 8), np.nan, np.float32)
    labels = np.array([has_block, np.nan if number % 5 == 0 else age > 50], np.float32)
    return Example(f"1.{number}", f"p{number}", (), image, None, history, labels, masks, {})


@pytest.fixture(scope="module")
def protocol(request: pytest.FixtureRequest) -> Protocol:
    tiny: Protocol = request.getfixturevalue("tiny_protocol")
    training = tiny.training.model_copy(
        update={"epochs": 12, "batch_size": 16, "learning_rate": 5e-3, "modality_dropout": 0.0}
    )
    return tiny.model_copy(update={"training": training})


def score(network: FusedNetwork, transform: TableTransform, protocol: Protocol) -> np.ndarray:
    fresh = [example(number) for number in range(1000, 1064)]
    inputs = [case.model_input(transform) for case in fresh]
    batch = collate(inputs, protocol, text_width=TEXT_WIDTH, table_width=transform.width)
    with torch.inference_mode():
        logits = network.eval()(batch).logits.numpy()
    labels = np.stack([case.labels for case in fresh])
    known = ~np.isnan(labels)
    correct = (logits > 0) == (labels > 0.5)
    return np.array([correct[known[:, task], task].mean() for task in range(2)])


def test_training_learns_what_the_image_and_the_table_say(protocol: Protocol) -> None:
    examples = [example(number) for number in range(160)]
    transform = fit_table_transform([case.history for case in examples], protocol.table)
    torch.manual_seed(0)
    network = new_network(protocol, transform.width)
    before = score(network, transform, protocol)
    seen: list[tuple[int, int]] = []

    def report(_what: str, done: int, total: int) -> None:
        seen.append((done, total))

    network = fit(network, examples[:128], examples[128:], transform, protocol, report)
    after = score(network, transform, protocol)
    assert (after >= 0.9).all(), (before, after)
    assert seen[-1][0] == seen[-1][1]
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_same_seed_gives_the_same_weights(protocol: Protocol) -> None:
    settings = protocol.training.model_copy(update={"epochs": 1, "modality_dropout": 0.3})
    short = protocol.model_copy(update={"training": settings})
    examples = [example(number) for number in range(48)]
    transform = fit_table_transform([case.history for case in examples], short.table)
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        network = new_network(short, transform.width)
        fitted = fit(network, examples[:32], examples[32:], transform, short, silent)
        results.append(fitted.state_dict())
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


def test_concepts_are_hidden_with_the_notes_and_not_with_the_table(protocol: Protocol) -> None:
    concepts = (Concept(name="fits", words=("fit",)),)
    training = protocol.training.model_copy(update={"modality_dropout": 0.999})
    asked = protocol.model_copy(update={"training": training, "concepts": concepts})
    told = example(1).history.model_copy(
        update={"concepts": (ConceptValue(name="fits", value="present"),)}
    )
    case = replace(example(1), history=told)
    transform = fit_table_transform([told], asked.table, concepts)
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        shown, _, _ = augmented(case.model_input(transform), torch.zeros(2, 4, 6, 8), random, asked)
        table = shown.table
        seen.add(None if table is None else tuple(table.is_known.tolist()))
        if table is not None:
            assert (table.values[~table.is_known] == 0).all()
    # all shown; columns hidden; concepts hidden with the notes; history hidden
    everything, notes_only = (True, True, False, True), (False, False, False, True)
    assert seen == {everything, notes_only, (True, True, False, False), None}


def test_an_image_with_kept_tokens_is_not_moved_away_from_them(protocol: Protocol) -> None:
    case = example(1)
    assert case.image is not None
    case = replace(case, image=replace(case.image, tokens=torch.zeros(192, 16)))
    masks = torch.rand(2, 4, 6, 8)
    transform = fit_table_transform([case.history], protocol.table)
    random = np.random.default_rng(1)
    for _ in range(10):
        shown, marks, motion = augmented(case.model_input(transform), masks, random, protocol)
        assert shown.image is case.image
        assert motion is STILL
        assert torch.equal(marks, masks)


def test_a_frozen_image_branch_keeps_its_weights_while_the_rest_is_fused(
    protocol: Protocol,
) -> None:
    settings = protocol.training.model_copy(
        update={"epochs": 1, "image_epochs": 1, "freeze_image": True}
    )
    short = protocol.model_copy(update={"training": settings})
    examples = [example(number) for number in range(48)]
    transform = fit_table_transform([case.history for case in examples], short.table)
    torch.manual_seed(0)
    network = new_network(short, transform.width)
    fit_image(network, examples[:32], examples[32:], transform, short, silent)
    warm = {name: value.clone() for name, value in network.state_dict().items()}
    only_fusing = short.model_copy(
        update={"training": settings.model_copy(update={"image_epochs": 0})}
    )
    fit(network, examples[:32], examples[32:], transform, only_fusing, silent)
    after = network.state_dict()
    changed = {name.split(".")[0] for name in warm if not torch.equal(warm[name], after[name])}
    assert not {"image_encoder", "read_image", "place", "ask", "asked", "image_head"} & changed
    assert {"join", "read_table", "effects"} <= changed


def test_fusing_learns_from_a_teacher_and_stops_on_outcomes(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = protocol.training.model_copy(
        update={"epochs": 1, "image_epochs": 1, "teacher_share": 0.5}
    )
    asked = protocol.model_copy(update={"training": settings})
    examples = [example(number) for number in range(48)]
    transform = fit_table_transform([case.history for case in examples], asked.table)
    learned: dict[str, list[float]] = {}
    monkeypatch.setattr(teacher, "MIN_PATIENTS", 10)
    trained_on = loop.Cases

    def watched(own: Sequence[Example], *rest: Any) -> Cases:
        cases = trained_on(own, *rest)
        learned[f"{rest[-1]} {len(own)}"] = [float(label[0]) for label in cases.labels]
        return cases

    monkeypatch.setattr(loop, "Cases", watched)
    fit(new_network(asked, transform.width), examples[:32], examples[32:], transform, asked, silent)
    assert set(learned["fused 32"]).isdisjoint({0.0, 1.0})
    assert set(learned["image 32"]) == set(learned["None 16"]) == {0.0, 1.0}


def test_an_image_drawn_twice_is_encoded_once_and_stays_two_images(protocol: Protocol) -> None:
    network = new_network(protocol, 2)
    one, other, blind = example(1), example(2), replace(example(3), image=None)
    shapes = []
    network.image_encoder.stages.register_forward_pre_hook(
        lambda _, inputs: shapes.append(inputs[0].shape)
    )
    done = with_tokens(network, [one, other, blind, one])
    assert sum(shape[0] for shape in shapes) == 2
    images = [case.image for case in done]
    assert images[2] is None
    assert images[0] is not None
    assert images[1] is not None
    assert images[3] is not None
    assert images[0] is not images[3]
    assert images[0].tokens is images[3].tokens
    assert images[0].tokens is not None
    assert images[1].tokens is not None
    assert not torch.equal(images[0].tokens, images[1].tokens)
    again = with_tokens(network, done)
    assert sum(shape[0] for shape in shapes) == 2, "what has its tokens is not encoded again"
    assert [case.image for case in again] == images


def test_a_batch_holds_voxels_only_where_an_image_is_still_to_be_encoded(
    protocol: Protocol,
) -> None:
    cases = [example(1), replace(example(2), image=None)]
    transform = fit_table_transform([case.history for case in cases], protocol.table)

    def batch(chosen: Sequence[Example]) -> Mapping[str, object]:
        inputs = [case.model_input(transform) for case in chosen]
        return collate(inputs, protocol, text_width=TEXT_WIDTH, table_width=transform.width)

    known = with_tokens(new_network(protocol, 2), cases)
    assert {"voxels", "tokens"} & set(batch(cases)) == {"voxels"}
    assert {"voxels", "tokens"} & set(batch(known)) == {"tokens"}
    assert {"voxels", "tokens"} & set(batch([known[0], example(4)])) == {"voxels"}
    assert {"voxels", "tokens"} & set(batch(known[1:])) == {"voxels"}


@pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
def test_weights_without_a_validation_loss_are_refused(loss: float | None) -> None:
    with pytest.raises(UsageError, match="lower training"):
        loop._require_number(loss, "fused")
    loop._require_number(0.4, "fused")

"""A whole training of examples in memory, stopped on the way."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.bundle import load_bundle
from pipeline.errors import CheckpointError, UsageError
from pipeline.model.backbones import new_stages
from pipeline.model.text_encoder import load_text_encoder
from pipeline.tensors import FLAGS, TextInput
from pipeline.train import Keeping, Source, train_bundle, train_on
from pipeline.train.examples import Example
from pipeline.train.work import training_key, work_folder
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.train.test_fit import example

if TYPE_CHECKING:
    from pipeline.train.splits import Part

SPLITS = {"train": 0.4, "validation": 0.15, "calibration": 0.25, "conformal": 0.0}


def told(number: int, width: int) -> Example:
    """A case with a sentence that says both outcomes, wrongly for one patient in seven."""
    random = np.random.default_rng(number)
    causes = random.integers(0, 2, 2)
    labels = np.where(random.random(2) < 1 / 7, 1 - causes, causes).astype(np.float32)
    features = random.normal(0, 1, (1, width)) + np.repeat(causes, width // 2)
    text = TextInput(
        torch.from_numpy(features.astype(np.float32)),
        torch.zeros(1, width), torch.ones(1), torch.zeros(1, len(FLAGS)), sentences=(),
    )  # fmt: skip
    return replace(example(number), text=text, labels=labels)


def test_a_training_that_was_stopped_goes_on_to_the_same_bundle(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    training = TrainingSettings.model_validate(
        {
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 5e-3,
            "image_epochs": 1,
            "freeze_image": True,
            "splits": SPLITS,
        }
    )
    protocol = tiny_protocol.model_copy(update={"training": training})
    encoder = load_text_encoder(protocol.model)
    cases = [told(number, encoder.width) for number in range(160)]
    said: list[str] = []
    out = tmp_path / "bundle"

    def stop(what: str, done: int, _total: int) -> None:
        if what == "training" and done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on(cases, protocol, encoder, out, progress=stop)
    assert not out.exists()
    assert work_folder(out).is_dir()
    train_on(cases, protocol, encoder, out, keeping=Keeping(tell=said.append))
    finished, sentence = said
    assert finished == "going on: the image phase was finished before"
    assert sentence.startswith("going on with the fused phase after its step ")
    assert 0 < int(sentence.split()[-1]) < 12
    assert not work_folder(out).exists()
    whole = train_on(cases, protocol, encoder, tmp_path / "whole")
    assert load_bundle(out).identity.sha256 == whole.identity.sha256
    with pytest.raises(UsageError, match="not empty"):
        train_on(cases, protocol, encoder, out)


def test_image_weights_are_tried_before_the_cohort_is_read_and_tell_trainings_apart(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    weights = tmp_path / "w.safetensors"
    model = tiny_protocol.model.model_copy(update={"image_weights": str(weights)})
    protocol = tiny_protocol.model_copy(update={"model": model})
    with pytest.raises(CheckpointError, match="image weights"):
        train_bundle(Source(tmp_path / "nowhere"), protocol, tmp_path / "bundle")
    encoder = load_text_encoder(protocol.model)
    size = protocol.grid.size[::-1]
    parts: dict[Part, list[Example]] = {"train": [], "validation": []}
    keys = []
    for _ in range(2):
        stages = new_stages(model.image_encoder, model.image_channels, size)
        save_file(stages.state_dict(), weights)
        keys.append(training_key(parts, protocol, encoder))
    assert keys[0] != keys[1]
    said: list[str] = []
    with pytest.raises(UsageError, match="nowhere"):
        train_bundle(
            Source(tmp_path / "nowhere"), protocol, tmp_path / "bundle",
            keeping=Keeping(tell=said.append),
        )  # fmt: skip
    assert said == [f"image weights: 100% of the {model.image_encoder}'s were found"]

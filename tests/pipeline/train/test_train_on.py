"""A whole training of examples in memory, stopped on the way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import load_bundle
from pipeline.errors import UsageError
from pipeline.model.text_encoder import load_text_encoder
from pipeline.tensors import FLAGS, TextInput
from pipeline.train import Keeping, train_on
from pipeline.train.examples import Example
from pipeline.train.work import work_folder
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.train.test_fit import example

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
    (sentence,) = said
    assert sentence.startswith("going on with the fused phase after its step ")
    assert 0 < int(sentence.split()[-1]) < 12
    assert not work_folder(out).exists()
    whole = train_on(cases, protocol, encoder, tmp_path / "whole")
    assert load_bundle(out).identity.sha256 == whole.identity.sha256
    with pytest.raises(UsageError, match="not empty"):
        train_on(cases, protocol, encoder, out)

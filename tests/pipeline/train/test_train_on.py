"""A whole training of examples in memory, stopped on the way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import load_bundle
from pipeline.errors import UsageError
from pipeline.model.text_encoder import load_text_encoder
from pipeline.tensors import TextInput
from pipeline.train import Keeping, train_on
from pipeline.train.examples import Example
from pipeline.train.work import work_folder
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings
from tests.pipeline.train.test_fit import example

SPLITS = {"train": 0.4, "validation": 0.15, "calibration": 0.25, "conformal": 0.0}


def told(number: int, width: int) -> Example:
    """A case with a sentence that says what will come, more often than not."""
    random = np.random.default_rng(number)
    case = example(number)
    labels = np.array([number % 2, (number // 2) % 2], np.float32)
    features = random.normal(0, 1, (1, width)).astype(np.float32)
    features[:, : width // 2] += labels[1]
    text = TextInput(torch.from_numpy(features), torch.zeros(1, width), torch.ones(1), sentences=())
    return replace(case, text=text, labels=labels)


def test_a_training_that_was_stopped_goes_on_to_the_same_bundle(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    training = TrainingSettings.model_validate(
        {"epochs": 3, "batch_size": 32, "freeze_image": True, "splits": SPLITS}
    )
    protocol = tiny_protocol.model_copy(update={"training": training})
    encoder = load_text_encoder(protocol.model)
    cases = [told(number, encoder.width) for number in range(160)]
    out, said = tmp_path / "bundle", []

    def stop(what: str, done: int, _total: int) -> None:
        if what == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on(cases, protocol, encoder, out, progress=stop)
    assert not out.exists()
    assert work_folder(out).is_dir()
    train_on(cases, protocol, encoder, out, keeping=Keeping(tell=said.append))
    assert said == ["going on with the fused phase after its step 2"]
    assert not work_folder(out).exists()
    whole = train_on(cases, protocol, encoder, tmp_path / "whole")
    assert load_bundle(out).identity.sha256 == whole.identity.sha256
    with pytest.raises(UsageError, match="not empty"):
        train_on(cases, protocol, encoder, out)

"""A whole training that changes BERT along with the rest."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from pipeline.bundle import load_bundle
from pipeline.inputs import read_notes
from pipeline.model.text_encoder import load_text_encoder
from pipeline.train import Keeping, train_on
from pipeline.train.scores import score
from schemas.protocol import Protocol
from tests.pipeline.train.test_masked_words import SPLITS, told


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_tuned_bert_is_resumed_kept_and_read_anew(
    tiny_protocol: Protocol, tmp_path: Path, tuning: Literal["lora", "full"]
) -> None:
    protocol = Protocol.model_validate(
        tiny_protocol.model_dump()
        | {
            "model": tiny_protocol.model.model_dump() | {"text_tuning": tuning, "max_tokens": 32},
            "training": {
                "epochs": 2,
                "batch_size": 8,
                "splits": SPLITS,
                "learning_rate": 1e-3,
                "text_learning_rate": 1e-3,
            },
        }
    )
    base = load_text_encoder(protocol.model)
    cases = [told(number, base) for number in range(140)]
    said: list[str] = []

    def stop(what: str, done: int, _total: int) -> None:
        if what == "training" and done == 10:
            raise KeyboardInterrupt

    out = tmp_path / "bundle"
    with pytest.raises(KeyboardInterrupt):
        train_on(cases, protocol, base, out, progress=stop)
    train_on(cases, protocol, base, out, keeping=Keeping(tell=said.append))
    assert any(sentence.startswith("going on with the fused phase") for sentence in said)
    whole = train_on(cases, protocol, base, tmp_path / "whole")
    bundle = load_bundle(out)
    assert bundle.identity.sha256 == whole.identity.sha256
    assert bundle.text_encoder.sha256 != base.sha256
    assert (out / "models" / "text" / "model.safetensors").is_file()
    for case in cases[:20]:
        tuned = read_notes(case.history, bundle.text_encoder)
        assert tuned is not None
        assert case.text is not None
        assert not torch.allclose(tuned.features, case.text.features, atol=1e-4)
    inputs = [case.model_input(bundle.table_transform) for case in cases[:20]]
    assert np.isfinite(score(bundle, inputs).logits).all()

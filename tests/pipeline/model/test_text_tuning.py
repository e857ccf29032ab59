from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
import torch

from pipeline.flags import flags_of
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import (
    TextEncoder,
    encode_notes,
    load_text_encoder,
    load_tuned_text_encoder,
    save_text_encoder,
)
from pipeline.model.text_tuning import TunableText
from pipeline.tensors import Batch, ModelInput
from schemas.history import Note
from schemas.protocol import Protocol

SCAN = datetime(2024, 5, 31, 14, 30)
NOTES = (
    ("Known epilepsy. No fits for " + "many " * 40 + "years.", "Denies alcohol."),
    ("Fits.",),
    (),
)


KINDS = ("clinic", "discharge letter")


@pytest.fixture(scope="module")
def protocol(request: pytest.FixtureRequest) -> Protocol:
    tiny: Protocol = request.getfixturevalue("tiny_protocol")
    model = tiny.model.model_copy(update={"max_tokens": 32, "text_tuning": "lora"})
    return tiny.model_copy(update={"model": model})


@pytest.fixture(scope="module")
def encoder(protocol: Protocol) -> TextEncoder:
    return load_text_encoder(protocol.model)


def read(encoder: TextEncoder, protocol: Protocol) -> Batch:
    cases = []
    for texts in NOTES:
        notes = [
            Note(written_at=SCAN - timedelta(days=3), kind=KINDS[number % 2], text=text)
            for number, text in enumerate(texts)
        ]
        cases.append(ModelInput(None, encode_notes(encoder, notes, SCAN, flags_of(notes)), None))
    return collate(cases, protocol, text_width=encoder.width, table_width=2)


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_before_training_a_tunable_bert_reads_like_the_frozen_one(
    encoder: TextEncoder, protocol: Protocol, tuning: str, pooling: Literal["mean", "cls"]
) -> None:
    settings = protocol.model.model_copy(update={"text_tuning": tuning})
    encoder = replace(encoder, pooling=pooling)
    batch = read(encoder, protocol)
    # One sentence takes several windows; each kind of note is read once for all cases.
    assert len(batch["windows"]) - len(KINDS) > batch["is_token"].sum()
    features, kinds = TunableText(encoder, settings).eval()(batch)
    assert torch.allclose(features, batch["text"], atol=1e-4)
    assert torch.allclose(kinds, batch["kinds"], atol=1e-4)


def test_notes_without_word_pieces_are_refused_by_a_tuned_bert(
    encoder: TextEncoder, protocol: Protocol
) -> None:
    note = Note(written_at=SCAN, kind="clinic", text="No weakness.")
    text = encode_notes(encoder, [note], SCAN, flags_of([note]))
    assert text is not None
    case = ModelInput(None, replace(text, windows=()), None)
    with pytest.raises(ValueError, match="word pieces"):
        collate([case], protocol, text_width=encoder.width, table_width=2)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_two_steps_change_how_it_reads_and_the_merged_encoder_keeps_the_change(
    encoder: TextEncoder, protocol: Protocol, tmp_path: Path, tuning: str
) -> None:
    settings = protocol.model.model_copy(update={"text_tuning": tuning})
    batch = read(encoder, protocol)
    torch.manual_seed(0)
    network = FusedNetwork(
        protocol, 2, torch.randn(2, encoder.width),
        text_mean=torch.zeros(encoder.width), text_scale=torch.ones(encoder.width),
    )  # fmt: skip
    network.tunable_text = TunableText(encoder, settings)
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    network.read_text.value_query.weight.data.normal_()
    for _ in range(2):
        logits = network(batch).logits
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits[:2], torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tuned = network.tunable_text.tuned(encoder)
    save_text_encoder(tuned, tmp_path / "text")
    loaded = load_tuned_text_encoder(settings, tmp_path / "text")
    assert (loaded.name, loaded.sha256 == encoder.sha256) == (encoder.name, False)
    again = read(loaded, protocol)
    features, kinds = network.tunable_text.eval()(batch)
    assert torch.allclose(features, again["text"], atol=1e-3)
    assert torch.allclose(kinds, again["kinds"], atol=1e-3)
    assert not torch.allclose(batch["kinds"], again["kinds"], atol=1e-3)
    assert not torch.allclose(batch["text"], again["text"], atol=1e-3)
    assert torch.equal(read(encoder, protocol)["text"], batch["text"])  # the first is untouched

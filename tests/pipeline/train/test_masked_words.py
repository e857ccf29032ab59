"""A BERT that learns the words of the cohort's own notes before anything else."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.bundle import load_bundle
from pipeline.errors import UsageError
from pipeline.inputs import read_notes
from pipeline.model.text_encoder import TextEncoder, encode_phrases, load_text_encoder, word_pieces
from pipeline.progress import silent
from pipeline.train import train_on
from pipeline.train.checkpoints import Work
from pipeline.train.examples import Example
from pipeline.train.masked_words import guesser_of, with_own_words
from schemas.history import Note
from schemas.protocol import Protocol
from tests.pipeline.train.test_fit import example

if TYPE_CHECKING:
    from pipeline.train.splits import Part

SPLITS = {"train": 0.4, "validation": 0.15, "calibration": 0.25, "conformal": 0.0}
WORDS = (
    ("The left arm is weak and clumsy.", "He drags the left leg."),
    ("Full power in all limbs.", "She walks without help."),
)


@pytest.fixture
def protocol(tiny_protocol: Protocol) -> Protocol:
    return Protocol.model_validate(
        tiny_protocol.model_dump()
        | {
            "model": tiny_protocol.model.model_dump() | {"text_encoder": "small", "max_tokens": 32},
            "training": {"notes_epochs": 2, "epochs": 2, "batch_size": 8, "splits": SPLITS},
        }
    )


@pytest.fixture
def small(protocol: Protocol) -> TextEncoder:
    return load_text_encoder(protocol.model)


def told(number: int, encoder: TextEncoder) -> Example:
    """A case whose note says its outcomes, wrongly for one patient in seven."""
    random = np.random.default_rng(number)
    cause = int(random.integers(0, 2))
    labels = np.where(random.random(2) < 1 / 7, 1 - cause, cause).astype(np.float32)
    case = example(number)
    text = f"{WORDS[cause][number % 2]} Seen in week {number}."
    note = Note(written_at=case.history.at - timedelta(days=2), kind="clinic", text=text)
    history = case.history.model_copy(update={"notes": (note,)})
    return replace(case, history=history, text=read_notes(history, encoder), labels=labels)


def test_a_bert_that_knows_nothing_yet_is_the_same_each_time_and_must_be_taught(
    protocol: Protocol, small: TextEncoder
) -> None:
    again = load_text_encoder(protocol.model)
    assert again.sha256 == small.sha256
    sentence = ["The left arm is weak."]
    assert torch.equal(encode_phrases(again, sentence), encode_phrases(small, sentence))
    untaught = protocol.model_dump() | {"training": {}}
    with pytest.raises(ValidationError, match="set training"):
        Protocol.model_validate(untaught)


def test_a_masked_word_is_guessed_from_its_neighbours(
    protocol: Protocol, small: TextEncoder
) -> None:
    training = protocol.training.model_copy(update={"notes_epochs": 150})
    protocol = protocol.model_copy(update={"training": training})
    texts = [sentence for cause in WORDS for sentence in cause]
    pieces = [{"input_ids": ids} for text in texts for ids in word_pieces(small, text)]
    guesser = guesser_of(small, pieces, protocol, silent)
    (asked,) = word_pieces(small, "He drags the [MASK] leg.")
    place = asked.index(small.tokenizer.mask_token_id)
    guesses = guesser(torch.tensor([asked])).logits[0, place]
    assert small.tokenizer.decode(guesses.argmax()) == "left"


def test_only_notes_of_the_train_part_are_learned_and_a_killed_run_goes_on_from_what_it_kept(
    protocol: Protocol, small: TextEncoder, tmp_path: Path
) -> None:
    cases = [told(number, small) for number in range(40)]
    parts: dict[Part, list[Example]] = {"train": cases[:20], "validation": cases[20:]}
    reader, read = with_own_words(small, parts, protocol, silent, Work(tmp_path / "a"))
    fewer: dict[Part, list[Example]] = {"train": cases[:20], "validation": []}
    other, _ = with_own_words(small, fewer, protocol, silent, Work(tmp_path / "b"))
    assert reader.sha256 == other.sha256
    first, taught = cases[0].text, read["train"][0].text
    assert first is not None
    assert taught is not None
    assert not torch.allclose(taught.features, first.features, atol=1e-3)
    silence: dict[Part, list[Example]] = {"train": [], "validation": cases[20:]}
    kept, again = with_own_words(small, silence, protocol, silent, Work(tmp_path / "a"))
    assert kept.sha256 == reader.sha256
    for one, two in zip(read["validation"], again["validation"], strict=True):
        assert one.text is not None
        assert two.text is not None
        assert torch.equal(one.text.features, two.text.features)
    with pytest.raises(UsageError, match="no training case has a note"):
        with_own_words(small, silence, protocol, silent, Work(tmp_path / "c"))


def test_a_bundle_keeps_the_bert_that_read_its_cases(
    protocol: Protocol, small: TextEncoder, tmp_path: Path
) -> None:
    cases = [told(number, small) for number in range(160)]
    train_on(cases, protocol, small, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.text_encoder.name == "small"
    # The network keeps its questions as the BERT read them in training.
    questions = [task.question for task in protocol.tasks]
    asked = loaded.networks[0].questions
    assert torch.allclose(encode_phrases(loaded.text_encoder, questions), asked, atol=1e-5)
    assert not torch.allclose(encode_phrases(small, questions), asked, atol=1e-3)
    card = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    assert "small (2 epochs on the train part's notes, then frozen)" in card

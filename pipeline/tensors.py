"""The only nouns that hold torch: what the network reads and what it says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NotRequired, TypedDict, get_args

import torch
from torch import Tensor

from pipeline.geometry import Geometry
from schemas.history import Context

FLAGS: tuple[Context, ...] = get_args(Context)
"""Ways in which a sentence may speak of what it names, in the order of their columns."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """One image on the model's grid.

    Parameters
    ----------
    voxels : shape (C, S, P, L), float32
        Of each named series; scaled to -1..1, and above within the headroom. Axes run to the head,
        the back, the left.
    scanned : shape (C, S, P, L), bool
        False where the scanner did not look.
    grid
        Where those voxels are.
    tokens : shape (N, W), or (M, N, W), or None
        What a frozen encoder, or that of each member of an ensemble, made of it, the features of
        each token's cells among it, so that it need not do so again.
    """

    voxels: Tensor
    scanned: Tensor
    grid: Geometry
    tokens: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A sentence of a note, as written."""

    written_at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class TextWindow:
    """Word pieces that BERT reads at once; a long sentence has several windows.

    Parameters
    ----------
    sentence
        Number of the sentence that they belong to, from 0.
    pieces
        Numbers of BERT's vocabulary.
    counts
        Those of them that count here: windows overlap, but each word counts once; or [CLS].
    """

    sentence: int
    pieces: tuple[int, ...]
    counts: slice


@dataclass(frozen=True, slots=True, eq=False)
class TextInput:
    """All notes of a case as one token a sentence.

    Parameters
    ----------
    features : shape (T, D), float32
        Mean of BERT's last hidden states over the sentence's words, or of [CLS].
    kinds : shape (T, D), float32
        The same for the word that names the kind of note.
    age_days : shape (T,), float32
        Age of the note at the scan.
    flags : shape (T, F), float32
        1 where one of ``FLAGS``, such as a denial, holds of a word in the sentence; else 0.
    sentences
        The T sentences, in the order of the notes.
    windows, kind_windows
        What BERT read of each sentence, and of the kind of its note, for one that is tuned.
    """

    features: Tensor
    kinds: Tensor
    age_days: Tensor
    flags: Tensor
    sentences: tuple[Sentence, ...]
    windows: tuple[TextWindow, ...] = ()
    kind_windows: tuple[TextWindow, ...] = ()

    def without(self, numbers: Collection[int]) -> "TextInput | None":
        """Return it without the sentences of these numbers, from 0; None if nothing is left."""
        kept = [number for number in range(len(self.features)) if number not in numbers]
        if not kept:
            return None
        return TextInput(
            features=self.features[kept],
            kinds=self.kinds[kept],
            age_days=self.age_days[kept],
            flags=self.flags[kept],
            sentences=tuple(self.sentences[number] for number in kept),
            windows=_of_sentences(self.windows, kept),
            kind_windows=_of_sentences(self.kind_windows, kept),
        )

    def with_sentence(self, number: int, said: "TextInput") -> "TextInput":
        """Return it with another's first sentence in place of one of its own, numbered from 0.

        Parameters
        ----------
        said
            Read by the same BERT.
        """

        def put(own: Tensor, other: Tensor) -> Tensor:
            return torch.cat([own[:number], other[:1], own[number + 1 :]])

        return TextInput(
            features=put(self.features, said.features),
            kinds=put(self.kinds, said.kinds),
            age_days=put(self.age_days, said.age_days),
            flags=put(self.flags, said.flags),
            sentences=(*self.sentences[:number], said.sentences[0], *self.sentences[number + 1 :]),
            windows=_put(self.windows, said.windows, number),
            kind_windows=_put(self.kind_windows, said.kind_windows, number),
        )


def _put(
    own: Sequence[TextWindow], said: Sequence[TextWindow], number: int
) -> tuple[TextWindow, ...]:
    """Return the windows with those of another's first sentence in place of one sentence's."""
    new = (replace(window, sentence=number) for window in said if window.sentence == 0)
    return (*(window for window in own if window.sentence != number), *new)


def _of_sentences(windows: Sequence[TextWindow], kept: Sequence[int]) -> tuple[TextWindow, ...]:
    """Return the windows of some sentences, which are numbered anew."""
    return tuple(
        replace(window, sentence=kept.index(window.sentence))
        for window in windows
        if window.sentence in kept
    )


@dataclass(frozen=True, slots=True, eq=False)
class TableInput:
    """Table variables of a case.

    Parameters
    ----------
    values : shape (V, F), float32
        Standardised number, or one-hot category or flag, zero-padded to a common width.
    is_known : shape (V,), bool
        False where missing.
    n_concepts
        The last so many variables were read in the notes; the others are the table's columns.
    """

    values: Tensor
    is_known: Tensor
    n_concepts: int

    @property
    def has_columns(self) -> bool:
        """Whether any of the table's own columns is known."""
        return bool(self.is_known[: len(self.is_known) - self.n_concepts].any())

    @property
    def has_concepts(self) -> bool:
        """Whether anything that was read in the notes is known."""
        return bool(self.is_known[len(self.is_known) - self.n_concepts :].any())

    def only(self, *, columns: bool, concepts: bool) -> "TableInput | None":
        """Return it with columns or concepts hidden; None if nothing is left."""
        is_known = self.is_known.clone()
        n_columns = len(is_known) - self.n_concepts
        is_known[:n_columns] &= columns
        is_known[n_columns:] &= concepts
        return self._where(is_known)

    def without(self, number: int) -> "TableInput | None":
        """Return it as if the variable of this number, from 0, were missing; None if all are."""
        is_known = self.is_known.clone()
        is_known[number] = False
        return self._where(is_known)

    def _where(self, is_known: Tensor) -> "TableInput | None":
        if not is_known.any():
            return None
        return TableInput(self.values * is_known[:, None], is_known, self.n_concepts)


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """One case as the network reads it; None where a modality is absent."""

    image: ImageInput | None
    text: TextInput | None
    table: TableInput | None

    @property
    def has_history(self) -> bool:
        """Whether any sentence or variable is there."""
        return self.text is not None or self.table is not None

    @property
    def present(self) -> tuple[str, ...]:
        """The modalities that are there, in the order image, notes, table.

        A concept without a sentence, as when one asks what the case would be if its only sentence
        had said otherwise, was read in notes all the same.
        """
        table = self.table
        parts = {
            "image": self.image is not None,
            "notes": self.text is not None or (table is not None and table.has_concepts),
            "table": table is not None and table.has_columns,
        }
        return tuple(name for name, is_there in parts.items() if is_there)

    def only(self, present: Collection[str]) -> "ModelInput":
        """Return the case as if it had no other modalities than these.

        What was read in the notes goes with the notes.
        """
        table = self.table
        if table is not None:
            table = table.only(columns="table" in present, concepts="notes" in present)
        return ModelInput(
            image=self.image if "image" in present else None,
            text=self.text if "notes" in present else None,
            table=table,
        )


class Batch(TypedDict):
    """Cases padded to a common size. B cases, C series, S P L voxels, T sentences, V variables.

    A modality that a case lacks is all padding; its ``has_`` entry is False. I images: one a case,
    or fewer where cases share them, as ``image_of`` says.
    """

    scanned: Tensor
    """(I, C, S, P, L) bool, False where a series was not scanned, or is missing"""
    has_image: Tensor
    """(B,) bool"""
    text: Tensor
    """(B, T, D) float32"""
    kinds: Tensor
    """(B, T, D) float32"""
    age_days: Tensor
    """(B, T) float32"""
    flags: Tensor
    """(B, T, len(FLAGS)) float32, 0 on padding"""
    is_token: Tensor
    """(B, T) bool, False on padding"""
    table: Tensor
    """(B, V, F) float32"""
    is_known: Tensor
    """(B, V) bool"""
    has_table: Tensor
    """(B,) bool"""
    voxels: NotRequired[Tensor]
    """(I, C, S, P, L) float32; not there where ``tokens`` are"""
    tokens: NotRequired[Tensor]
    """(I, N, W) float32, image tokens encoded before; the encoder is then not run. Of several
    networks (I, M, N, W), of which each is given its own."""
    image_of: NotRequired[Tensor]
    """(B,) int64, which image each case has, where cases share images"""
    motion: NotRequired[Tensor]
    """(I, 4, 4) float32, where each place of a training image is taken from, in -1..1 along S, P
    and L; the images are as they were read"""
    gain: NotRequired[Tensor]
    """(I,) float32, times what a moved image is above the lowest value"""
    windows: NotRequired[Tensor]
    """(W, L) int64, word pieces of W windows of notes, for a BERT that is tuned"""
    is_piece: NotRequired[Tensor]
    """(W, L) bool, False on padding"""
    counts: NotRequired[Tensor]
    """(W, L) bool, pieces that count towards their sentence's feature"""
    window_of: NotRequired[Tensor]
    """(W,) int64, the sentence that a window belongs to: case times T plus its number; or behind
    those B times T, the kind of note"""
    kind_of: NotRequired[Tensor]
    """(B, T) int64, which of the batch's kinds of notes each sentence is of"""


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """With which share each history token (V variables, then T sentences) looked at image tokens.

    Parameters
    ----------
    weights : shape (B, H, M)
    places : shape (B, M)
        The tokens among which they looked.
    n_tokens
        N.
    """

    weights: Tensor
    places: Tensor
    n_tokens: int

    def whole(self) -> Tensor:
        """Return it for all image tokens, shape (B, H, N): 0 where they did not look."""
        return put_back(self.weights, self.places, self.n_tokens)


def put_back(chosen: Tensor, places: Tensor, n_tokens: int) -> Tensor:
    """Return what was computed for some tokens at their places among all, 0 at the others.

    Parameters
    ----------
    chosen : shape (B, X, M)
    places : shape (B, M)

    Returns
    -------
    Tensor
        Shape (B, X, N).
    """
    batch, n_rows, _ = chosen.shape
    whole = chosen.new_zeros(batch, n_rows, n_tokens)
    return whole.scatter(2, places[:, None].expand_as(chosen), chosen)


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutput:
    """Scores of a batch and their exact parts.

    B cases, Q logits (one a task, or one a class of a multiclass task, in the protocol's order),
    N image tokens, T, V as above, K tasks, E width of the common space.

    ``logits = bias + image.sum(-1) + text.sum(-1) + table.sum(-1)``.

    Parameters
    ----------
    logits : shape (B, Q), log-odds
    bias : shape (Q,), log-odds
    image : shape (B, Q, N), log-odds
        N runs over the token grid (S, P, L) with L fastest; 0 where nothing was scanned.
    text : shape (B, Q, T), log-odds
        0 on padding.
    table : shape (B, Q, V), log-odds
    presence : shape (B, Q, N), log-odds
        Of the gate with which each image token counts; it does not depend on the history.
    cuts : shape (Q, J), log-odds
        Further thresholds of ordinal and survival tasks, which share the logit's evidence.
    image_alone : shape (B, Q), log-odds
        What a head that sees the image alone says; for training.
    attention
        Of each network with cross-attention: one, of an ensemble one a member; empty without.
    token_grid
        Tokens along S, P and L.
    summary : shape (B, C)
        Pooled image features, for the out-of-distribution check.
    history_summary : shape (B, D)
        Mean of the history's tokens as they were read, for the same; zeros where absent.
    embedding : shape (B, 2, E)
        Image and history in one space, unit length; zeros where absent.
    shares : shape (B, Q, N, CELLS), or None
        Which share each of a token's cells (``pipeline.cells``) has in what the token adds; they
        sum to 1, and are 0 where less than half was scanned. None if nobody asked or nothing finer
        is known.
    member_logits : shape (M, B, Q), or None
        What each member of an ensemble says; None from a network by itself.
    """

    logits: Tensor
    bias: Tensor
    image: Tensor
    text: Tensor
    table: Tensor
    presence: Tensor
    cuts: Tensor
    image_alone: Tensor
    attention: tuple[Attention, ...]
    token_grid: tuple[int, int, int]
    summary: Tensor
    history_summary: Tensor
    embedding: Tensor
    shares: Tensor | None = None
    member_logits: Tensor | None = None

    @property
    def each_member(self) -> Tensor:
        """What each network says, shape (M, B, Q), log-odds; of one by itself, M is 1."""
        return self.logits[None] if self.member_logits is None else self.member_logits

    @property
    def history_alone(self) -> Tensor:
        """What is left without the image's evidence, shape (B, Q), log-odds."""
        return self.bias + self.text.sum(-1) + self.table.sum(-1)

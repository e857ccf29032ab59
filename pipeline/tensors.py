"""The only nouns that hold torch: what the network reads and what it says."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from torch import Tensor

from pipeline.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """One image on the model's grid.

    Parameters
    ----------
    voxels : shape (1, S, P, L), float32
        Scaled to -1..1, and above within the headroom; axes run to the head, the back, the left.
    scanned : shape (1, S, P, L), bool
        False where the scanner did not look.
    grid
        Where those voxels are.
    """

    voxels: Tensor
    scanned: Tensor
    grid: Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A sentence of a note, as written."""

    written_at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class TextInput:
    """All notes of a case as one token a sentence.

    Parameters
    ----------
    features : shape (T, D), float32
        Mean of BERT's last hidden states over the sentence's words.
    kinds : shape (T, D), float32
        The same for the word that names the kind of note.
    age_days : shape (T,), float32
        Age of the note at the scan.
    sentences
        The T sentences, in the order of the notes.
    """

    features: Tensor
    kinds: Tensor
    age_days: Tensor
    sentences: tuple[Sentence, ...]


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

    def only(self, *, columns: bool, concepts: bool) -> "TableInput | None":
        """Return it with columns or concepts hidden; None if nothing is left."""
        is_known = self.is_known.clone()
        n_columns = len(is_known) - self.n_concepts
        is_known[:n_columns] &= columns
        is_known[n_columns:] &= concepts
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
    def present(self) -> tuple[str, ...]:
        """The modalities that are there, in the order image, notes, table."""
        parts = {
            "image": self.image is not None,
            "notes": self.text is not None,
            "table": self.table is not None and self.table.has_columns,
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
    """Cases padded to a common size. B cases, S P L voxels, T sentences, V variables.

    A modality that a case lacks is all padding; its ``has_`` entry is False.
    """

    voxels: Tensor
    """(B, 1, S, P, L) float32"""
    scanned: Tensor
    """(B, 1, S, P, L) bool"""
    has_image: Tensor
    """(B,) bool"""
    text: Tensor
    """(B, T, D) float32"""
    kinds: Tensor
    """(B, T, D) float32"""
    age_days: Tensor
    """(B, T) float32"""
    is_token: Tensor
    """(B, T) bool, False on padding"""
    table: Tensor
    """(B, V, F) float32"""
    is_known: Tensor
    """(B, V) bool"""
    has_table: Tensor
    """(B,) bool"""


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutput:
    """Scores of a batch and their exact parts. B cases, K tasks, N image tokens, T, V as above.

    ``logits = bias + image.sum(-1) + text.sum(-1) + table.sum(-1)``.

    Parameters
    ----------
    logits : shape (B, K), log-odds
    bias : shape (K,), log-odds
    image : shape (B, K, N), log-odds
        N runs over the token grid (S, P, L) with L fastest; 0 where nothing was scanned.
    text : shape (B, K, T), log-odds
        0 on padding.
    table : shape (B, K, V), log-odds
    presence : shape (B, K, N), log-odds
        Of the gate with which each image token counts.
    token_grid
        Tokens along S, P and L.
    summary : shape (B, C)
        Pooled image features, for the out-of-distribution check.
    """

    logits: Tensor
    bias: Tensor
    image: Tensor
    text: Tensor
    table: Tensor
    presence: Tensor
    token_grid: tuple[int, int, int]
    summary: Tensor

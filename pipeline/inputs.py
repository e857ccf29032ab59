"""Case to ModelInput: the same function for training and for assessment."""

from collections.abc import Mapping

import numpy as np

from pipeline.case import Case
from pipeline.flags import flags_of
from pipeline.model.text_encoder import Phrases, TextEncoder, encode_notes, encode_phrases
from pipeline.preprocess import TableTransform, image_input, table_input
from pipeline.tensors import ImageInput, ModelInput, TextInput
from pipeline.volume import Volume
from schemas.history import ConceptValue, History, TableValue
from schemas.protocol import Protocol

QUARTILES = {"lower quartile": 25, "median": 50, "upper quartile": 75}


def model_input(
    case: Case, protocol: Protocol, encoder: TextEncoder, transform: TableTransform
) -> ModelInput:
    """Return what the network reads of a case."""
    return ModelInput(
        image=read_image(case, protocol),
        text=read_notes(case.history, encoder),
        table=table_input(case.history, transform),
    )


def read_image(case: Case, protocol: Protocol) -> ImageInput | None:
    """Return the protocol's series on one grid of the model; None if the case has none of them."""
    volumes = [case.volumes.get(rule.name) for rule in protocol.series]
    return None if main_volume(case, protocol) is None else image_input(volumes, protocol)


def main_volume(case: Case, protocol: Protocol) -> Volume | None:
    """Return the first of the protocol's series that the case has: the model's grid is around it.

    Heatmaps lie on its grid.
    """
    found = (case.volumes.get(rule.name) for rule in protocol.series)
    return next((volume for volume in found if volume is not None), None)


def read_notes(
    history: History, encoder: TextEncoder, phrases: Phrases = encode_phrases
) -> TextInput | None:
    """Return the history's notes as token features; None if there are none.

    Parameters
    ----------
    phrases
        What reads the sentences.
    """
    return encode_notes(encoder, history.notes, history.at, flags_of(history.notes), phrases)


def quantities(
    volume: Volume | None, image: ImageInput | None, history: History
) -> Mapping[str, float]:
    """Return what the input check compares with the training cases.

    Parameters
    ----------
    volume
        The main one; its spacing and extent in mm count.
    image
        As the network reads it; the quartiles of each series' intensities count.
    history
        The numbers of its table and of its notes, and how long its notes are.
    """
    sizes = {} if volume is None else _sizes(volume)
    return {**sizes, **intensities(image), **_numbers(history), **note_lengths(history)}


def intensities(image: ImageInput | None) -> Mapping[str, float]:
    """Return the quartiles of each series where it was scanned, on the scale of the network.

    They tell where most of an image lies and how far it spreads, so they are odd of one that is
    inverted, clipped or flat. Series are numbered in the protocol's order; a missing one has none.
    """
    measured = {}
    channels = () if image is None else zip(image.voxels, image.scanned, strict=True)
    for number, (voxels, scanned) in enumerate(channels, start=1):
        if not scanned.any():
            continue
        found = np.percentile(voxels[scanned].numpy(), list(QUARTILES.values()))
        for name, value in zip(QUARTILES, found, strict=True):
            measured[f"{name} of the intensities of series {number} (scaled)"] = float(value)
    return measured


def note_lengths(history: History) -> Mapping[str, float]:
    """Return how many notes there are and how many words they have; nothing without a note."""
    if not history.notes:
        return {}
    n_words = sum(len(note.text.split()) for note in history.notes)
    return {"number of notes": float(len(history.notes)), "length of the notes (words)": n_words}


def _sizes(volume: Volume) -> Mapping[str, float]:
    spacing = volume.geometry.spacing_mm
    extents = sorted(size * step for size, step in zip(volume.geometry.shape, spacing, strict=True))
    return {
        "smallest voxel spacing (mm)": min(spacing),
        "largest voxel spacing (mm)": max(spacing),
        "smallest extent of the volume (mm)": extents[0],
        "largest extent of the volume (mm)": extents[-1],
    }


def _numbers(history: History) -> Mapping[str, float]:
    recorded: tuple[TableValue | ConceptValue, ...] = (*history.values, *history.concepts)
    return {
        f"{value.name} ({value.unit})" if value.unit else value.name: value.value
        for value in recorded
        if isinstance(value.value, float)
    }

"""Case to ModelInput: the same function for training and for assessment."""

from collections.abc import Mapping

from pipeline.case import Case
from pipeline.flags import flags_of
from pipeline.model.text_encoder import Phrases, TextEncoder, encode_notes, encode_phrases
from pipeline.preprocess import TableTransform, image_input, table_input
from pipeline.tensors import ImageInput, ModelInput, TextInput
from pipeline.volume import Volume
from schemas.history import ConceptValue, History, TableValue
from schemas.protocol import Protocol


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


def quantities(volume: Volume | None, history: History) -> Mapping[str, float]:
    """Return what the input check compares with the training cases.

    Spacing and extent of the image in mm, its spread, and the table's and the notes' numbers.
    """
    measured = {}
    if volume is not None:
        spacing = volume.geometry.spacing_mm
        extents = sorted(
            size * step for size, step in zip(volume.geometry.shape, spacing, strict=True)
        )
        measured["smallest voxel spacing (mm)"] = min(spacing)
        measured["largest voxel spacing (mm)"] = max(spacing)
        measured["smallest extent of the volume (mm)"] = extents[0]
        measured["largest extent of the volume (mm)"] = extents[-1]
    recorded: tuple[TableValue | ConceptValue, ...] = (*history.values, *history.concepts)
    for value in recorded:
        if isinstance(value.value, float):
            measured[f"{value.name} ({value.unit})" if value.unit else value.name] = value.value
    return measured

"""Training cases seen slightly otherwise each time."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipeline.explain.paint import moved_by
from pipeline.model.image_encoder import STRIDE
from pipeline.tensors import ImageInput, ModelInput
from schemas.protocol import Protocol

MAX_SHIFT_TOKENS = 1
MAX_GAIN = 0.1
LEFT = (("notes", "table"), ("image", "table"), ("image", "notes"), ("image",))
"""What is left when the image, the notes, the table or the whole history is hidden."""


def augmented(
    model_input: ModelInput, masks: Tensor, random: np.random.Generator, protocol: Protocol
) -> tuple[ModelInput, Tensor]:
    """Return a training case and its token masks, shifted, rescaled, a part hidden.

    An image whose tokens are kept from a frozen encoder stays where it is. What is hidden now and
    then: the image, the notes with the concepts that were read in them, the table's columns, or
    the whole history.

    Parameters
    ----------
    masks : shape (K, S/4, P/4, L/4)
        Moved with the image; NaN where nothing is known.
    """
    image = model_input.image
    if image is not None and image.tokens is None:
        image, masks = _jittered(image, masks, random)
    shown = ModelInput(image, model_input.text, model_input.table)
    if random.random() < protocol.training.modality_dropout:
        shown = shown.only(LEFT[int(random.integers(len(LEFT)))])
    return shown, masks


def _jittered(
    image: ImageInput, masks: Tensor, random: np.random.Generator
) -> tuple[ImageInput, Tensor]:
    """Shift by whole tokens, so that the masks move exactly, and change the gain."""
    tokens = [int(step) for step in random.integers(-MAX_SHIFT_TOKENS, MAX_SHIFT_TOKENS + 1, 3)]
    voxels = [step * STRIDE for step in tokens]
    gain = 1.0 + MAX_GAIN * random.uniform(-1, 1)
    scaled = torch.where(image.scanned, (image.voxels + 1.0) * gain - 1.0, -1.0)
    moved = replace(
        image, voxels=moved_by(scaled, voxels, -1.0), scanned=moved_by(image.scanned, voxels, 0.0)
    )
    return moved, moved_by(masks, tokens, torch.nan)

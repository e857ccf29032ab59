"""Training cases seen slightly otherwise each time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.tensors import ImageInput, ModelInput
from schemas.protocol import Protocol

MAX_SHIFT_VOXELS = 2
MAX_GAIN = 0.1


def augmented(
    model_input: ModelInput, random: np.random.Generator, protocol: Protocol
) -> ModelInput:
    """Return a training case seen slightly otherwise: shifted, rescaled, one modality hidden."""
    image = model_input.image
    if image is not None:
        image = _jittered(image, random)
    hidden = None
    if random.random() < protocol.training.modality_dropout:
        hidden = random.choice(["image", "text", "table"])
    return ModelInput(
        image=None if hidden == "image" else image,
        text=None if hidden == "text" else model_input.text,
        table=None if hidden == "table" else model_input.table,
    )


def _jittered(image: ImageInput, random: np.random.Generator) -> ImageInput:
    shift = [int(step) for step in random.integers(-MAX_SHIFT_VOXELS, MAX_SHIFT_VOXELS + 1, 3)]
    gain = 1.0 + MAX_GAIN * random.uniform(-1, 1)
    voxels = torch.where(image.scanned, ((image.voxels + 1.0) * gain - 1.0).clamp(-1, 1), -1.0)
    return replace(
        image, voxels=_shifted(voxels, shift, -1.0), scanned=_shifted(image.scanned, shift, False)
    )


def _shifted(tensor: torch.Tensor, shift: Sequence[int], fill: float | bool) -> torch.Tensor:
    moved = torch.roll(tensor, list(shift), dims=(1, 2, 3))
    for axis, step in enumerate(shift, start=1):
        if step:
            start = 0 if step > 0 else tensor.shape[axis] + step
            moved.narrow(axis, start, abs(step)).fill_(fill)
    return moved

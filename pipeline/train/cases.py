"""Examples as the Trainer asks for them, seen slightly otherwise in each epoch."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.model.collate import collate
from pipeline.preprocess import TableTransform
from pipeline.tensors import ModelInput
from pipeline.train.annotations import with_empty_masks
from pipeline.train.augment import STILL, Motion, augmented
from pipeline.train.examples import Example
from schemas.protocol import Protocol

Phase = Literal["image", "fused"]
PHASES: tuple[Phase, ...] = ("image", "fused")
Case = tuple[ModelInput, Tensor, Tensor, Motion]


class Cases(Dataset[Case]):
    """Examples as model inputs, labels, masks, and how the image is to be moved.

    How a case is augmented depends on the seed, the phase, the epoch and the case alone, so that
    a training that was killed and goes on sees what it would have seen.

    Parameters
    ----------
    phase
        In which they are trained on; None leaves them as they are.

    Attributes
    ----------
    epoch
        Set by the training loop.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        transform: TableTransform,
        protocol: Protocol,
        phase: Phase | None,
    ) -> None:
        self.inputs = [example.model_input(transform) for example in examples]
        self.labels = [
            torch.from_numpy(example.labels if example.soft is None else example.soft)
            for example in examples
        ]
        masks, labels = (
            [example.masks for example in examples],
            [example.labels for example in examples],
        )
        self.masks = [
            torch.from_numpy(own) for own in with_empty_masks(masks, labels, protocol.tasks)
        ]
        self.protocol, self.phase, self.epoch = protocol, phase, 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, number: int) -> Case:
        chosen, masks, motion = self.inputs[number], self.masks[number], STILL
        if self.phase is not None:
            seed = self.protocol.training.seed
            place = [seed, PHASES.index(self.phase), self.epoch, number]
            random = np.random.default_rng(place)
            chosen, masks, motion = augmented(chosen, masks, random, self.protocol)
        return chosen, self.labels[number], masks, motion


def packer(
    protocol: Protocol, *, text_width: int, table_width: int
) -> Callable[[Sequence[Case]], dict[str, object]]:
    """Return what turns cases into one batch with its labels and masks."""

    def pack(cases: Sequence[Case]) -> dict[str, object]:
        inputs, labels, masks, motions = zip(*cases, strict=True)
        batch = collate(inputs, protocol, text_width=text_width, table_width=table_width)
        if any(motion is not STILL for motion in motions):
            batch["motion"] = torch.stack([motion.matrix for motion in motions])
            batch["gain"] = torch.tensor([motion.gain for motion in motions])
        return {"batch": batch, "labels": torch.stack(labels), "masks": torch.stack(masks)}

    return pack

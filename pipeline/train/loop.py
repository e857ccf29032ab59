"""The training loop: transformers' Trainer around the network, in one phase or two."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform
from pipeline.progress import Progress
from pipeline.tensors import ModelInput
from pipeline.train.augment import augmented
from pipeline.train.examples import Example
from pipeline.train.monitor import Monitor
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol

WARMUP_SHARE = 0.1
TOKENS_AT_ONCE = 32

Phase = Literal["image", "fused"]
OnValidated = Callable[[float], None]
"""Called after each epoch of fusing with the outcomes' validation loss; may end it by raising."""
_Case = tuple[ModelInput, Tensor, Tensor]


class _Cases(Dataset[_Case]):
    """Examples as model inputs, labels and masks; augmented if given a random generator."""

    def __init__(
        self,
        examples: Sequence[Example],
        transform: TableTransform,
        protocol: Protocol,
        random: np.random.Generator | None,
    ) -> None:
        self.inputs = [example.model_input(transform) for example in examples]
        self.labels = [torch.from_numpy(example.labels) for example in examples]
        self.masks = [torch.from_numpy(example.masks) for example in examples]
        self.protocol, self.random = protocol, random

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, number: int) -> _Case:
        chosen, masks = self.inputs[number], self.masks[number]
        if self.random is not None:
            chosen, masks = augmented(chosen, masks, self.random, self.protocol)
        return chosen, self.labels[number], masks


class _ReportLoss(TrainerCallback):
    """Pass the validation losses on."""

    def __init__(self, on_validated: OnValidated) -> None:
        self.on_validated = on_validated

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: Any
    ) -> None:
        self.on_validated(told["metrics"]["eval_outcome_loss"])


class _ReportProgress(TrainerCallback):
    """Pass the Trainer's steps on."""

    def __init__(self, progress: Progress, phase: Phase) -> None:
        self.progress = progress
        self.what = "training the image branch" if phase == "image" else "training"

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress(self.what, state.global_step, state.max_steps)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress(self.what, state.max_steps, state.max_steps)


def fit(  # noqa: PLR0913
    network: FusedNetwork,
    train: Sequence[Example],
    validation: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
    *,
    on_validated: OnValidated | None = None,
) -> FusedNetwork:
    """Train a network; return it with the weights of the epoch of lowest validation loss.

    With ``image_epochs`` the image branch first learns by itself; with ``freeze_image`` it then
    stays as it is: what is in the image, and what that means without any history.

    Parameters
    ----------
    train, validation
        Of different patients.
    on_validated
        Follows the epochs of fusing.
    """
    settings = protocol.training
    if settings.image_epochs:
        fit_image(network, train, validation, transform, protocol, progress)
    if settings.freeze_image:
        for part in network.image_branch():
            part.requires_grad_(False)
        train, validation = with_tokens(network, train), with_tokens(network, validation)
    watchers: list[TrainerCallback] = [_ReportProgress(progress, "fused")]
    if on_validated is not None:
        watchers.append(_ReportLoss(on_validated))
    _run(network, (train, validation), transform, protocol, "fused", watchers)
    return network.cpu().eval().requires_grad_(requires_grad=False)


def fit_image(
    network: FusedNetwork,
    train: Sequence[Example],
    validation: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
) -> None:
    """Train the image branch by itself on the cases that have an image."""
    parts = ([case for case in part if case.image is not None] for part in (train, validation))
    watchers = [_ReportProgress(progress, "image")]
    _run(network, (next(parts), next(parts)), transform, protocol, "image", watchers)


def _run(
    network: FusedNetwork,
    parts: tuple[Sequence[Example], Sequence[Example]],
    transform: TableTransform,
    protocol: Protocol,
    phase: Phase,
    watchers: Sequence[TrainerCallback],
) -> None:
    settings = protocol.training
    random = np.random.default_rng(settings.seed)

    def pack(cases: list[_Case]) -> dict[str, object]:
        inputs, labels, masks = zip(*cases, strict=True)
        batch = collate(
            inputs, protocol, text_width=network.questions.shape[1], table_width=transform.width
        )
        return {"batch": batch, "labels": torch.stack(labels), "masks": torch.stack(masks)}

    supervised = Supervised(network, protocol, image_only=phase == "image")
    with tempfile.TemporaryDirectory(prefix="synopt-train-") as checkpoints:
        trainer = Trainer(
            model=supervised,
            args=_arguments(protocol, Path(checkpoints), phase),
            train_dataset=_Cases(parts[0], transform, protocol, random),
            eval_dataset=_Cases(parts[1], transform, protocol, None),
            data_collator=pack,
            compute_metrics=Monitor(supervised, protocol),
            callbacks=[EarlyStoppingCallback(settings.patience), *watchers],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


@torch.inference_mode()
def with_tokens(network: FusedNetwork, examples: Sequence[Example]) -> list[Example]:
    """Return the examples with what the image encoder, from now on frozen, makes of each."""
    network.eval()
    network.image_encoder.requires_grad_(requires_grad=False)
    device = network.bias.device
    there = [number for number, example in enumerate(examples) if example.image is not None]
    done = list(examples)
    for start in range(0, len(there), TOKENS_AT_ONCE):
        numbers = there[start : start + TOKENS_AT_ONCE]
        images = [image for number in numbers if (image := examples[number].image) is not None]
        voxels = torch.stack([image.voxels for image in images]).to(device)
        scanned = torch.stack([image.scanned for image in images]).to(device)
        encoded = network.image_encoder(voxels, scanned).half().cpu()
        for number, image, tokens in zip(numbers, images, encoded, strict=True):
            done[number] = replace(examples[number], image=replace(image, tokens=tokens.clone()))
    return done


def _arguments(protocol: Protocol, checkpoints: Path, phase: Phase) -> TrainingArguments:
    settings = protocol.training
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.image_epochs if phase == "image" else settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP_SHARE,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=True,
        metric_for_best_model="outcome_loss",
        greater_is_better=False,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        log_level="error",
        seed=settings.seed,
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )

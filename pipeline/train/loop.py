"""The training loop: transformers' Trainer around the network."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
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
from pipeline.tensors import Batch, ModelInput
from pipeline.train.augment import augmented
from pipeline.train.examples import Example
from schemas.protocol import Protocol

WARMUP_SHARE = 0.1


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


class _Supervised(nn.Module):
    """The network with its loss, in the form that Trainer calls."""

    def __init__(self, network: FusedNetwork, annotation_weight: float) -> None:
        super().__init__()
        self.network, self.annotation_weight = network, annotation_weight

    def forward(self, batch: Batch, labels: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Return the loss over known labels and the logits, shape (B, K).

        In training the loss of the masks is added; what early stopping looks at is the
        outcomes' alone.
        """
        output = self.network(batch)
        loss = masked_loss(output.logits, labels)
        if self.training:
            shown = masks.flatten(2)
            shown = torch.where(batch["has_image"][:, None, None], shown, torch.nan)
            loss = loss + self.annotation_weight * annotation_loss(output.presence, shown)
        return {"loss": loss, "logits": output.logits}


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are not NaN; 0 if there is none."""
    known = ~labels.isnan()
    loss = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(labels), reduction="none"
    )
    return (loss * known).sum() / known.sum().clamp(min=1)


def annotation_loss(presence: Tensor, masks: Tensor) -> Tensor:
    """Return how badly the gates tell marked tokens from others; 0 if there is no mask.

    Parameters
    ----------
    presence : shape (B, K, N), log-odds
    masks : shape (B, K, N)
        1 on the finding, 0 elsewhere, NaN without a mask. Both classes weigh the same, however
        few tokens the finding fills.
    """
    inside, outside = masks == 1.0, masks == 0.0
    loss = functional.binary_cross_entropy_with_logits(
        presence, inside.to(presence.dtype), reduction="none"
    )
    means = [(loss * part).sum() / part.sum().clamp(min=1) for part in (inside, outside)]
    return (means[0] + means[1]) / 2


class _ReportProgress(TrainerCallback):
    """Pass the Trainer's steps on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress("training", state.global_step, state.max_steps)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress("training", state.max_steps, state.max_steps)


def fit(
    network: FusedNetwork,
    train: Sequence[Example],
    validation: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
) -> FusedNetwork:
    """Train a network; return it with the weights of the epoch of lowest validation loss.

    Parameters
    ----------
    train, validation
        Of different patients.
    """
    settings = protocol.training
    random = np.random.default_rng(settings.seed)

    def pack(cases: list[_Case]) -> dict[str, object]:
        inputs, labels, masks = zip(*cases, strict=True)
        batch = collate(
            inputs, protocol, text_width=network.questions.shape[1], table_width=transform.width
        )
        return {"batch": batch, "labels": torch.stack(labels), "masks": torch.stack(masks)}

    with tempfile.TemporaryDirectory(prefix="synopt-train-") as checkpoints:
        trainer = Trainer(
            model=_Supervised(network, settings.annotation_weight),
            args=_arguments(protocol, Path(checkpoints)),
            train_dataset=_Cases(train, transform, protocol, random),
            eval_dataset=_Cases(validation, transform, protocol, None),
            data_collator=pack,
            callbacks=[EarlyStoppingCallback(settings.patience), _ReportProgress(progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return network.cpu().eval().requires_grad_(requires_grad=False)


def _arguments(protocol: Protocol, checkpoints: Path) -> TrainingArguments:
    settings = protocol.training
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
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
        metric_for_best_model="eval_loss",
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

"""transformers' Trainer as the training loop uses it: its settings and what listens to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pipeline.errors import UsageError
from pipeline.progress import Progress
from pipeline.train.cases import Cases, Phase
from pipeline.train.processes import is_on_cpu, n_processes
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol
from schemas.settings import TrainingSettings

WARMUP_SHARE = 0.1

OnValidated = Callable[[float], None]
"""Called after each epoch with the outcomes' validation loss; may end the training by raising."""


class StepTrainer(Trainer):
    """A Trainer for which a step is one mean over its cases, however it is divided.

    The parts that are read one after the other, and those of several processes, are weighed by
    what they hold, so that missing labels and a short last batch count as in one part.
    """

    loss_is_scaled_for_ga = True
    model: Supervised

    def create_optimizer(self, *given: Any, **named: Any) -> Optimizer:
        """Return the optimizer, for which a BERT that is trained along has a step of its own."""
        optimizer: Optimizer = super().create_optimizer(*given, **named)
        tuned = self.model.network.tunable_text
        if tuned is None:
            return optimizer
        of_bert = set(tuned.parameters())
        for group in list(optimizer.param_groups):
            own = [one for one in group["params"] if one in of_bert]
            if own and len(own) < len(group["params"]):
                group["params"] = [one for one in group["params"] if one not in of_bert]
                step = self.model.settings.text_learning_rate
                optimizer.add_param_group({**group, "params": own, "lr": step})
        return optimizer

    def get_batch_samples(
        self,
        epoch_iterator: Iterator[dict[str, Any]],
        num_batches: int,
        device: torch.device,
    ) -> tuple[list[dict[str, Any]], Tensor | int | None]:
        """Return the parts of a step that this process reads, each with its shares."""
        batches, n_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, n_items
        counts = torch.stack([self.model.counts(**batch) for batch in batches])
        # Gradients of several processes are averaged, not summed.
        of_all = self.accelerator.reduce(counts.sum(0), "sum") / self.accelerator.num_processes
        for batch, own in zip(batches, counts, strict=True):
            batch["shares"] = torch.where(own > 0, own / of_all, 0.0)
        return batches, n_items


class ReportLoss(TrainerCallback):
    """Pass the validation losses on."""

    def __init__(self, on_validated: OnValidated) -> None:
        self.on_validated = on_validated

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: Any
    ) -> None:
        """Pass one on."""
        self.on_validated(told["metrics"]["eval_outcome_loss"])


class ReportProgress(TrainerCallback):
    """Pass the Trainer's steps on."""

    def __init__(self, progress: Progress, what: str) -> None:
        self.progress, self.what = progress, what

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Say how many steps are done."""
        self.progress(self.what, state.global_step, state.max_steps)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Say that all is done, early stopping or not."""
        self.progress(self.what, state.max_steps, state.max_steps)


class TellEpoch(TrainerCallback):
    """Tell the cases which epoch it is, since they are seen otherwise in each."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Say which epoch begins, from 0."""
        self.cases.epoch = round(state.epoch or 0)


def arguments(protocol: Protocol, checkpoints: Path, phase: Phase) -> TrainingArguments:
    """Return the Trainer's settings for one phase."""
    settings = protocol.training
    at_once = cases_at_once(settings)
    found = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.image_epochs if phase == "image" else settings.epochs,
        per_device_train_batch_size=at_once,
        per_device_eval_batch_size=2 * at_once,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP_SHARE,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        restore_callback_states_from_checkpoint=True,
        load_best_model_at_end=True,
        metric_for_best_model="outcome_loss",
        greater_is_better=False,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="epoch",
        log_level="error",
        seed=settings.seed,
        use_cpu=is_on_cpu(),
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    found._n_gpu = min(found.n_gpu, 1)  # several GPUs are for torchrun, not for DataParallel
    return found


def cases_at_once(settings: TrainingSettings) -> int:
    """Return how many cases of a step each process reads at once.

    Raises
    ------
    UsageError
        If a step's cases cannot be divided evenly.
    """
    n_parts = settings.accumulate * n_processes()
    if settings.batch_size % n_parts:
        msg = (
            f"training.batch_size {settings.batch_size} must be a multiple of {n_parts}: "
            "training.accumulate times the number of processes"
        )
        raise UsageError(msg)
    return settings.batch_size // n_parts

"""The training loop: transformers' Trainer around the network, in one phase or two."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, PrinterCallback

from pipeline.errors import UsageError
from pipeline.model.image_encoder import looked_share
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform
from pipeline.progress import Progress
from pipeline.train.cases import Cases, Phase, packer
from pipeline.train.checkpoints import Work, best_if_stopped, last_checkpoint
from pipeline.train.curves import curves_in
from pipeline.train.examples import Example
from pipeline.train.monitor import Monitor
from pipeline.train.processes import of_first, processes
from pipeline.train.supervised import Supervised
from pipeline.train.teacher import taught
from pipeline.train.trainer import (
    OnValidated,
    ReportLoss,
    ReportProgress,
    StepTrainer,
    TellEpoch,
    arguments,
)
from schemas.protocol import Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.tensors import ImageInput

TOKENS_AT_ONCE = 32
NAMES = {"image": "training the image branch", "fused": "training"}

Parts = tuple[Sequence[Example], Sequence[Example]]


def fit(  # noqa: PLR0913
    network: FusedNetwork,
    train: Sequence[Example],
    validation: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
    *,
    work: Work | None = None,
    on_validated: OnValidated | None = None,
) -> FusedNetwork:
    """Train a network; return it with the weights of the epoch of lowest validation loss.

    With ``image_epochs`` the image branch first learns by itself; with ``freeze_image`` it then
    stays as it is: what is in the image, and what that means without any history. With
    ``teacher_share`` fusing learns what a teacher says of the outcomes.

    Parameters
    ----------
    train, validation
        Of different patients.
    work
        Where its checkpoints are kept. If an earlier run with the same arguments was killed, this
        one goes on after its last whole epoch, to the same weights; with None nothing is kept.
    on_validated
        Follows the epochs of fusing.
    """
    settings = protocol.training
    if settings.image_epochs:
        fit_image(network, train, validation, transform, protocol, progress, work=work)
    if settings.freeze_image:
        for part in network.image_branch():
            part.requires_grad_(False)

    def prepared() -> Parts:
        parts = [train, validation]
        if settings.freeze_image:
            parts = [with_tokens(network, part) for part in parts]
        if settings.teacher_share:
            parts[0] = taught(network, parts[0], transform, protocol)
        return parts[0], parts[1]

    with _somewhere(work) as kept:
        run = _Run(network, transform, protocol, progress, kept, on_validated)
        run.phase(prepared, "fused")
    return network.cpu().eval().requires_grad_(requires_grad=False)


def fit_image(  # noqa: PLR0913
    network: FusedNetwork,
    train: Sequence[Example],
    validation: Sequence[Example],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
    *,
    work: Work | None = None,
) -> None:
    """Train the image branch by itself on the cases that have an image."""
    parts = ([case for case in part if case.image is not None] for part in (train, validation))
    with _somewhere(work) as kept:
        run = _Run(network, transform, protocol, progress, kept)
        run.phase(lambda: (next(parts), next(parts)), "image")


@contextmanager
def _somewhere(work: Work | None) -> Iterator[Work]:
    if work is not None:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="synopt-train-") as folder:
        yield Work(Path(of_first(folder)))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What the phases of one network's training have in common."""

    network: FusedNetwork
    transform: TableTransform
    protocol: Protocol
    progress: Progress
    work: Work
    on_validated: OnValidated | None = None

    def phase(self, prepared: Callable[[], Parts], phase: Phase) -> None:
        """Train, or go on with it; leave the best epoch's weights in the network.

        Parameters
        ----------
        prepared
            Gives the cases; not asked if the phase was finished before.
        """
        if self.work.was_finished(phase, self.network):
            return
        supervised = Supervised(self.network, self.protocol, image_only=phase == "image")
        trainer = self._trainer(supervised, prepared(), phase)
        with processes().main_process_first():
            checkpoint = last_checkpoint(self.work.checkpoints(phase))
        best = None if checkpoint is None else best_if_stopped(checkpoint)
        if checkpoint is not None:
            step = checkpoint.name.split("-")[1]
            self.work.tell(f"going on with the {phase} phase after its step {step}")
        if best is not None:
            supervised.load_state_dict(load_file(best))
        else:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            _require_number(trainer.state.best_metric, phase)
        self.work.finish(phase, self.network)

    def _trainer(self, supervised: Supervised, parts: Parts, phase: Phase) -> StepTrainer:
        train = Cases(parts[0], self.transform, self.protocol, phase)
        trainer = StepTrainer(
            model=supervised,
            args=arguments(self.protocol, self.work.checkpoints(phase), phase),
            train_dataset=train,
            eval_dataset=Cases(parts[1], self.transform, self.protocol, None),
            data_collator=packer(
                self.protocol, text_width=self.network.questions.shape[1],
                table_width=self.transform.width,
            ),
            compute_metrics=Monitor(supervised, self.protocol),
            callbacks=[
                EarlyStoppingCallback(self.protocol.training.patience),
                ReportProgress(self.progress, NAMES[phase]), TellEpoch(train),
            ],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        if self.on_validated is not None:
            trainer.add_callback(ReportLoss(self.on_validated))
        if self.work.curves is not None:
            trainer.add_callback(curves_in(self.work.curves / phase))
        return trainer


def _require_number(loss: float | None, phase: Phase) -> None:
    """Refuse weights that no epoch of which had a validation loss."""
    if loss is None or not math.isfinite(loss):
        msg = (
            f"{NAMES[phase]}: the validation loss was not a number, so no weights are worth "
            "keeping: lower training.learning_rate, or look for extreme values in the table"
        )
        raise UsageError(msg)


@torch.inference_mode()
def with_tokens(network: FusedNetwork, examples: Sequence[Example]) -> list[Example]:
    """Return the examples with what the image encoder, from now on frozen, makes of each.

    An image that several hold, as those of a patient who was drawn twice do, is encoded once; one
    that has its tokens already keeps them.
    """
    network.eval()
    network.image_encoder.requires_grad_(requires_grad=False)
    device = network.bias.device
    there = (one.image for one in examples if one.image is not None)
    images = list(dict.fromkeys(image for image in there if image.tokens is None))
    tokens: dict[ImageInput, Tensor] = {}
    for start in range(0, len(images), TOKENS_AT_ONCE):
        chosen = images[start : start + TOKENS_AT_ONCE]
        voxels = torch.stack([image.voxels for image in chosen]).to(device)
        scanned = torch.stack([image.scanned for image in chosen]).to(device)
        encoded = network.image_encoder(voxels, looked_share(scanned)).half().cpu()
        tokens |= {image: own.clone() for image, own in zip(chosen, encoded, strict=True)}
    return [
        # Each with an image of its own, since a batch holds the very same one but once.
        one if one.image is None or one.image not in tokens
        else replace(one, image=replace(one.image, tokens=tokens[one.image]))
        for one in examples
    ]  # fmt: skip

"""Whether every modality still counts: watched after each epoch, with an alarm if one does not."""

import logging
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import EvalPrediction

from pipeline.model.heads import task_logits
from pipeline.train.losses import outcome_losses
from pipeline.train.processes import is_first
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol

logger = logging.getLogger(__name__)

WORSE = 0.005
STILL = 0.05
MODALITIES = ("image", "text", "table")
PARTS = ("image_alone", "history_alone")
HEADED = ("text_alone", "table_alone")
"""Parts by themselves that only `training.modality_weight` teaches."""


class Monitor:
    """Judge a validation round: loss of the whole and of its parts, and what each part moves.

    Parameters
    ----------
    supervised
        Its thresholds are read anew at each call.
    """

    def __init__(self, supervised: Supervised, protocol: Protocol) -> None:
        self.supervised, self.protocol = supervised, protocol

    def __call__(self, judged: EvalPrediction) -> dict[str, float]:
        """Return the outcomes' loss and the rest by name; log it, and warn where fusion fails."""
        names = ("logits", *PARTS, *HEADED, *MODALITIES)
        values = dict(zip(names, judged.predictions, strict=True))
        labels = np.asarray(judged.label_ids)
        taught = HEADED if self.protocol.training.modality_weight else ()
        losses = {name: self._losses(values[name], labels) for name in ("logits", *PARTS, *taught)}
        tasks = self.protocol.tasks
        found: dict[str, float] = {"outcome_loss": float(np.mean(losses["logits"]))}
        for number, (task, own) in enumerate(zip(tasks, task_logits(tasks), strict=True)):
            found |= {f"{name}_{task.name}": float(losses[name][number]) for name in losses}
            moved = {name: float(values[name][:, own].std(0).mean()) for name in MODALITIES}
            found |= {f"{name}_moves_{task.name}": moved[name] for name in MODALITIES}
            if is_first() and self._is_watched():
                _alarm(task.name, {name: losses[name][number] for name in losses}, moved)
        if is_first():
            logger.info("validation: %s", ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
        return found

    def _is_watched(self) -> bool:
        """Say whether parts could fail each other: not where one is never read."""
        alone = ("image_only", "history_only")
        return not self.supervised.image_only and self.protocol.model.fusion not in alone

    def _losses(self, logits: NDArray[np.float32], labels: NDArray[np.float32]) -> list[float]:
        with torch.inference_mode():
            losses = outcome_losses(
                torch.from_numpy(logits).float(),
                self.supervised.network.cuts().float().cpu(),
                torch.from_numpy(labels).float(),
                self.protocol.tasks,
            )
        return [float(loss) for loss in losses]


def _alarm(task: str, losses: Mapping[str, float], moved: Mapping[str, float]) -> None:
    """Warn where the whole is worse than a part, or a part that knows something moves nothing."""
    parts = {name: loss for name, loss in losses.items() if name != "logits"}
    best = min(parts, key=lambda name: parts[name])
    if not losses["logits"] <= parts[best] + WORSE:
        logger.warning(
            "task %s: image and history together (loss %.3f) do worse than %s (loss %.3f)",
            task, losses["logits"], best.replace("_", " "), parts[best],
        )  # fmt: skip
    for name, far in moved.items():
        if not far >= STILL:
            logger.warning("task %s: the %s moves the logit by %.3f only", task, name, far)

"""What the training of one network keeps on disk, so that a killed one can go on."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.files import make_folder, whole_file
from pipeline.train.cases import Phase
from pipeline.train.processes import is_first, processes

logger = logging.getLogger(__name__)

Tell = Callable[[str], None]


def quietly(_sentence: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Work:
    """Where the training of one network keeps its checkpoints.

    Parameters
    ----------
    folder
        Its own.
    tell
        Called with a sentence where it goes on from what an earlier run left.
    curves
        Folder of its training curves for TensorBoard; None draws none.
    """

    folder: Path
    tell: Tell = quietly
    curves: Path | None = None

    def member(self, seed: int) -> "Work":
        """Return where the member of an ensemble with this seed keeps its own."""
        curves = None if self.curves is None else self.curves / f"member_{seed}"
        return replace(self, folder=self.folder / f"member_{seed}", curves=curves)

    def checkpoints(self, phase: Phase) -> Path:
        """Return the folder of a phase's checkpoints."""
        return self.folder / phase

    def finish(self, phase: Phase, network: torch.nn.Module) -> None:
        """Keep a phase's outcome; its checkpoints are then needed no more."""
        state = network.state_dict()
        if is_first():
            make_folder(self.folder)
            with whole_file(self._outcome(phase)) as path:
                save_file({name: value.contiguous().cpu() for name, value in state.items()}, path)
        processes().wait_for_everyone()
        if is_first():
            shutil.rmtree(self.checkpoints(phase), ignore_errors=True)

    def was_finished(self, phase: Phase, network: torch.nn.Module) -> bool:
        """Say whether an earlier run finished a phase; load what came of it into the network."""
        if not self._outcome(phase).is_file():
            return False
        try:
            network.load_state_dict(load_file(self._outcome(phase)))
        except (SafetensorError, RuntimeError):
            logger.warning("%s is damaged: this phase is trained anew", self._outcome(phase))
            return False
        self.tell(f"going on: the {phase} phase was finished before")
        return True

    def _outcome(self, phase: Phase) -> Path:
        return self.folder / f"{phase}.safetensors"


class _Control(BaseModel):
    should_training_stop: bool


class _Controls(BaseModel):
    args: _Control


class _Callbacks(BaseModel):
    TrainerControl: _Controls


class _State(BaseModel):
    """What the Trainer writes last into a checkpoint, as far as it is needed here."""

    best_model_checkpoint: Path
    stateful_callbacks: _Callbacks


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written whole, and remove what followed it.

    None if there is none, or if the best one, to which its state points, is not there.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in reversed(found):
        state = _state(path)
        if state is not None and state.best_model_checkpoint in found:
            return path
        shutil.rmtree(path)
    return None


def best_if_stopped(checkpoint: Path) -> Path | None:
    """Return the weights of the best epoch if the training had come to its end, else None."""
    state = _state(checkpoint)
    if state is None or not state.stateful_callbacks.TrainerControl.args.should_training_stop:
        return None
    return state.best_model_checkpoint / "model.safetensors"


def _state(checkpoint: Path) -> _State | None:
    try:
        return _State.model_validate_json((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValidationError):
        return None

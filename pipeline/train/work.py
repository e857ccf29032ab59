"""The folder beside a bundle in which its training keeps its checkpoints until it is written."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from pipeline.code_version import code_sha256
from pipeline.errors import UsageError
from pipeline.files import LOCK, file_sha256, make_folder, only_run, write_text
from pipeline.model.text_encoder import TextEncoder
from pipeline.train.beside import is_worth_it
from pipeline.train.checkpoints import Tell, Work, quietly
from pipeline.train.examples import Example
from pipeline.train.processes import is_first, n_processes, processes
from pipeline.train.splits import Part
from schemas.protocol import Protocol

LIBRARIES = ("torch", "transformers", "accelerate", "monai", "numpy")
KEY = "key"


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a training keeps beside its bundle, and whom it tells.

    Parameters
    ----------
    curves
        Folder of training curves for TensorBoard; None draws none.
    tell
        Called with a sentence where it goes on from what an earlier training left, and about
        weights that it starts from.
    """

    curves: Path | None = None
    tell: Tell = quietly


@contextmanager
def work_beside(out: Path, key: str, keeping: Keeping) -> Iterator[Work]:
    """Give the folder in which the training of the bundle ``out`` keeps its checkpoints.

    What an earlier run left there is kept if its key is the same, else removed. Of several
    processes the first sees to that.

    Parameters
    ----------
    key
        Of all that decides what is learned; see :func:`training_key`.

    Raises
    ------
    UsageError
        If another training uses the folder, or it holds anything else.
    """
    folder = work_folder(out)
    if not is_first():
        processes().wait_for_everyone()
        yield Work(folder)
        return
    make_folder(folder)
    with only_run(folder, "another training"):
        _clear_unless(folder, key, keeping.tell)
        processes().wait_for_everyone()
        yield Work(folder, keeping.tell, keeping.curves)


def work_folder(out: Path) -> Path:
    """Return where the training of a bundle keeps its checkpoints."""
    return (out.parent / f"{out.name}.training").absolute()


def remove_work(out: Path) -> None:
    """Remove the checkpoints of a training that is done."""
    shutil.rmtree(work_folder(out), ignore_errors=True)


def _clear_unless(folder: Path, key: str, tell: Tell) -> None:
    """Remove what a training of another key left, and put this one's key there."""
    others = [path for path in folder.iterdir() if path.name != LOCK]
    found = folder / KEY
    if others and not found.is_file():
        msg = f"{folder} holds something else than the checkpoints of a training: move it away"
        raise UsageError(msg)
    if others and found.read_text(encoding="utf-8") == key:
        return
    if others:
        tell("a training with other cases, protocol or code was begun here: starting afresh")
    for path in others:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_text(found, key)


def training_key(
    parts: Mapping[Part, Sequence[Example]], protocol: Protocol, encoder: TextEncoder
) -> str:
    """Hash all that decides what is learned: cases, protocol, weights, code, libraries, machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    started_from = protocol.model.image_weights
    decides = [
        protocol.trained_sha256(), encoder.sha256, code_sha256(), device,
        file_sha256(Path(started_from)) if started_from else "",
        n_processes(), is_worth_it(protocol.training.ensemble),
        {name: version(name) for name in LIBRARIES},
        {part: [_sha256(example) for example in parts[part]] for part in ("train", "validation")},
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _sha256(example: Example) -> str:
    """Hash all of a case that a network learns from."""
    digest = hashlib.sha256(f"{example.study_uid}\0{example.patient_id}\0".encode())
    digest.update(example.history.model_dump_json().encode())
    arrays = [example.labels, example.masks]
    if example.image is not None:
        arrays += [example.image.voxels.numpy(), example.image.scanned.numpy()]
    if example.text is not None:
        arrays += [example.text.features.numpy(), example.text.kinds.numpy()]
        arrays += [example.text.age_days.numpy(), example.text.flags.numpy()]
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

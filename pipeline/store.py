"""Tensors on disk under the hash of all that decides them, so that nothing there is ever stale."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.files import require_writable, whole_file

logger = logging.getLogger(__name__)

PRIVATE = 0o700


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Tensors, and what else is to be known of them.

    Parameters
    ----------
    facts
        Anything that JSON can say.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, object]


@dataclass(slots=True, eq=False)
class Store:
    """A folder of such files, each under the hash of its key; nobody else may read it.

    A file that is damaged counts as absent, and where no more can be written the work goes on
    without; the first of such faults is warned about.
    """

    folder: Path
    _has_warned: bool = field(default=False, init=False)

    def get(self, key: object) -> Kept | None:
        """Return what was kept under a key; None if there is nothing, or it is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                told = file.metadata() or {}
            if told.get("sha256") == _sha256(tensors, told["facts"]):
                return Kept(tensors, json.loads(told["facts"]))
        except (OSError, SafetensorError, ValueError, KeyError):
            pass
        self._warn(f"{path} is damaged; what it held is made anew")
        return None

    def put(self, key: object, kept: Kept) -> None:
        """Keep tensors under a key, whole or not at all."""
        path, facts = self._path(key), json.dumps(kept.facts)
        tensors = {name: tensor.contiguous() for name, tensor in kept.tensors.items()}
        about = {"facts": facts, "sha256": _sha256(tensors, facts)}
        try:
            path.parent.mkdir(exist_ok=True)
            with whole_file(path) as temporary:
                save_file(tensors, temporary, metadata=about)
        except (OSError, SafetensorError) as error:
            self._warn(f"cannot write to {self.folder} ({error}); what is made is not kept there")

    def _path(self, key: object) -> Path:
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _warn(self, message: str) -> None:
        if not self._has_warned:
            logger.warning("%s", message)
        self._has_warned = True


def open_store(folder: Path) -> Store:
    """Return the store in a folder, which is made if it is not there.

    Raises
    ------
    UsageError
        If the folder cannot be written to.
    """
    require_writable(folder)
    folder.chmod(PRIVATE)
    return Store(folder)


def _sha256(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        digest.update(f"\0{name}\0{array.dtype}{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

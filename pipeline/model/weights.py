"""Weights that others trained, into an encoder of ours, or not at all."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import CheckpointError

MIN_SHARE = 0.95
_PREFIXES = ("module.", "state_dict.", "model.", "backbone.", "encoder.", "swinViT.", "features.")
_RENAMED = ((".mlp.fc", ".mlp.linear"),)
_COUNTERS = "num_batches_tracked"


def load_encoder_weights(encoder: nn.Module, path: str) -> float:
    """Load a safetensors file into an encoder.

    Names are compared without the prefixes that training code puts before them, as MedicalNet's
    and SwinUNETR's self-supervised weights have them. Weights of parts that the encoder lacks
    (deeper stages, heads) are left out.

    Parameters
    ----------
    encoder
        Changed in place, but not if the load is refused.
    path
        A safetensors file. Pickled files (.pth, .pt) are not read.

    Returns
    -------
    float
        Share of the encoder's weights that were found with their shape.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or fewer than ``MIN_SHARE`` of the weights are found.
    """
    given = {_plain(name): value for name, value in _read(Path(path)).items()}
    state = encoder.state_dict()
    wanted = {name: _plain(name) for name in state if not name.endswith(_COUNTERS)}
    found: dict[str, Tensor] = {
        name: given[plain]
        for name, plain in wanted.items()
        if plain in given and given[plain].shape == state[name].shape
    }
    share = len(found) / len(wanted)
    if not share >= MIN_SHARE:
        missing = sorted(name for name in wanted if name not in found)
        msg = (
            f"image weights {path}: {share:.0%} of the encoder's {len(wanted)} weights were found "
            f"in their shape, at least {MIN_SHARE:.0%} are needed; {', '.join(missing[:3])} was "
            "not: choose the image_encoder and image_channels that the file was trained with"
        )
        raise CheckpointError(msg)
    with torch.no_grad():
        for name, value in found.items():
            state[name].copy_(value)
    return share


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors" or not path.is_file():
        msg = f"image weights {path}: must be a safetensors file (pickles are not read)"
        raise CheckpointError(msg)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"image weights {path}: not a readable safetensors file"
        raise CheckpointError(msg) from error


def _plain(name: str) -> str:
    prefix: str | None = ""
    while prefix is not None:
        name = name.removeprefix(prefix)
        prefix = next((known for known in _PREFIXES if name.startswith(known)), None)
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return name

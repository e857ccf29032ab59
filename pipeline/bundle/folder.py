"""A bundle as one folder in MONAI's bundle layout: safetensors and JSON, no pickle."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from pipeline.bundle.bundle import Bundle, bundle_identity
from pipeline.bundle.metadata import monai_metadata
from pipeline.calibration import Reference, Space
from pipeline.errors import CheckpointError, UsageError
from pipeline.files import file_sha256
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import (
    load_text_encoder,
    load_tuned_text_encoder,
    save_text_encoder,
)
from pipeline.preprocess import TableTransform
from pipeline.protocol import read_protocol
from schemas.base import FrozenModel
from schemas.bundle import BundleManifest
from schemas.calibration import AnyCalibrator
from schemas.leaks import LeakReport
from schemas.maps import MapProofs
from schemas.metrics import AnyMetrics
from schemas.protocol import Protocol
from schemas.splits import SplitRecord

MANIFEST = "manifest.json"
PROTOCOL = "configs/protocol.yaml"
METADATA = "configs/metadata.json"
TABLE = "configs/table.json"
CALIBRATORS = "configs/calibrators.json"
METRICS = "configs/metrics.json"
SPLITS = "configs/splits.json"
LEAKS = "configs/leaks.json"
MAPS = "configs/maps.json"
WEIGHTS = "models/model.safetensors"
TEXT = "models/text"
REFERENCE = "models/reference.safetensors"
CARD = "docs/README.md"

_CALIBRATORS = TypeAdapter(tuple[AnyCalibrator, ...])
_METRICS = TypeAdapter(tuple[AnyMetrics, ...])


def save_bundle(
    folder: Path, bundle: Bundle, card: str, records: Mapping[str, FrozenModel]
) -> None:
    """Write a bundle's files into an empty folder, the manifest last.

    Parameters
    ----------
    card
        Model card, Markdown.
    records
        How it was made, by file name: the split, and what the leak guard saw.
    """
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir()
    protocol = bundle.protocol.model_dump(mode="json")
    _write(folder / PROTOCOL, yaml.safe_dump(protocol, sort_keys=False, allow_unicode=True))
    _write(folder / METADATA, json.dumps(monai_metadata(bundle), indent=1) + "\n")
    _write(folder / TABLE, bundle.table_transform.model_dump_json(indent=1) + "\n")
    _write(folder / CALIBRATORS, _CALIBRATORS.dump_json(bundle.calibrators, indent=1).decode())
    _write(folder / METRICS, _METRICS.dump_json(bundle.metrics, indent=1).decode())
    _write(folder / CARD, card)
    if bundle.maps is not None:
        _write(folder / MAPS, bundle.maps.model_dump_json(indent=1) + "\n")
    for name, record in records.items():
        _write(folder / name, record.model_dump_json(indent=1) + "\n")
    for number, network in enumerate(bundle.networks):
        weights = {name: value.cpu() for name, value in network.state_dict().items()}
        save_file(weights, folder / weights_file(number))
    if bundle.protocol.changes_text:
        save_text_encoder(bundle.text_encoder, folder / TEXT)
    save_arrays(_arrays(bundle.reference), folder / REFERENCE)
    history = bundle.reference.history
    manifest = BundleManifest(
        synopt_version=version("synopt"),
        text_encoder=bundle.text_encoder.name,
        text_sha256=bundle.text_encoder.sha256,
        n_train=bundle.identity.n_train,
        distance_limit=bundle.reference.image.limit,
        history_limit=None if history is None else history.limit,
        history_of=bundle.reference.history_of,
        ranges=bundle.reference.ranges,
        scanners=bundle.reference.scanners,
        body_parts=bundle.reference.body_parts,
        files=_hashes(folder),
    )
    _write(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")


def split_of(folder: Path) -> SplitRecord:
    """Return who was where when a bundle was made."""
    return SplitRecord.model_validate_json(_read(folder / SPLITS))


def making_of(folder: Path) -> Mapping[str, FrozenModel]:
    """Return what a bundle keeps of its making, by file name."""
    return {
        SPLITS: split_of(folder),
        LEAKS: LeakReport.model_validate_json(_read(folder / LEAKS)),
    }


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every file against its manifest.

    Raises
    ------
    UsageError
        If the folder does not exist or is no bundle.
    CheckpointError
        If a file is missing, altered or unreadable, or the weights do not fit the protocol.
    """
    if not (folder / MANIFEST).is_file():
        msg = f"{folder} is not a bundle: it has no {MANIFEST}"
        raise UsageError(msg)
    try:
        return _load(folder)
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        msg = f"the bundle {folder} cannot be read: train it again with this version"
        raise CheckpointError(msg) from error


def _load(folder: Path) -> Bundle:
    manifest = BundleManifest.model_validate_json(_read(folder / MANIFEST))
    _check_files(folder, manifest)
    protocol = read_protocol(folder / PROTOCOL)
    settings = protocol.model.model_copy(
        update={"text_encoder": manifest.text_encoder, "text_sha256": manifest.text_sha256}
    )
    if protocol.changes_text:
        encoder = load_tuned_text_encoder(settings, folder / TEXT)
    else:
        encoder = load_text_encoder(settings)
    transform = TableTransform.model_validate_json(_read(folder / TABLE))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = tuple(
        _load_network(folder / weights_file(number), protocol, transform).to(device)
        for number in range(protocol.training.ensemble)
    )
    torch.nn.Module.to(encoder.bert, device)
    return Bundle(
        protocol=protocol,
        networks=networks,
        text_encoder=encoder,
        table_transform=transform,
        calibrators=_CALIBRATORS.validate_json(_read(folder / CALIBRATORS)),
        reference=_reference(load_arrays(folder / REFERENCE), manifest),
        metrics=_METRICS.validate_json(_read(folder / METRICS)),
        identity=bundle_identity(
            protocol, encoder, manifest.n_train, file_sha256(folder / MANIFEST)
        ),
        maps=_maps(folder / MAPS),
    )


def _arrays(reference: Reference) -> dict[str, NDArray[np.float64]]:
    arrays = {"mean": reference.image.mean, "precision": reference.image.precision}
    if reference.history is not None:
        arrays["history_mean"] = reference.history.mean
        arrays["history_precision"] = reference.history.precision
    return {name: np.ascontiguousarray(value, dtype=np.float64) for name, value in arrays.items()}


def _reference(arrays: Mapping[str, NDArray[np.float64]], manifest: BundleManifest) -> Reference:
    history = None
    if manifest.history_limit is not None:
        history = Space(
            arrays["history_mean"], arrays["history_precision"], manifest.history_limit
        )  # fmt: skip
    return Reference(
        image=Space(arrays["mean"], arrays["precision"], manifest.distance_limit),
        history=history,
        ranges=manifest.ranges,
        history_of=manifest.history_of,
        scanners=manifest.scanners,
        body_parts=manifest.body_parts,
    )


def _maps(path: Path) -> MapProofs | None:
    return MapProofs.model_validate_json(_read(path)) if path.is_file() else None


def _load_network(path: Path, protocol: Protocol, transform: TableTransform) -> FusedNetwork:
    weights = load_file(path)
    network = FusedNetwork(
        protocol,
        transform.width,
        weights["questions"],
        text_mean=weights["text.mean"],
        text_scale=weights["text.scale"],
    )
    network.load_state_dict(weights)
    return network.eval().requires_grad_(requires_grad=False)


def weights_file(number: int) -> str:
    """Return where a member's weights lie in the bundle, by its number from 0."""
    return WEIGHTS if number == 0 else f"models/model_{number}.safetensors"


def _check_files(folder: Path, manifest: BundleManifest) -> None:
    found = _hashes(folder)
    wrong = sorted(
        name for name in manifest.files.keys() | found.keys()
        if manifest.files.get(name) != found.get(name)
    )  # fmt: skip
    if wrong:
        msg = f"the bundle {folder} was altered: {', '.join(wrong[:5])} differs from its manifest"
        raise CheckpointError(msg)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_sha256(path) for name, path in named.items() if name != MANIFEST}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")

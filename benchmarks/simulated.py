"""Simulated examples for training benchmarks, kept on disk so that a second run draws nothing."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from platformdirs import user_cache_path

from pipeline.geometry import Geometry
from pipeline.history import history_at
from pipeline.inputs import quantities, read_image, read_notes
from pipeline.model.image_encoder import STRIDE
from pipeline.model.text_encoder import TextEncoder
from pipeline.phantom import WORLDS, Design
from pipeline.phantom.benchmark import BenchmarkCase, draw_benchmark, memory_records
from pipeline.phantom.patient import Patient, draw_patient
from pipeline.phantom.records import Records
from pipeline.phantom.world import Family
from pipeline.progress import Progress
from pipeline.tensors import ImageInput, Sentence, TextInput
from pipeline.train.annotations import mask_tokens
from pipeline.train.examples import Example
from schemas.history import History
from schemas.protocol import Protocol

DRAWN_BY = (
    "phantom", "history", "preprocess", "sentences.py", "flags.py", "inputs.py", "volume.py",
    "geometry.py", "tensors.py", "case.py", "model/text_encoder.py", "train/annotations.py",
)  # fmt: skip
AT_ONCE = 250


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A case for training or for testing, with the truth, which is for scoring alone."""

    example: Example
    true: NDArray[np.float64]
    """True probability of each task, shape (K,)."""
    observable: NDArray[np.float64]
    """The same given only what is recorded, shape (K,)."""
    outcomes: NDArray[np.float64]
    """What came of it, shape (K,)."""
    has_finding: bool
    """Whether the patient has the finding, seen or not."""


def design_for(protocol: Protocol, *, seed: int, family: Family = "a") -> Design:
    """Return the patients about whom a protocol may ask: those of the world of its modality."""
    modality = protocol.series[0].modality
    world = next(world for world in WORLDS.values() if world.modality == modality)
    return Design(world=world, seed=seed, family=family)


def simulated(
    design: Design, protocol: Protocol, encoder: TextEncoder, n: int, *, progress: Progress
) -> list[Simulated]:
    """Draw cases, or read those that an earlier run drew in the same way.

    Parameters
    ----------
    design
        World, seed, strength of the interaction, family.
    n
        How many, from number 0.
    """
    folder = user_cache_path("synopt") / "simulated" / _key(design, protocol, encoder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{chunk:04d}.npz" for chunk in range(math.ceil(n / AT_ONCE))]
    missing = [chunk for chunk, path in enumerate(paths) if not path.is_file()]
    most = min(len(missing), len(os.sched_getaffinity(0))) or 1
    with ProcessPoolExecutor(most, get_context("spawn")) as pool:
        jobs = [
            pool.submit(_draw, design, protocol, encoder, chunk, paths[chunk]) for chunk in missing
        ]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            progress("simulating", done, len(jobs))
    cases: list[Simulated] = []
    for path in paths:
        cases += _load(path, protocol)
        progress("reading what was simulated", min(len(cases), n), n)
    return [_scanned(case, design, number) for number, case in enumerate(cases[:n])]


def with_some_masks(cases: Sequence[Example], share: float, *, seed: int) -> list[Example]:
    """Hide the masks of all but a share of the cases, as if nobody had drawn them."""
    hidden = np.random.default_rng(seed).random(len(cases)) >= share
    return [
        replace(case, masks=np.full_like(case.masks, np.nan)) if hide else case
        for case, hide in zip(cases, hidden, strict=True)
    ]


def retold(
    case: Simulated, records: Records, patient: Patient, protocol: Protocol, encoder: TextEncoder
) -> Example:
    """Return a patient's example as if these had been the records."""
    history = history_at(
        memory_records([records], protocol), patient.patient_id, patient.scanned_at, protocol
    )
    return replace(case.example, history=history, text=read_notes(history, encoder))


def _draw(design: Design, protocol: Protocol, encoder: TextEncoder, chunk: int, path: Path) -> None:
    """Draw and keep the cases of one file, in a process of its own."""
    torch.set_num_threads(1)
    numbers = range(chunk * AT_ONCE, (chunk + 1) * AT_ONCE)
    drawn = draw_benchmark(design, protocol, numbers)
    _save(path, [_simulate(case, protocol, encoder) for case in drawn])


def _scanned(case: Simulated, design: Design, number: int) -> Simulated:
    """Name scanner and body part, as a header would, of a case that has an image."""
    if case.example.image is None:
        return case
    site = draw_patient(design, number).site
    named = replace(
        case.example,
        scanner=f"{site.manufacturer} {site.model_name}",
        body_parts=(design.world.body_part,),
    )
    return replace(case, example=named)


def _key(design: Design, protocol: Protocol, encoder: TextEncoder) -> str:
    """Hash everything that decides the cases, the code that draws them included."""
    root = Path(__file__).parent.parent / "pipeline"
    files = [path for name in DRAWN_BY for path in sorted((root / name).rglob("*.py"))]
    files += [root / name for name in DRAWN_BY if name.endswith(".py")]
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    read = protocol.model_dump(mode="json", include={
        "series", "grid", "intensity", "look_back_days", "table", "notes", "concepts", "tasks",
    })  # fmt: skip
    drawn = [design.world.name, design.seed, design.interaction, design.family]
    reader = [encoder.sha256, encoder.max_tokens, encoder.pooling]
    text = json.dumps([drawn, read, *reader, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _simulate(case: BenchmarkCase, protocol: Protocol, encoder: TextEncoder) -> Simulated:
    image = read_image(case.case, protocol)
    volume = case.case.volumes.get(protocol.series[0].name)
    size = tuple(count // STRIDE for count in protocol.grid.size[::-1])
    masks = np.full((len(protocol.tasks), *size), np.nan, dtype=np.float32)
    if image is not None and volume is not None and case.mask is not None:
        masks[:] = mask_tokens(case.mask, volume.geometry, image.grid)
    names = [task.name for task in protocol.tasks]
    known = [case.labels[name] for name in names]
    return Simulated(
        example=Example(
            study_uid=case.case.study_uid,
            patient_id=case.patient_id,
            fingerprints=(),
            image=image,
            text=read_notes(case.case.history, encoder),
            history=case.case.history,
            labels=np.array([np.nan if label is None else label for label in known], np.float32),
            masks=masks,
            quantities=quantities(volume, image, case.case.history),
        ),
        true=np.array([case.true[name] for name in names]),
        observable=np.array([case.observable[name] for name in names]),
        outcomes=np.array([float(case.outcomes[name]) for name in names]),
        has_finding=case.facts[f"has_{case.finding}"] > 0,
    )


def _save(path: Path, cases: Sequence[Simulated]) -> None:
    arrays: dict[str, NDArray[np.generic]] = {
        "histories": np.array([case.example.history.model_dump_json() for case in cases]),
        "named": np.array([
            json.dumps([case.example.study_uid, case.example.patient_id,
                        dict(case.example.quantities)]) for case in cases
        ]),
        "has_finding": np.array([case.has_finding for case in cases]),
    }  # fmt: skip
    for name in ("true", "observable", "outcomes"):
        arrays[name] = np.stack([getattr(case, name) for case in cases])
    for name in ("labels", "masks"):
        arrays[name] = np.stack([getattr(case.example, name) for case in cases])
    for number, case in enumerate(cases):
        if (image := case.example.image) is not None:
            arrays[f"voxels_{number}"] = image.voxels.half().numpy()
            arrays[f"scanned_{number}"] = np.packbits(image.scanned.numpy())
            arrays[f"affine_{number}"] = image.grid.affine
        if (text := case.example.text) is not None:
            arrays[f"text_{number}"] = text.features.half().numpy()
            arrays[f"kinds_{number}"] = text.kinds.half().numpy()
            arrays[f"ages_{number}"] = text.age_days.numpy()
            arrays[f"flags_{number}"] = text.flags.bool().numpy()
            arrays[f"sentences_{number}"] = np.array([
                json.dumps([sentence.written_at.isoformat(), sentence.kind, sentence.text])
                for sentence in text.sentences
            ])  # fmt: skip
    part = path.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **arrays)
    part.rename(path)


def _load(path: Path, protocol: Protocol) -> list[Simulated]:
    with np.load(path, allow_pickle=False) as arrays:
        return [_case(arrays, number, protocol) for number in range(len(arrays["true"]))]


def _case(arrays: Mapping[str, NDArray[np.generic]], number: int, protocol: Protocol) -> Simulated:
    study_uid, patient_id, measured = json.loads(str(arrays["named"][number]))
    return Simulated(
        example=Example(
            study_uid=study_uid,
            patient_id=patient_id,
            fingerprints=(),
            image=_image(arrays, number, protocol),
            text=_text(arrays, number),
            history=History.model_validate_json(str(arrays["histories"][number])),
            labels=arrays["labels"][number].astype(np.float32),
            masks=arrays["masks"][number].astype(np.float32),
            quantities=measured,
        ),
        true=arrays["true"][number].astype(np.float64),
        observable=arrays["observable"][number].astype(np.float64),
        outcomes=arrays["outcomes"][number].astype(np.float64),
        has_finding=bool(arrays["has_finding"][number]),
    )


def _image(
    arrays: Mapping[str, NDArray[np.generic]], number: int, protocol: Protocol
) -> ImageInput | None:
    if f"voxels_{number}" not in arrays:
        return None
    shape = (len(protocol.series), *protocol.grid.size[::-1])
    scanned = np.unpackbits(arrays[f"scanned_{number}"].astype(np.uint8), count=math.prod(shape))
    return ImageInput(
        voxels=torch.from_numpy(arrays[f"voxels_{number}"].astype(np.float32)),
        scanned=torch.from_numpy(scanned.astype(bool).reshape(shape)),
        grid=Geometry(arrays[f"affine_{number}"].astype(np.float64), shape[1:]),
    )


def _text(arrays: Mapping[str, NDArray[np.generic]], number: int) -> TextInput | None:
    if f"text_{number}" not in arrays:
        return None
    told = [json.loads(str(sentence)) for sentence in arrays[f"sentences_{number}"]]
    return TextInput(
        features=torch.from_numpy(arrays[f"text_{number}"].astype(np.float32)),
        kinds=torch.from_numpy(arrays[f"kinds_{number}"].astype(np.float32)),
        age_days=torch.from_numpy(arrays[f"ages_{number}"].astype(np.float32)),
        flags=torch.from_numpy(arrays[f"flags_{number}"].astype(np.float32)),
        sentences=tuple(
            Sentence(datetime.fromisoformat(written_at), kind, text)
            for written_at, kind, text in told
        ),
    )

"""One study's image explained by another method than the network's own parts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.bundle import Bundle
from pipeline.case_answer import step_answers
from pipeline.cohort import Cohort, read_case
from pipeline.errors import UsageError
from pipeline.explain import heatmaps_of
from pipeline.explain.agreement import agreement
from pipeline.explain.attention import raw_attention
from pipeline.explain.explainers import Array, ImageScore, Place, explain
from pipeline.files import whole_folder, write_text
from pipeline.inputs import main_volume, model_input
from pipeline.model.image_encoder import looked_share, token_mask
from pipeline.model.network import FusedNetwork
from pipeline.nifti import save_nifti
from pipeline.progress import Progress, silent
from pipeline.shown import Shown, shown_of
from pipeline.tensors import Batch, ImageInput, ModelInput, ModelOutput
from pipeline.volume import Volume
from schemas.explanation import ExplainMethod, Explanation, TaskExplanation
from schemas.issue import Severity, has_errors

NAME = "explanation.json"
RAW_ATTENTION = "raw_attention.nii.gz"


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A study as the bundle reads it, and what it says of it."""

    inputs: ModelInput
    image: ImageInput
    volume: Volume
    shown: Shown
    output: ModelOutput
    """With one logit a task."""

    @property
    def place(self) -> Place:
        usable = token_mask(self.image.scanned[None])[0].numpy()
        return Place(self.image, self.output.token_grid, usable)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a method says of each image token.

    Parameters
    ----------
    tokens : shape (K, N)
    files
        Name of each task's map; tasks that share a map share its name.
    """

    tokens: Array
    files: tuple[str, ...]
    null_share: float | None = None


def explain_study(
    cohort: Cohort,
    bundle: Bundle,
    study_uid: str,
    method: ExplainMethod,
    out: Path,
    *,
    progress: Progress = silent,
) -> Explanation:
    """Explain one study, and write a map a task and how far each agrees with the report's own.

    Parameters
    ----------
    cohort
        Opened with the bundle's protocol.
    out
        A new folder.

    Raises
    ------
    UsageError
        If the cohort has no such study, it cannot be assessed or has no image to explain,
        ``out`` is not empty, or there is no attention to show.
    GeometryError
        If the scanner's slices lie too far apart to show a map.
    """
    with whole_folder(out) as folder:
        read = _read(cohort, bundle, study_uid)
        found = _found(read, method, progress)
        explanation = Explanation(
            study_uid=study_uid, method=method, null_share=found.null_share,
            bundle=bundle.identity, tasks=_tasks(read, found),
        )  # fmt: skip
        _save_maps(folder, read, found)
        write_text(folder / NAME, explanation.model_dump_json(indent=2) + "\n")
    return explanation


def _read(cohort: Cohort, bundle: Bundle, study_uid: str) -> _Read:
    study = next((one for one in cohort.inventory.studies if one.study_uid == study_uid), None)
    if study is None:
        msg = f"the cohort has no study {study_uid}: name one of index.html by its full UID"
        raise UsageError(msg)
    case = read_case(cohort, study)
    if has_errors(case.issues):
        codes = {one.code.value for one in case.issues if one.severity is Severity.ERROR}
        msg = f"the study cannot be assessed ({', '.join(sorted(codes))}), so there is no answer"
        raise UsageError(msg)
    inputs = model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
    volume = main_volume(case, bundle.protocol)
    if inputs.image is None or volume is None:
        msg = "the study has no image that the protocol asks for, so there is nothing to explain"
        raise UsageError(msg)
    output = bundle.predict([inputs])
    shown = shown_of(bundle, step_answers(bundle, output, inputs))
    return _Read(inputs, inputs.image, volume, shown, shown.contrasted(output))


def _found(read: _Read, method: ExplainMethod, progress: Progress) -> _Found:
    tasks = read.shown.bundle.protocol.tasks
    if method == "attention":
        looked = raw_attention(read.output, read.inputs)
        shared = np.tile(looked.weights, (len(tasks), 1))
        return _Found(shared, (RAW_ATTENTION,) * len(tasks), looked.null_share)
    networks = [_score_of(network, read) for network in read.shown.bundle.networks]
    tokens = explain(method, networks, read.place, progress)
    return _Found(tokens, tuple(f"{method}_{task.name}.nii.gz" for task in tasks))


def _score_of(network: FusedNetwork, read: _Read) -> ImageScore:
    """Return one network's logits as a function of the image."""
    batch = read.shown.bundle.batch([read.inputs])
    looked = looked_share(batch["scanned"])

    def encode(voxels: Tensor) -> Tensor:
        tokens: Tensor = network.image_encoder(voxels.to(looked.device), looked)
        return tokens

    def answer(tokens: Tensor) -> Tensor:
        encoded: Batch = {**batch, "tokens": tokens}
        return read.shown.contrasted(network(encoded)).logits[0]

    return ImageScore(encode, answer)


def _tasks(read: _Read, found: _Found) -> tuple[TaskExplanation, ...]:
    """Say of each task's map what it holds and how far it agrees with the network's own parts."""
    told, usable = [], read.place.usable
    for number, task in enumerate(read.shown.bundle.protocol.tasks):
        own = read.output.image[0, number].double().cpu().numpy()
        tokens, grid = found.tokens[number], read.image.grid
        alike = agreement(tokens, own, usable, read.output.token_grid, grid)
        told.append(
            TaskExplanation(
                task=task.name, file=found.files[number],
                logit=float(read.output.logits[0, number]), sum=float(tokens.sum()),
                image=float(own.sum()), rank_correlation=alike.rank_correlation,
                peak_mm=alike.peak_mm, peak_distance_mm=alike.peak_distance_mm,
            )
        )  # fmt: skip
    return tuple(told)


def _save_maps(folder: Path, read: _Read, found: _Found) -> None:
    tokens = dict(zip(found.files, found.tokens, strict=True))
    image = torch.from_numpy(np.stack([*tokens.values()]))[None]
    other = replace(read.output, image=image, shares=None)
    grid, target = read.image.grid, read.volume.geometry
    for file, heatmap in heatmaps_of(other, tuple(tokens), read.place.usable, grid, target).items():
        save_nifti(folder / file, heatmap.array, heatmap.geometry)

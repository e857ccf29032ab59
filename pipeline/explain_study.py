"""One study's image explained by another method than the network's own parts."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pipeline.bundle import Bundle
from pipeline.case_answer import step_answers
from pipeline.cohort import Cohort, read_case
from pipeline.errors import UsageError
from pipeline.explain import heatmaps_of
from pipeline.explain.agreement import agreement
from pipeline.explain.explainers import Array, ImageScore, Method, Place, explain
from pipeline.files import whole_folder, write_text
from pipeline.inputs import main_volume, model_input
from pipeline.model.image_encoder import token_mask
from pipeline.model.network import FusedNetwork
from pipeline.nifti import save_nifti
from pipeline.progress import Progress, silent
from pipeline.shown import Shown, shown_of
from pipeline.tensors import Batch, ImageInput, ModelInput, ModelOutput
from pipeline.volume import Volume
from schemas.explanation import Explanation, TaskExplanation
from schemas.issue import Severity, has_errors

NAME = "explanation.json"


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


def explain_study(
    cohort: Cohort,
    bundle: Bundle,
    study_uid: str,
    method: Method,
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
        If the cohort has no such study, it cannot be assessed or has no image to explain, or
        ``out`` is not empty.
    GeometryError
        If the scanner's slices lie too far apart to show a map.
    """
    with whole_folder(out) as folder:
        read = _read(cohort, bundle, study_uid)
        networks = [_score_of(network, read) for network in bundle.networks]
        additions = explain(method, networks, read.place, progress)
        explanation = Explanation(
            study_uid=study_uid, method=method, bundle=bundle.identity,
            tasks=_tasks(read, method, additions),
        )  # fmt: skip
        _save_maps(folder, read, additions, explanation)
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


def _score_of(network: FusedNetwork, read: _Read) -> ImageScore:
    """Return one network's logits as a function of the image."""
    batch = read.shown.bundle.batch([read.inputs])
    scanned = batch["scanned"]

    def encode(voxels: Tensor) -> Tensor:
        tokens: Tensor = network.image_encoder(voxels.to(scanned.device), scanned)
        return tokens

    def answer(tokens: Tensor) -> Tensor:
        encoded: Batch = {**batch, "tokens": tokens}
        return read.shown.contrasted(network(encoded)).logits[0]

    return ImageScore(encode, answer)


def _tasks(read: _Read, method: Method, additions: Array) -> tuple[TaskExplanation, ...]:
    """Say of each task's map what it holds and how far it agrees with the network's own parts."""
    told, usable = [], read.place.usable
    for number, task in enumerate(read.shown.bundle.protocol.tasks):
        own = read.output.image[0, number].double().cpu().numpy()
        grid = read.image.grid
        found = agreement(additions[number], own, usable, read.output.token_grid, grid)
        told.append(
            TaskExplanation(
                task=task.name, file=f"{method}_{task.name}.nii.gz",
                logit=float(read.output.logits[0, number]), sum=float(additions[number].sum()),
                image=float(own.sum()), rank_correlation=found.rank_correlation,
                peak_mm=found.peak_mm, peak_distance_mm=found.peak_distance_mm,
            )
        )  # fmt: skip
    return tuple(told)


def _save_maps(folder: Path, read: _Read, additions: Array, explanation: Explanation) -> None:
    tasks = tuple(task.task for task in explanation.tasks)
    other = replace(read.output, image=torch.from_numpy(additions)[None])
    maps = heatmaps_of(other, tasks, read.place.usable, read.image.grid, read.volume.geometry)
    for task in explanation.tasks:
        heatmap = maps[task.task]
        save_nifti(folder / task.file, heatmap.array, heatmap.geometry)

"""Read, split, fit, calibrate, judge, keep."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.bundle import Bundle, bundle_identity, load_bundle, save_bundle
from pipeline.calibration import Reference, fit_reference, fit_temperature, judge
from pipeline.cohort import open_cohort
from pipeline.errors import UsageError
from pipeline.files import whole_folder
from pipeline.history import read_labels
from pipeline.inputs import read_notes
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import TextEncoder, encode_phrases, load_text_encoder
from pipeline.model.text_tuning import TunableText
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress, silent
from pipeline.train.card import model_card
from pipeline.train.examples import Example, read_examples
from pipeline.train.loop import fit
from pipeline.train.splits import Part
from schemas.bundle import TaskMetrics
from schemas.protocol import Protocol

MIN_CASES = 20
BATCH = 32
MIN_SCALE = 1e-6


def train_bundle(
    cohort_folder: Path, protocol: Protocol, out: Path, *, progress: Progress = silent
) -> Bundle:
    """Train on a labelled cohort and write a bundle, whole or not at all.

    Weights and the table transform are fitted on the train part, stopping on the validation part,
    calibrators on the calibration part; the test part is only judged. Parts are by patient.

    Parameters
    ----------
    cohort_folder
        A cohort folder with ``labels.csv``.
    out
        Where the bundle is put; must not exist, or be empty.

    Raises
    ------
    UsageError
        If the cohort cannot be used or is too small, or ``out`` cannot be written to.
    CalibrationError
        If a task has too few outcomes to be calibrated or judged.
    """
    with whole_folder(out) as folder:
        labels = read_labels(cohort_folder, protocol.tasks)
        cohort = open_cohort(cohort_folder, protocol, progress=progress)
        encoder = load_text_encoder(protocol.model)
        examples = read_examples(cohort, labels, encoder, progress=progress)
        parts = _divide(examples)
        transform = fit_table_transform(
            [example.history for example in parts["train"]], protocol.table, protocol.concepts
        )
        network = _new_network(protocol, encoder, transform, parts["train"])
        network = fit(network, parts["train"], parts["validation"], transform, protocol, progress)
        if network.tunable_text is not None:
            encoder = network.tunable_text.tuned(encoder)
            network.tunable_text = None
            parts = {part: _reread(cases, encoder) for part, cases in parts.items()}
        bundle = _finish(network, encoder, transform, parts, protocol)
        save_bundle(folder, bundle, model_card(bundle, _sizes(parts)))
    return load_bundle(out)


def _divide(examples: Sequence[Example]) -> dict[Part, list[Example]]:
    parts: dict[Part, list[Example]] = {
        "train": [], "validation": [], "calibration": [], "test": []
    }  # fmt: skip
    for example in examples:
        parts[example.part].append(example)
    short = [f"{part}: {len(cases)}" for part, cases in parts.items() if len(cases) < MIN_CASES]
    if short:
        msg = f"each part needs at least {MIN_CASES} cases, got {', '.join(short)}: use more"
        raise UsageError(msg)
    return parts


def _sizes(parts: dict[Part, list[Example]]) -> Counter[str]:
    return Counter({part: len(cases) for part, cases in parts.items()})


def _new_network(
    protocol: Protocol, encoder: TextEncoder, transform: TableTransform, train: Sequence[Example]
) -> FusedNetwork:
    torch.manual_seed(protocol.training.seed)
    sentences = [case.text.features for case in train if case.text is not None]
    if not sentences:
        msg = "no training case has a note: the text branch cannot be fitted"
        raise UsageError(msg)
    scale, mean = torch.std_mean(torch.cat(sentences), dim=0)
    questions = encode_phrases(encoder, [task.question for task in protocol.tasks])
    network = FusedNetwork(
        protocol, transform.width, questions, text_mean=mean, text_scale=scale.clamp(min=MIN_SCALE)
    )
    if protocol.model.image_weights:
        network.image_encoder.start_from(protocol.model.image_weights)
    if protocol.model.text_tuning != "frozen":
        network.tunable_text = TunableText(encoder, protocol.model)
    return network


def _reread(examples: Sequence[Example], encoder: TextEncoder) -> list[Example]:
    """Return the examples with their notes as a tuned text encoder reads them."""
    return [replace(example, text=read_notes(example.history, encoder)) for example in examples]


def _finish(
    network: FusedNetwork,
    encoder: TextEncoder,
    transform: TableTransform,
    parts: dict[Part, list[Example]],
    protocol: Protocol,
) -> Bundle:
    """Fit reference and calibrators and judge the result on the test part."""
    nothing = Reference(np.zeros(1), np.eye(1), np.inf, ())
    identity = bundle_identity(protocol, encoder, len(parts["train"]), sha256="")
    bundle = Bundle(protocol, network, encoder, transform, (), nothing, (), identity)
    logits, summaries = {}, {}
    for part, examples in parts.items():
        logits[part], summaries[part] = _predict(bundle, examples)
    reference = fit_reference(
        summaries["train"],
        np.concatenate([summaries["validation"], summaries["calibration"]]),
        [example.quantities for example in parts["train"]],
    )
    calibrators = tuple(
        fit_temperature(*_known(logits["calibration"], parts["calibration"], number)[:2],
                        task=task.name)
        for number, task in enumerate(protocol.tasks)
    )  # fmt: skip
    bundle = replace(bundle, reference=reference, calibrators=calibrators)
    metrics = tuple(
        _judge(bundle, number, logits["test"], parts) for number in range(len(protocol.tasks))
    )
    return replace(bundle, metrics=metrics)


def _judge(
    bundle: Bundle, number: int, logits: NDArray[np.float64], parts: dict[Part, list[Example]]
) -> TaskMetrics:
    train_labels = np.array([example.labels[number] for example in parts["train"]])
    score, labels, patients = _known(logits, parts["test"], number)
    return judge(
        bundle.calibrators[number], score, labels, patients,
        train_prevalence=float(np.nanmean(train_labels)),
    )  # fmt: skip


def _predict(
    bundle: Bundle, examples: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits, shape (n, K), and pooled features of those with an image, shape (m, C)."""
    logits, summaries = [], []
    for start in range(0, len(examples), BATCH):
        chosen = examples[start : start + BATCH]
        output = bundle.predict([case.model_input(bundle.table_transform) for case in chosen])
        logits.append(output.logits.double().cpu().numpy())
        has_image = [case.image is not None for case in chosen]
        summaries.append(output.summary.double().cpu().numpy()[has_image])
    return np.concatenate(logits), np.concatenate(summaries)


def _known(
    logits: NDArray[np.float64], examples: Sequence[Example], number: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]:
    labels = np.array([example.labels[number] for example in examples])
    patients = np.array([example.patient_id for example in examples])
    known = ~np.isnan(labels)
    return logits[known, number], labels[known].astype(np.int64), patients[known]

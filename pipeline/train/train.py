"""Read, split, fit, calibrate, judge, keep."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.bundle import Bundle, bundle_identity, load_bundle, save_bundle
from pipeline.calibration import Reference
from pipeline.cohort import open_cohort
from pipeline.errors import UsageError
from pipeline.files import whole_folder
from pipeline.history import read_labels
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import TextEncoder, encode_phrases, load_text_encoder
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress, silent
from pipeline.train.calibrate import calibrated
from pipeline.train.card import model_card
from pipeline.train.examples import Example, read_examples
from pipeline.train.loop import fit
from pipeline.train.splits import PARTS, Part
from schemas.protocol import Protocol

MIN_CASES = 20
MIN_SCALE = 1e-6


def train_bundle(
    cohort_folder: Path, protocol: Protocol, out: Path, *, progress: Progress = silent
) -> Bundle:
    """Train on a labelled cohort and write a bundle, whole or not at all.

    Weights and the table transform are fitted on the train part, stopping on the validation part,
    calibration maps on the calibration part, thresholds on the conformal part; the test part is
    only judged. Parts are by patient.

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
            [example.history for example in parts["train"]], protocol.table
        )
        network = _new_network(protocol, encoder, transform, parts["train"])
        network = fit(network, parts["train"], parts["validation"], transform, protocol, progress)
        bundle = _uncalibrated(network, encoder, transform, protocol, len(parts["train"]))
        bundle = calibrated(bundle, parts, progress=progress)
        save_bundle(folder, bundle, model_card(bundle, _sizes(parts)))
    return load_bundle(out)


def _divide(examples: Sequence[Example]) -> dict[Part, list[Example]]:
    parts: dict[Part, list[Example]] = {part: [] for part in PARTS}
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
    return FusedNetwork(
        protocol, transform.width, questions, text_mean=mean, text_scale=scale.clamp(min=MIN_SCALE)
    )


def _uncalibrated(
    network: FusedNetwork,
    encoder: TextEncoder,
    transform: TableTransform,
    protocol: Protocol,
    n_train: int,
) -> Bundle:
    nothing = Reference(np.zeros(1), np.eye(1), np.inf, ())
    identity = bundle_identity(protocol, encoder, n_train, sha256="")
    return Bundle(protocol, network, encoder, transform, (), nothing, (), identity)

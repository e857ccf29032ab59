"""Read, split, fit, calibrate, judge, keep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.bundle import Bundle, bundle_identity, load_bundle, save_bundle
from pipeline.calibration import Reference, Space
from pipeline.errors import UsageError
from pipeline.files import whole_folder, write_text
from pipeline.model.image_encoder import share_of_weights_in
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import TextEncoder, encode_phrases, load_text_encoder
from pipeline.model.text_tuning import TunableText
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress, silent
from pipeline.train.calibrate import calibrated
from pipeline.train.card import Making, model_card
from pipeline.train.checkpoints import Work
from pipeline.train.curves import require_tensorboard
from pipeline.train.enough import require_enough
from pipeline.train.ensemble import fit_members, require_trainable
from pipeline.train.examples import Example
from pipeline.train.labelled import Source, read_labelled
from pipeline.train.leaks import find_leaks, require_clean
from pipeline.train.masked_words import reread, with_own_words
from pipeline.train.processes import is_first, processes
from pipeline.train.prove import prove_maps
from pipeline.train.splits import PARTS, Member, Part, assign_parts, split_record, strata
from pipeline.train.work import Keeping, remove_work, training_key, work_beside
from schemas.leaks import LeakReport
from schemas.protocol import Protocol

MIN_PATIENTS = 20
MIN_SCALE = 1e-6
NOTHING_ELSE = Keeping()


def train_bundle(
    source: Source,
    protocol: Protocol,
    out: Path,
    *,
    progress: Progress = silent,
    leak_guard: bool = True,
    keeping: Keeping = NOTHING_ELSE,
) -> Bundle:
    """Train on a labelled cohort and write a bundle, whole or not at all.

    Until it is written, checkpoints lie beside it in ``<name>.training``. If this was killed, the
    same call goes on after the last whole epoch, to the same bundle; a call with other cases,
    another protocol or other code starts afresh.

    Weights and the table transform are fitted on the train part, stopping on the validation part,
    calibration maps on the calibration part, thresholds on the conformal part; on the test part
    the bundle is judged and its maps are proved. Parts are by patient. Before anything is fitted
    the guard looks for leaks between the parts; if it finds one it refuses, and what it saw lies
    beside ``out``, in ``<name>_leaks.json``.

    Parameters
    ----------
    out
        Where the bundle is put; must not exist, or be empty.
    leak_guard
        False only to show what leaks do; the bundle then says that nothing was checked.
    keeping
        What else is kept, and whom it tells that it goes on.

    Started by ``torchrun`` in several processes, the first alone writes; all return the bundle.

    Raises
    ------
    UsageError
        If the cohort cannot be used or is too small, ``out`` cannot be written to, another
        training is writing it, or curves are asked for and TensorBoard is not installed.
    LeakError
        If the guard finds a leak.
    CheckpointError
        If ``image_weights`` or the BERT cannot be loaded.
    CalibrationError
        If a task has too few outcomes to be calibrated or judged.
    """
    require_trainable(protocol)
    if keeping.curves is not None:
        require_tensorboard()
    _tell_of_image_weights(protocol, keeping)
    with _bundle_folder(out) as folder:
        # The others find in the cache what the first has read.
        with processes().main_process_first():
            encoder = load_text_encoder(protocol.model)
            examples, _ = read_labelled(source, protocol, encoder, progress=progress)
        how = _How(protocol, encoder, progress, keeping, leak_guard)
        _train_into(folder, examples, out, how)
    return _finished(out)


def _tell_of_image_weights(protocol: Protocol, keeping: Keeping) -> None:
    """Try the file of weights before the cohort is read, and say how much of it fits."""
    settings, path = protocol.model, protocol.model.image_weights
    if path:
        share = share_of_weights_in(path, settings, protocol.grid.size[::-1])
        keeping.tell(f"image weights: {share:.0%} of the {settings.image_encoder}'s were found")


def train_on(
    examples: Sequence[Example],
    protocol: Protocol,
    encoder: TextEncoder,
    out: Path,
    *,
    progress: Progress = silent,
    keeping: Keeping = NOTHING_ELSE,
) -> Bundle:
    """Train on examples that were read before, as :func:`train_bundle` does on a cohort.

    Raises
    ------
    UsageError, LeakError, CheckpointError, CalibrationError
        As there.
    """
    _tell_of_image_weights(protocol, keeping)
    with _bundle_folder(out) as folder:
        _train_into(folder, examples, out, _How(protocol, encoder, progress, keeping))
    return _finished(out)


@contextmanager
def _bundle_folder(out: Path) -> Iterator[Path | None]:
    """Give the folder to which the bundle is written; None where another process does that."""
    if is_first():
        with whole_folder(out) as folder:
            yield folder
    else:
        yield None


def _finished(out: Path) -> Bundle:
    processes().wait_for_everyone()
    if is_first():
        remove_work(out)
    return load_bundle(out)


@dataclass(frozen=True, slots=True, eq=False)
class _How:
    protocol: Protocol
    encoder: TextEncoder
    progress: Progress
    keeping: Keeping
    leak_guard: bool = True


def _train_into(folder: Path | None, examples: Sequence[Example], out: Path, how: _How) -> None:
    """Part, guard, fit; checkpoints lie beside ``out``."""
    parts, making = divide(examples, how.protocol)
    if how.leak_guard:
        making = guarded(parts, making, how.protocol, out)
    require_enough(parts, how.protocol.tasks)
    key = training_key(parts, how.protocol, how.encoder)
    with work_beside(out, key, how.keeping) as work:
        _fit_into(folder, parts, making, how, work)


def _fit_into(
    folder: Path | None,
    parts: Mapping[Part, Sequence[Example]],
    making: Making,
    how: _How,
    work: Work,
) -> None:
    encoder, protocol = how.encoder, how.protocol
    if protocol.training.notes_epochs:
        encoder, parts = with_own_words(encoder, parts, protocol, how.progress, work)
    transform = fit_table_transform(
        [example.history for example in parts["train"]], protocol.table, protocol.concepts
    )
    networks = fit_members(
        lambda member: new_network(member, encoder, transform, parts["train"]),
        parts, transform, protocol, how.progress, work=work,
    )  # fmt: skip
    if folder is None:
        return
    if networks[0].tunable_text is not None:
        encoder = networks[0].tunable_text.tuned(encoder)
        networks[0].tunable_text = None
        parts = {part: reread(cases, encoder) for part, cases in parts.items()}
    bundle = _uncalibrated(networks, encoder, transform, protocol, len(parts["train"]))
    bundle = calibrated(bundle, parts, progress=how.progress)
    bundle = replace(
        bundle, maps=prove_maps(bundle, parts["test"], parts["conformal"], progress=how.progress)
    )
    save_bundle(folder, bundle, model_card(bundle, making), making.records())


def divide(
    examples: Sequence[Example], protocol: Protocol
) -> tuple[dict[Part, list[Example]], Making]:
    """Part examples by patient, and say how.

    Raises
    ------
    UsageError
        If a part is too small.
    """
    training = protocol.training
    members = [
        Member(
            example.patient_id, example.history.at, strata(example.labels.tolist(), protocol.tasks)
        )
        for example in examples
    ]
    assigned = assign_parts(members, training.splits, seed=training.seed)
    parts: dict[Part, list[Example]] = {part: [] for part in PARTS}
    for example in examples:
        parts[assigned[example.patient_id]].append(example)
    shares = training.splits.shares()
    patients = {part: len({case.patient_id for case in cases}) for part, cases in parts.items()}
    short = [
        f"{part}: {count}" for part, count in patients.items()
        if shares[part] > 0 and count < MIN_PATIENTS
    ]  # fmt: skip
    if short:
        msg = f"each part needs at least {MIN_PATIENTS} patients, got {', '.join(short)}: use more"
        raise UsageError(msg)
    sizes = {str(part): len(cases) for part, cases in parts.items()}
    record = split_record(assigned, training.splits, seed=training.seed)
    return parts, Making(sizes, record, LeakReport(is_checked=False))


def guarded(
    parts: Mapping[Part, Sequence[Example]], making: Making, protocol: Protocol, out: Path
) -> Making:
    """Return the record of what the leak guard saw; refuse if it found a leak.

    Raises
    ------
    LeakError
        If it did; what it saw lies beside ``out``.
    """
    report = find_leaks(parts, protocol.tasks)
    if not report.is_clean:
        write_text(out.parent / f"{out.name}_leaks.json", report.model_dump_json(indent=1) + "\n")
    require_clean(report)
    return replace(making, leaks=report)


def new_network(
    protocol: Protocol, encoder: TextEncoder, transform: TableTransform, train: Sequence[Example]
) -> FusedNetwork:
    """Return an untrained network; its weights follow from the seed alone.

    Raises
    ------
    UsageError
        If no training case has a note.
    """
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


def _uncalibrated(
    networks: tuple[FusedNetwork, ...],
    encoder: TextEncoder,
    transform: TableTransform,
    protocol: Protocol,
    n_train: int,
) -> Bundle:
    nothing = Reference(Space(np.zeros(1), np.eye(1), np.inf), None, ())
    identity = bundle_identity(protocol, encoder, n_train, sha256="")
    return Bundle(protocol, networks, encoder, transform, (), nothing, (), identity)

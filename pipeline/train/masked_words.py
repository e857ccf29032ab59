"""A BERT that first learns the words of the cohort's own notes, by guessing masked ones.

J. Devlin et al., "BERT: pre-training of deep bidirectional transformers", 2019, section 3.1.
"""

import copy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from pipeline.errors import CheckpointError, UsageError
from pipeline.files import whole_folder
from pipeline.inputs import read_notes
from pipeline.model.text_encoder import (
    SMALL,
    TextEncoder,
    load_tuned_text_encoder,
    save_text_encoder,
    word_pieces,
)
from pipeline.progress import Progress
from pipeline.train.checkpoints import Work
from pipeline.train.examples import Example
from pipeline.train.processes import is_first, is_on_cpu, n_processes, processes
from pipeline.train.splits import Part
from pipeline.train.trainer import WARMUP_SHARE, ReportProgress
from schemas.protocol import Protocol

MASKED_SHARE = 0.15
"""Of the word pieces, as Devlin et al. chose it."""
BATCH = 32
FIRST_RATE, FURTHER_RATE = 1e-3, 5e-5
"""Learning rates of a BERT that knows nothing yet, and of one that was trained before."""
FOLDER = "notes"


def with_own_words(
    encoder: TextEncoder,
    parts: Mapping[Part, Sequence[Example]],
    protocol: Protocol,
    progress: Progress,
    work: Work,
) -> tuple[TextEncoder, dict[Part, list[Example]]]:
    """Return the BERT as the train part's notes leave it, and all parts as it reads them.

    Notes of no other part are learned from, and no outcome. What came of it is kept in the folder
    of ``work``; a run that was killed later reads it from there, one that was killed while learning
    begins anew.

    Raises
    ------
    UsageError
        If no training case has a note.
    CheckpointError
        If the text encoder is no BERT that can guess words.
    """
    kept = work.folder / FOLDER
    if not kept.is_dir():
        learned = learn_words(encoder, parts["train"], protocol, progress)
        if is_first():
            with whole_folder(kept) as folder:
                save_text_encoder(learned, folder)
        processes().wait_for_everyone()
    reader = load_tuned_text_encoder(protocol.model, kept)
    return reader, {part: reread(cases, reader) for part, cases in parts.items()}


def reread(examples: Sequence[Example], encoder: TextEncoder) -> list[Example]:
    """Return the examples with their notes as a changed text encoder reads them."""
    return [replace(example, text=read_notes(example.history, encoder)) for example in examples]


def learn_words(
    encoder: TextEncoder, train: Sequence[Example], protocol: Protocol, progress: Progress
) -> TextEncoder:
    """Return a copy of the BERT after ``training.notes_epochs`` of guessing words of these notes.

    Raises
    ------
    UsageError
        If none of the cases has a note.
    """
    texts = {
        sentence.text for case in train if case.text is not None for sentence in case.text.sentences
    }
    if not texts:
        msg = "no training case has a note: set training.notes_epochs to 0"
        raise UsageError(msg)
    pieces = [{"input_ids": ids} for text in sorted(texts) for ids in word_pieces(encoder, text)]
    guesser = guesser_of(encoder, pieces, protocol, progress)
    bert = copy.deepcopy(encoder.bert)
    _copy_weights(guesser.base_model, bert)
    return replace(encoder, bert=bert)


def _copy_weights(giver: nn.Module, taker: nn.Module) -> None:
    """Copy all weights but those of a pooler, which guessing has none of.

    Raises
    ------
    CheckpointError
        If the two are not built alike.
    """
    missing, unexpected = taker.load_state_dict(giver.state_dict(), strict=False)
    if not all(name.startswith("pooler.") for name in (*missing, *unexpected)):
        msg = (
            "training.notes_epochs needs a BERT of the usual build, which this text encoder is not"
        )
        raise CheckpointError(msg)


def guesser_of(
    encoder: TextEncoder,
    pieces: Sequence[Mapping[str, list[int]]],
    protocol: Protocol,
    progress: Progress,
) -> PreTrainedModel:
    """Return a network that starts as the BERT and has learned to guess masked word pieces."""
    torch.manual_seed(protocol.training.seed)
    guesser: PreTrainedModel = AutoModelForMaskedLM.from_config(encoder.bert.config)  # type: ignore[no-untyped-call]
    _copy_weights(encoder.bert, guesser.base_model)
    with tempfile.TemporaryDirectory(prefix="synopt-notes-") as folder:
        trainer = Trainer(
            model=guesser,
            args=_arguments(protocol, encoder, Path(folder)),
            train_dataset=pieces,
            data_collator=DataCollatorForLanguageModeling(
                encoder.tokenizer, mlm_probability=MASKED_SHARE
            ),
            callbacks=[ReportProgress(progress, "learning the notes' words")],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    guesser.cpu().eval()  # type: ignore[no-untyped-call]
    return guesser


def _arguments(protocol: Protocol, encoder: TextEncoder, folder: Path) -> TrainingArguments:
    found = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=protocol.training.notes_epochs,
        per_device_train_batch_size=max(BATCH // n_processes(), 1),
        learning_rate=FIRST_RATE if encoder.name == SMALL else FURTHER_RATE,
        warmup_steps=WARMUP_SHARE,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        seed=protocol.training.seed,
        use_cpu=is_on_cpu(),
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    found._n_gpu = min(found.n_gpu, 1)  # several GPUs are for torchrun, not for DataParallel
    return found

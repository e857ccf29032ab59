"""One trial of a search: a network trained with other settings, and how it did."""

import hashlib
import json
import logging
import math
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.model.text_encoder import TextEncoder
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress, silent
from pipeline.protocol import faults_in_words
from pipeline.train.ensemble import require_trainable
from pipeline.train.examples import Example
from pipeline.train.loop import fit
from pipeline.train.masked_words import learn_words, reread
from pipeline.train.proposals import propose
from pipeline.train.space import settings_of, with_settings
from pipeline.train.splits import Part
from pipeline.train.train import new_network
from pipeline.train.trainer import OnValidated
from schemas.protocol import Protocol
from schemas.search import SearchRecord, Trial, Value

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What every trial stands on; of the other parts it knows nothing."""

    protocol: Protocol
    train: Sequence[Example]
    validation: Sequence[Example]
    transform: TableTransform
    encoder: TextEncoder

    def run(
        self, settings: Mapping[str, Value], on_validated: OnValidated, progress: Progress
    ) -> None:
        """Train one network, as training would with these settings."""
        asked = with_settings(self.protocol, settings)
        require_trainable(asked)
        network = new_network(asked, self.encoder, self.transform, self.train)
        fit(
            network, self.train, self.validation, self.transform, asked, progress,
            on_validated=on_validated,
        )  # fmt: skip

    def sha256(self) -> str:
        """Hash of which cases are in which part, with their labels."""
        rows = [
            [part, example.study_uid, example.patient_id, str(example.labels.tolist())]
            for part, examples in (("train", self.train), ("validation", self.validation))
            for example in examples
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def ground_of(
    parts: Mapping[Part, Sequence[Example]],
    protocol: Protocol,
    encoder: TextEncoder,
    progress: Progress = silent,
) -> Ground:
    """Return what trials stand on: the train part, by which the table is scaled, and validation.

    With ``training.notes_epochs`` the BERT learns the train part's notes once, for all trials.
    """
    if protocol.training.notes_epochs:
        encoder = learn_words(encoder, parts["train"], protocol, progress)
        parts = {part: reread(parts[part], encoder) for part in ("train", "validation")}
    train, validation = parts["train"], parts["validation"]
    histories = [example.history for example in train]
    transform = fit_table_transform(histories, protocol.table, protocol.concepts)
    return Ground(protocol, train, validation, transform, encoder)


class _DivergedError(PipelineError):
    """A training whose loss is no number any more."""


class _PoorError(Exception):
    """A trial that is not worth its other epochs."""


def try_next(ground: Ground, record: SearchRecord, progress: Progress) -> Trial:
    """Try the protocol as given first, then what follows from the trials so far.

    Whatever fault stops a trial becomes its reason; only an interruption ends the search.
    """
    proposal = propose(record.trials, record.space, seed=record.seed) if record.trials else None
    settings = settings_of(ground.protocol, record.space) if proposal is None else proposal.settings
    losses: list[float] = []

    def watch(loss: float) -> None:
        if not math.isfinite(loss):
            msg = f"the validation loss is no number after epoch {len(losses) + 1}"
            raise _DivergedError(msg)
        losses.append(loss)
        if proposal is not None and proposal.is_poor(losses):
            raise _PoorError

    state: Literal["complete", "pruned", "failed"] = "complete"
    reason, started = "", time.monotonic()
    try:
        ground.run(settings, watch, progress)
    except _PoorError:
        state = "pruned"
    except Exception as error:
        state, reason = "failed", _reason(error)
        logger.warning("trial %d failed: %s", len(record.trials), reason)
    return Trial(
        number=len(record.trials),
        settings=settings,
        state=state,
        loss=None if state == "failed" else min(losses),
        losses=tuple(losses),
        reason=reason,
        seconds=round(time.monotonic() - started, 1),
    )


def _reason(error: Exception) -> str:
    """Say why a trial failed; of an unforeseen fault the kind and place, not its message."""
    if isinstance(error, ValidationError):
        return faults_in_words(error)
    if isinstance(error, PipelineError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}, line {place.lineno}"

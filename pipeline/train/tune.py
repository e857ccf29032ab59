"""A search for better settings, judged on the validation part alone."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import require_writable
from pipeline.model.text_encoder import TextEncoder, load_text_encoder
from pipeline.progress import Progress, silent
from pipeline.train.examples import Example
from pipeline.train.labelled import Source, read_labelled
from pipeline.train.proposals import importance_of
from pipeline.train.search_folder import read_search, require_same, write_search
from pipeline.train.train import divide, guarded
from pipeline.train.trial import Ground, ground_of, try_next
from schemas.protocol import Protocol
from schemas.search import SearchRecord, SearchSpace


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, and for how long.

    Parameters
    ----------
    n_trials
        In all, those of an earlier run over the same folder included.
    minutes
        After which no further trial is begun; the clock starts with this run's first trial.
    """

    space: SearchSpace
    seed: int = 0
    n_trials: int = 30
    minutes: float = math.inf


def tune(
    source: Source,
    protocol: Protocol,
    out: Path,
    search: Search,
    *,
    progress: Progress = silent,
) -> SearchRecord:
    """Search for the settings of lowest validation loss; go on with a search begun before.

    Cases are read once, and parted and guarded as :func:`pipeline.train.train_bundle` does.
    The first trial is the protocol as given. After each trial ``out`` holds all trials so far
    (trials.json) and the best protocol (best.yaml).

    Raises
    ------
    UsageError
        If the cohort cannot be used or is too small, ``out`` holds something else or another
        search, or no trial ended well.
    LeakError
        If the guard finds a leak.
    """
    read_search(out, protocol, search.space, search.seed)
    encoder = load_text_encoder(protocol.model)
    examples, _ = read_labelled(source, protocol, encoder, progress=progress)
    return tune_on(examples, protocol, encoder, out, search, progress=progress)


def tune_on(
    examples: Sequence[Example],
    protocol: Protocol,
    encoder: TextEncoder,
    out: Path,
    search: Search,
    *,
    progress: Progress = silent,
) -> SearchRecord:
    """Search on examples that were read before, as :func:`tune` does on a cohort.

    Raises
    ------
    UsageError, LeakError
        As there.
    """
    earlier = read_search(out, protocol, search.space, search.seed)
    parts, making = divide(examples, protocol)
    guarded(parts, making, protocol, out)
    require_writable(out)
    ground = ground_of(parts, protocol, encoder, progress)
    record = _record_of(ground, search)
    if earlier is not None:
        require_same("cases or labels", earlier.cases_sha256, record.cases_sha256, out)
        record = earlier
    return _finished(_run_trials(ground, record, search, out, progress), out, protocol)


def _run_trials(
    ground: Ground, record: SearchRecord, search: Search, out: Path, progress: Progress
) -> SearchRecord:
    """Try until there are enough trials or the time is over; keep the record after each."""
    started, is_first = time.monotonic(), True
    while len(record.trials) < search.n_trials:
        if not is_first and time.monotonic() - started >= search.minutes * 60:
            break
        progress("trials", len(record.trials), search.n_trials)
        trial = try_next(ground, record, progress)
        record = record.model_copy(update={"trials": (*record.trials, trial)})
        write_search(out, record, ground.protocol)
        is_first = False
    progress("trials", len(record.trials), search.n_trials)
    return record


def _record_of(ground: Ground, search: Search) -> SearchRecord:
    return SearchRecord(
        protocol_sha256=ground.protocol.trained_sha256(),
        space=search.space,
        seed=search.seed,
        cases_sha256=ground.sha256(),
        n_train=len(ground.train),
        n_validation=len(ground.validation),
    )


def _finished(record: SearchRecord, out: Path, protocol: Protocol) -> SearchRecord:
    """Return the record with what mattered; refuse it if nothing ended well."""
    if not record.ranking():
        reason = record.trials[-1].reason
        msg = f"none of {len(record.trials)} trials ended well; of the last one: {reason}"
        raise UsageError(msg)
    importance = importance_of(record.trials, record.space, seed=record.seed)
    record = record.model_copy(update={"importance": importance})
    write_search(out, record, protocol)
    return record

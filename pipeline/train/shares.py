"""Scoring many patients on a CPU: each process scores a share of them with a thread of its own."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from pipeline.bundle import Bundle
from pipeline.progress import Progress
from pipeline.tensors import ModelInput
from pipeline.train.beside import is_worth_it, one_thread, run_beside
from pipeline.train.scores import SCORING, Array, Scores, Subset, score, score_with_hidden

LEAST_EACH = 100
"""Patients, below which a process of their own is not worth its start; chosen, not measured."""
MOST_AT_ONCE = 8
"""Processes: each holds a batch of its own in memory."""
ARRAYS, HIDDEN = ("logits", "members", "summaries", "histories"), "hidden:"

Scored = tuple[Scores, dict[Subset, Array]]
Score = Callable[[Bundle, Sequence[ModelInput], Progress, str], Scored]


def score_in_shares(
    bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress, what: str = SCORING
) -> Scores:
    """Do what :func:`score` does, by several processes where that is worth it."""
    return _in_shares(_alone, bundle, inputs, progress, what)[0]


def score_with_hidden_in_shares(
    bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress, what: str = SCORING
) -> Scored:
    """Do what :func:`score_with_hidden` does, by several processes where that is worth it."""
    return _in_shares(score_with_hidden, bundle, inputs, progress, what)


def _alone(bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress, what: str) -> Scored:
    return score(bundle, inputs, progress, what), {}


def _in_shares(
    of: Score, bundle: Bundle, inputs: Sequence[ModelInput], progress: Progress, what: str
) -> Scored:
    n_shares = min(torch.get_num_threads(), MOST_AT_ONCE, len(inputs) // LEAST_EACH)
    if not is_worth_it(n_shares):
        return of(bundle, inputs, progress, what)
    ends = np.linspace(0, len(inputs), n_shares + 1).astype(int).tolist()
    shares = [inputs[start:end] for start, end in pairwise(ends)]
    names = [f"share {number} of {n_shares}: {what}" for number in range(1, n_shares + 1)]
    with tempfile.TemporaryDirectory(prefix="synopt-score-") as folder:
        paths = [Path(folder) / f"{number}.npz" for number in range(n_shares)]
        jobs = [
            partial(_keep, of, bundle, share, name, path)
            for share, name, path in zip(shares, names, paths, strict=True)
        ]
        run_beside(jobs, progress)
        # What a process could not do is done here, and fails here.
        with one_thread():
            scored = [
                _kept(path, share) if path.is_file() else of(bundle, share, progress, name)
                for share, name, path in zip(shares, names, paths, strict=True)
            ]
    return _joined([scores for scores, _ in scored]), _one_after_another(
        [hidden for _, hidden in scored]
    )


def _keep(
    of: Score,
    bundle: Bundle,
    inputs: Sequence[ModelInput],
    what: str,
    path: Path,
    progress: Progress,
) -> None:
    scores, hidden = of(bundle, inputs, progress, what)
    arrays = {name: getattr(scores, name) for name in ARRAYS}
    arrays |= {HIDDEN + ",".join(subset): values for subset, values in hidden.items()}
    part = path.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **arrays)
    part.rename(path)


def _kept(path: Path, inputs: Sequence[ModelInput]) -> Scored:
    with np.load(path, allow_pickle=False) as arrays:
        scores = Scores(
            **{name: arrays[name] for name in ARRAYS}, present=tuple(one.present for one in inputs)
        )
        hidden = {
            tuple(name for name in key.removeprefix(HIDDEN).split(",") if name): arrays[key]
            for key in arrays.files
            if key.startswith(HIDDEN)
        }
    return scores, hidden


def _joined(scores: Sequence[Scores]) -> Scores:
    return Scores(
        np.concatenate([one.logits for one in scores]),
        np.concatenate([one.members for one in scores], axis=1),
        np.concatenate([one.summaries for one in scores]),
        np.concatenate([one.histories for one in scores]),
        tuple(present for one in scores for present in one.present),
    )


def _one_after_another(hidden: Sequence[Mapping[Subset, Array]]) -> dict[Subset, Array]:
    return {subset: np.concatenate([one[subset] for one in hidden]) for subset in hidden[0]}

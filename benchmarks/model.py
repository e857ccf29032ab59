"""The network and its rivals against the known truth of simulated patients.

    python -m benchmarks.model [--train N] [--test N] [--seeds 0 1] [--fusions cross late ...]
                               [--variants taught parts cls blocks] [--subsets]
                               [--interaction X]

For each seed the image branch is trained once on what the image decides; its frozen tokens are
then fused in each way, and boosted trees are given a summary of the image beside table and
concepts. With ``--subsets`` the shipped fusion, shown some modalities only, is compared with
networks trained on just those. All learn the outcomes themselves, without the trees as a teacher
(`training.teacher_share`), so that each is compared by what it finds. ``--variants`` adds the
shipped fusion with that teacher, with notes and table each taught by itself beside it, or with two
blocks of cross-attention; and the classic, the mean of the sentences' [CLS] beside the mean image
token under one linear layer. Writes benchmarks/results/model_fusions.json and .md;
`python -m benchmarks.standing` sets them beside what is asked. Nothing here says anything about
real patients.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, combinations
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.model_page import write
from benchmarks.model_scores import Scores, gain, judged, mean_excess
from benchmarks.simulated import Simulated, simulated, with_some_masks
from flows.progress import progress_bars
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import encode_phrases, load_text_encoder
from pipeline.phantom import WORLDS, Design
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import Progress
from pipeline.protocol import read_protocol
from pipeline.tensors import TextInput
from pipeline.train.examples import Example
from pipeline.train.loop import fit, fit_image, with_tokens
from pipeline.train.teacher import seen_in, told_of
from schemas.protocol import Protocol

if TYPE_CHECKING:
    from queue import Queue

    from pipeline.tensors import ModelOutput

PROTOCOL = Path("data_samples/protocols/brain_mr.yaml")
TRAIN_SEED, TEST_SEED, BATCH = 41, 99, 64
VALIDATION_SHARE = 0.1
INTERACTION_TASK = "deficit"
MODALITIES = ("image", "notes", "table")
SUBSETS = tuple(subset for size in (2, 1) for subset in combinations(MODALITIES, size))
IMAGE_PARTS = ("image_encoder", "place", "read_image", "ask", "asked", "image_head", "bias")
FUSIONS = ("cross", "projection", "late", "concat", "history_only", "image_only")
CLASSIC = "concat of [CLS]"
VARIANTS = {
    "taught": "cross, taught by trees", "parts": "cross, notes and table taught by themselves too",
    "cls": CLASSIC, "blocks": "cross, two blocks",
}  # fmt: skip
MODALITY_WEIGHT = 0.3
TREES = "boosted trees"

Row = dict[str, object]


def main() -> None:
    """Simulate, train each, compare, write; seeds beside each other, as many as there are cores."""
    options = _options()
    protocol = read_protocol(PROTOCOL)
    results: list[Row] = []
    gains: list[Row] = []
    _cases(options, protocol)
    at_once = min(len(options.seeds), os.cpu_count() or 1)
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(at_once, context) as pool:
        rows = manager.Queue()
        threads = max(1, (os.cpu_count() or 1) // at_once)
        jobs = [pool.submit(_seed, options, seed, threads, rows) for seed in options.seeds]
        for job in jobs:
            job.add_done_callback(lambda _: rows.put(None))
        for row in chain.from_iterable(iter(rows.get, None) for _ in jobs):
            (gains if "value" in row else results).append(row)
            _keep(results, gains, options, protocol)
        for job in jobs:
            job.result()


def _seed(options: argparse.Namespace, seed: int, threads: int, rows: "Queue[Row | None]") -> None:
    """Run one seed in a process of its own, handing on each row as soon as it is known."""
    torch.set_num_threads(threads)
    protocol = read_protocol(PROTOCOL)
    train, test = _cases(options, protocol)
    encoder = load_text_encoder(protocol.model)
    questions = encode_phrases(encoder, [task.question for task in protocol.tasks])
    with progress_bars(quiet=True) as progress:
        bench = _Bench(protocol, train, test, questions, seed, progress)
        for row in bench.run(options.fusions, options.variants):
            rows.put(row)
        for row in bench.subsets() if options.subsets else ():
            rows.put(row)


def _cases(options: argparse.Namespace, protocol: Protocol) -> tuple[list[Simulated], ...]:
    """Draw or read the patients to train on and those to test on."""
    encoder = load_text_encoder(protocol.model)
    with progress_bars(quiet=False) as progress:
        return tuple(
            simulated(
                Design(world=WORLDS["brain_mr"], seed=seed, interaction=options.interaction),
                protocol, encoder, n, progress=progress,
            )
            for seed, n in ((TRAIN_SEED, options.train), (TEST_SEED, options.test))
        )  # fmt: skip


def _keep(
    results: Sequence[Row], gains: Sequence[Row], options: argparse.Namespace, protocol: Protocol
) -> None:
    """Write what is known so far, so that a run that is stopped has not been for nothing."""
    command = (
        f"python -m benchmarks.model --train {options.train} --test {options.test} "
        f"--seeds {' '.join(map(str, options.seeds))} --fusions {' '.join(options.fusions)} "
        f"--interaction {options.interaction}{' --subsets' if options.subsets else ''}"
    )
    if options.variants:
        command += f" --variants {' '.join(options.variants)}"
    name = "model_fusions" if options.interaction else "model_fusions_no_interaction"
    names = [task.name for task in protocol.tasks]
    results, gains = (sorted(rows, key=lambda row: str(row["seed"])) for rows in (results, gains))
    write(results, gains, names, command=command, name=name, interaction=options.interaction)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=6000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--fusions", nargs="+", default=list(FUSIONS), choices=FUSIONS)
    parser.add_argument("--variants", nargs="+", default=[], choices=VARIANTS)
    parser.add_argument("--subsets", action="store_true")
    parser.add_argument("--interaction", type=float, default=1.0)
    return parser.parse_args()


class _Bench:
    """One seed: an image branch, and everything that is built on its tokens."""

    def __init__(
        self,
        protocol: Protocol,
        train: Sequence[Simulated],
        test: Sequence[Simulated],
        questions: torch.Tensor,
        seed: int,
        progress: Progress,
    ) -> None:
        self.teacher_share = protocol.training.teacher_share
        self.protocol = _training(protocol, seed=seed, teacher_share=0.0)
        self.questions, self.seed, self.progress = questions, seed, progress
        order = np.random.default_rng(seed).permutation(len(train))
        n_validation = int(VALIDATION_SHARE * len(train))
        self.validation = [train[i].example for i in order[:n_validation]]
        self.train = [train[i].example for i in order[n_validation:]]
        share = protocol.training.annotation_share
        self.train = with_some_masks(self.train, share, seed=seed)
        self.test, self.truth = [case.example for case in test], test
        self.transform: TableTransform = fit_table_transform(
            [case.history for case in self.train], protocol.table, protocol.concepts
        )
        self.scores: dict[str, Scores] = {}
        self.warm: dict[str, torch.Tensor] = {}
        self.whole = self._new(_model(protocol, fusion="cross"), self.train)

    def run(self, fusions: Sequence[str], variants: Sequence[str]) -> Iterator[Row]:
        """Train the image branch once, then each fusion on its tokens; then the trees."""
        started = time.monotonic()
        image = self._new(_model(self.protocol, fusion="cross"), self.train)
        parts = (self.train, self.validation)
        fit_image(image, *parts, self.transform, self.protocol, self.progress)
        self.warm = {
            name: value.clone() for name, value in image.state_dict().items()
            if name.split(".")[0] in IMAGE_PARTS
        }  # fmt: skip
        self.train, self.validation, self.test = (
            with_tokens(image, part) for part in (self.train, self.validation, self.test)
        )
        seconds = time.monotonic() - started
        asked = {fusion: _model(self.protocol, fusion=fusion) for fusion in fusions}
        asked |= {VARIANTS[name]: self._variant(name) for name in variants}
        for what, protocol in asked.items():
            started = time.monotonic()
            train, validation, test = self.train, self.validation, self.test
            if what == CLASSIC:
                train, validation, test = _read_by_cls((train, validation, test), protocol)
            network = self._fused(protocol, train, validation)
            self.scores[what] = expit(self._predict(network, test))
            if what == "cross":
                self.whole = network
            taken = seconds + time.monotonic() - started
            yield self._row(what, self.scores[what], taken)
            if what != "cross" and "cross" in self.scores:
                yield self._gain(what) if what in FUSIONS else self._gain_of_all("cross", what)
        self.scores[TREES] = self._trees(image)
        yield self._row(TREES, self.scores[TREES], seconds)
        for what in ("cross", *(VARIANTS[name] for name in variants)):
            if what in self.scores and what != CLASSIC:
                yield self._gain_of_all(what, TREES)

    def _variant(self, name: str) -> Protocol:
        protocol = _model(self.protocol, fusion="cross")
        if name == "cls":
            return _model(protocol, fusion="concat", text_pooling="cls")
        if name == "blocks":
            return _model(protocol, layers=2)
        if name == "parts":
            return _training(protocol, modality_weight=MODALITY_WEIGHT)
        return _training(protocol, teacher_share=self.teacher_share)

    def _gain_of_all(self, one: str, other: str) -> Row:
        """Compare two on all tasks, paired."""
        outcomes = np.stack([case.outcomes for case in self.truth])
        row: Row = {"what": f"mean AUROC: {one} minus {other}", "seed": self.seed}
        return row | gain(outcomes, self.scores[one], self.scores[other])

    def _gain(self, other: str) -> Row:
        """Compare the shipped fusion with another on the task of interaction, paired."""
        number = [task.name for task in self.protocol.tasks].index(INTERACTION_TASK)
        outcomes = np.stack([case.outcomes for case in self.truth])[:, [number]]
        what = {"what": f"AUROC of {INTERACTION_TASK}: cross minus {other}", "seed": self.seed}
        return what | gain(
            outcomes, self.scores["cross"][:, [number]], self.scores[other][:, [number]]
        )

    def subsets(self) -> Iterator[Row]:
        """Compare, for each subset of modalities, with a network trained on just those."""
        outcomes = np.stack([case.outcomes for case in self.truth])
        for subset in SUBSETS:
            train, validation, test = (
                [_only(case, subset) for case in part]
                for part in (self.train, self.validation, self.test)
            )
            own = self._fused(_model(self.protocol, fusion="cross"), train, validation)
            ours = self._predict(self.whole, test)
            row = (
                {"what": f"mean AUROC with {' and '.join(subset)}: whole minus trained on these",
                 "seed": self.seed} | gain(outcomes, ours, self._predict(own, test))
            )  # fmt: skip
            print(row, flush=True)
            yield row

    def _fused(
        self, protocol: Protocol, train: Sequence[Example], validation: Sequence[Example]
    ) -> FusedNetwork:
        network = self._new(protocol, train)
        network.load_state_dict(self.warm, strict=False)
        only_fusing = _training(protocol, image_epochs=0)
        return fit(network, train, validation, self.transform, only_fusing, self.progress)

    def _new(self, protocol: Protocol, train: Sequence[Example]) -> FusedNetwork:
        none = torch.zeros(2, self.questions.shape[1])
        texts = [case.text.features for case in train if case.text is not None] or [none]
        scale, mean = torch.std_mean(torch.cat(texts), dim=0)
        torch.manual_seed(self.seed)
        return FusedNetwork(
            protocol, self.transform.width, self.questions,
            text_mean=mean, text_scale=scale.clamp(min=1e-6),
        )  # fmt: skip

    @torch.inference_mode()
    def _predict(self, network: FusedNetwork, cases: Sequence[Example]) -> Scores:
        """Return logits (n, K)."""
        network.eval().cpu()
        logits = []
        for start in range(0, len(cases), BATCH):
            inputs = [case.model_input(self.transform) for case in cases[start : start + BATCH]]
            batch = collate(
                inputs, self.protocol, text_width=self.questions.shape[1],
                table_width=self.transform.width,
            )  # fmt: skip
            output: ModelOutput = network(batch)
            logits.append(output.logits.double().numpy())
        return np.concatenate(logits)

    def _trees(self, image: FusedNetwork) -> Scores:
        """Boosted trees on amount, centroid and peak of the image, table and concepts."""
        image.eval().cpu()
        columns = []
        for part in (self.train, self.test):
            seen = seen_in(image, part, self.transform, self.protocol)[:, 0, :5]
            columns.append(np.hstack([seen, told_of(part, self.transform, self.protocol)]))
        labels = np.stack([case.labels for case in self.train])
        scores = []
        for number in range(labels.shape[1]):
            known = ~np.isnan(labels[:, number])
            trees = HistGradientBoostingClassifier(
                max_iter=150, learning_rate=0.06, max_leaf_nodes=12, min_samples_leaf=20,
                l2_regularization=1.0, random_state=self.seed,
            ).fit(columns[0][known], labels[known, number])  # fmt: skip
            scores.append(trees.predict_proba(columns[1])[:, 1])
        return np.stack(scores, axis=1)

    def _row(self, what: str, scores: Scores, seconds: float) -> Row:
        outcomes = np.stack([case.outcomes for case in self.truth])
        limit = np.stack([case.observable for case in self.truth])
        names = [task.name for task in self.protocol.tasks]
        tasks = {
            name: judged(outcomes[:, k], scores[:, k], limit[:, k]) for k, name in enumerate(names)
        }
        mean, interval = mean_excess(outcomes, scores, limit)
        row = {"what": what, "seed": self.seed, "seconds": seconds, "tasks": tasks,
               "excess": mean, "interval": interval}  # fmt: skip
        low, high = interval
        print(f"{what}, seed {self.seed}: excess {mean:.3f} ({low:.3f} to {high:.3f})", flush=True)
        print("  ", {name: [round(x, 3) for x in task.values()] for name, task in tasks.items()})
        return row


def _read_by_cls(parts: Sequence[Sequence[Example]], protocol: Protocol) -> list[list[Example]]:
    """Return the examples with what BERT's token [CLS] makes of each sentence."""
    encoder = load_text_encoder(protocol.model)
    texts = [case.text for part in parts for case in part if case.text is not None]
    phrases = {sentence.text for text in texts for sentence in text.sentences}
    kinds = {sentence.kind for text in texts for sentence in text.sentences}
    known = sorted(phrases | kinds)
    features = dict(zip(known, encode_phrases(encoder, known), strict=True))

    def read(text: TextInput) -> TextInput:
        said = torch.stack([features[sentence.text] for sentence in text.sentences])
        kinds = torch.stack([features[sentence.kind] for sentence in text.sentences])
        return replace(text, features=said, kinds=kinds)

    return [
        [case if case.text is None else replace(case, text=read(case.text)) for case in part]
        for part in parts
    ]


def _only(case: Example, subset: Sequence[str]) -> Example:
    """Return a case as if it had no other modalities than these."""
    history = case.history
    if "table" not in subset:
        values = tuple(value.model_copy(update={"value": None}) for value in history.values)
        history = history.model_copy(update={"values": values})
    if "notes" not in subset:
        unsaid = tuple(said.model_copy(update={"value": None}) for said in history.concepts)
        history = history.model_copy(update={"concepts": unsaid, "notes": ()})
    return replace(
        case, history=history, image=case.image if "image" in subset else None,
        text=case.text if "notes" in subset else None,
    )  # fmt: skip


def _model(protocol: Protocol, **changes: object) -> Protocol:
    return protocol.model_copy(update={"model": protocol.model.model_copy(update=changes)})


def _training(protocol: Protocol, **changes: object) -> Protocol:
    return protocol.model_copy(update={"training": protocol.training.model_copy(update=changes)})


if __name__ == "__main__":
    main()

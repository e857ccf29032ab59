"""The members of an ensemble, each trained on its own draw of the patients."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform
from pipeline.progress import Progress
from pipeline.train.beside import is_worth_it, one_thread, run_beside
from pipeline.train.checkpoints import Work, quietly
from pipeline.train.examples import Example
from pipeline.train.loop import fit
from pipeline.train.splits import Part
from schemas.protocol import Protocol


def fit_members(
    new_network: Callable[[Protocol], FusedNetwork],
    parts: Mapping[Part, Sequence[Example]],
    transform: TableTransform,
    protocol: Protocol,
    progress: Progress,
    *,
    work: Work | None = None,
) -> tuple[FusedNetwork, ...]:
    """Train as many networks as ``training.ensemble`` asks for.

    Of several members each is trained on a bootstrap of the train part's patients, with the seed
    ``training.seed`` plus its number; all stop on the same validation part. They are trained beside
    each other where that is worth it, else in turn. A single network is trained on the whole train
    part.

    Parameters
    ----------
    new_network
        Makes an untrained network from the protocol with the member's seed.
    work
        Where checkpoints are kept, each member's in a folder of its own; None keeps none.

    Raises
    ------
    UsageError
        If the members would each tune a BERT of their own.
    """
    require_trainable(protocol)
    n_members = protocol.training.ensemble
    if n_members == 1:
        network, both = new_network(protocol), (parts["train"], parts["validation"])
        return (fit(network, *both, transform, protocol, progress, work=work),)
    members = _Members(new_network, parts, transform, protocol)
    if not is_worth_it(n_members):
        return tuple(members.fit(number, progress, work) for number in range(n_members))
    with tempfile.TemporaryDirectory(prefix="synopt-train-") as folder:
        kept = work or Work(Path(folder))
        jobs = [partial(members.fit, number, work=kept) for number in range(n_members)]
        run_beside(jobs, progress)
        # What they made is read from there; one that failed goes on here, and fails here.
        quiet = replace(kept, tell=quietly)
        with one_thread():
            return tuple(members.fit(number, progress, quiet) for number in range(n_members))


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    new_network: Callable[[Protocol], FusedNetwork]
    parts: Mapping[Part, Sequence[Example]]
    transform: TableTransform
    protocol: Protocol

    def fit(self, number: int, progress: Progress, work: Work | None) -> FusedNetwork:
        """Train one, or read what was trained before."""
        training = self.protocol.training
        seed = training.seed + number
        own = self.protocol.model_copy(
            update={"training": training.model_copy(update={"seed": seed})}
        )
        drawn = patient_bootstrap(self.parts["train"], seed=seed)
        return fit(
            self.new_network(own), drawn, self.parts["validation"], self.transform, own,
            _named(progress, number, training.ensemble),
            work=None if work is None else work.member(seed),
        )  # fmt: skip


def patient_bootstrap(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """Draw as many patients as there are, with replacement; a patient comes with all studies."""
    of_patient: dict[str, list[Example]] = {}
    for example in examples:
        of_patient.setdefault(example.patient_id, []).append(example)
    patients = sorted(of_patient)
    drawn = np.random.default_rng(seed).integers(len(patients), size=len(patients))
    return [example for place in drawn for example in of_patient[patients[place]]]


def require_trainable(protocol: Protocol) -> None:
    """Refuse what an ensemble cannot share, and an image branch that nothing ever teaches.

    Raises
    ------
    UsageError
        If the members would each tune a BERT of their own, or a frozen image branch were left with
        the weights that chance gave it.
    """
    training = protocol.training
    if training.freeze_image and not (training.image_epochs or protocol.model.image_weights):
        msg = (
            "training.freeze_image keeps the image branch as it is, and nothing has taught it: "
            "set training.image_epochs or model.image_weights, or freeze_image to false"
        )
        raise UsageError(msg)
    if protocol.training.ensemble > 1 and protocol.model.text_tuning != "frozen":
        msg = (
            f"training.ensemble is {protocol.training.ensemble}, but its members share one text "
            f"encoder and model.text_tuning is {protocol.model.text_tuning!r}: set it to 'frozen' "
            "or train one network"
        )
        raise UsageError(msg)


def _named(progress: Progress, number: int, n_members: int) -> Progress:
    def report(what: str, done: int, total: int) -> None:
        progress(f"member {number + 1} of {n_members}: {what}", done, total)

    return report

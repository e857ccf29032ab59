"""What a case's report speaks of: of each task one outcome, in calibrated log-odds.

Shapes: n cases, K tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.calibration import shown_log_odds
from pipeline.explain import contrasted
from pipeline.model.heads import task_steps
from pipeline.tensors import ModelInput, ModelOutput
from schemas.prediction import StepAnswer

AT_ONCE = 64
"""Variants of a case that are read in one batch."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A bundle that is asked about variants of one case.

    Parameters
    ----------
    outcomes
        For each task the number of the class, level or horizon that the case's report shows;
        variants are asked about the same one. 0 for a yes or no.
    """

    bundle: Bundle
    outcomes: tuple[int, ...]

    def contrasted(self, output: ModelOutput) -> ModelOutput:
        """Return the output with the one logit a task that the report speaks of."""
        return contrasted(output, self.bundle.protocol.tasks, self.outcomes)

    def log_odds(self, output: ModelOutput, cases: Sequence[ModelInput]) -> Array:
        """Return what an output means for its cases, each calibrated for what it has, (n, K)."""
        tasks, present = self.bundle.protocol.tasks, [case.present for case in cases]
        odds = np.empty((len(cases), len(tasks)))
        for number, calibrator in enumerate(self.bundle.calibrators):
            steps = task_steps(output.logits, output.cuts, tasks, number).double().cpu().numpy()
            for subset in set(present):
                own = np.array([there == subset for there in present])
                odds[own, number] = shown_log_odds(
                    calibrator, steps[own], subset, self.outcomes[number]
                )
        return odds

    def read(self, cases: Sequence[ModelInput]) -> Array:
        """Read cases, shape (n, K); an image that they share is encoded once a batch at most."""
        batches = [cases[start : start + AT_ONCE] for start in range(0, len(cases), AT_ONCE)]
        found = [self.log_odds(self.bundle.unsettled(batch), batch) for batch in batches]
        return np.concatenate(found) if found else np.empty((0, len(self.outcomes)))


def shown_of(bundle: Bundle, answers: Sequence[StepAnswer | None]) -> Shown:
    """Return what is shown where tasks of several outcomes have these answers."""
    outcomes = (
        0 if answer is None else task.outcomes.index(answer.shown)
        for task, answer in zip(bundle.protocol.tasks, answers, strict=True)
    )
    return Shown(bundle, tuple(outcomes))

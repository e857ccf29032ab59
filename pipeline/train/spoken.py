"""Of which class of several a map speaks, case by case."""

from collections.abc import Sequence

import numpy as np

from pipeline.bundle import Bundle
from pipeline.explain import Predict, contrasted
from pipeline.tensors import ModelInput, ModelOutput
from pipeline.train.judge import probabilities
from pipeline.train.scores import score


def shown_classes(bundle: Bundle, inputs: Sequence[ModelInput]) -> list[list[int]]:
    """Return, for each case, the number of the class that a report would speak of by task."""
    tasks = bundle.protocol.tasks
    shown = np.zeros((len(inputs), len(tasks)), dtype=np.int64)
    several = [number for number, task in enumerate(tasks) if task.kind == "multiclass"]
    if several and inputs:
        scores = score(bundle, inputs)
        for number in several:
            shown[:, number] = probabilities(bundle, number, scores).argmax(1)
    chosen: list[list[int]] = shown.tolist()
    return chosen


def speaking_of(bundle: Bundle, shown: Sequence[int]) -> Predict:
    """Return the bundle as what it says of these classes, one a task, against the others."""

    def predict(cases: Sequence[ModelInput]) -> ModelOutput:
        return contrasted(bundle.predict(cases), bundle.protocol.tasks, shown)

    return predict

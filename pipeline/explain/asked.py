"""All variants of one case that its evidence asks about, read in one go.

Shapes: K tasks, T sentences.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.explain.changes import Alternative, Record, alternatives
from pipeline.explain.shapley import Subset, subsets
from pipeline.tensors import ModelInput

Array = NDArray[np.float64]
ReadAll = Callable[[Sequence[ModelInput]], Array]
"""Cases to the calibrated log-odds of what each task's report shows, shape (n, K)."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the network says of each variant, calibrated log-odds of the K tasks, shape (K,) each.

    Parameters
    ----------
    whole
        Of the case itself.
    subsets
        By the modalities that were read, from none to all.
    variables
        By the number of the variable, columns first, that was left out; known ones only.
    sentences
        One for each sentence that was left out.
    changes
        One for each fact that was turned round.
    """

    whole: Array
    subsets: Mapping[Subset, Array]
    variables: Mapping[int, Array]
    sentences: tuple[Array, ...]
    changes: tuple[tuple[Alternative, Array], ...]


def ask(read: ReadAll, record: Record, whole: Array) -> Told:
    """Read a case with each part of it left out, each subset of it, and each fact turned round.

    Parameters
    ----------
    read
        Called once. Its cases share the image, so that it need be encoded only once.
    whole : shape (K,)
        What the network says of the case itself, calibrated log-odds.
    """
    case = record.case
    parts = subsets(case.present)[:-1]
    variables = without_each_variable(case)
    sentences = without_each_sentence(case)
    turned = alternatives(record)
    asked = [*(case.only(part) for part in parts), *variables.values(), *sentences]
    answers = iter(read([*asked, *(one.case for one in turned)]))
    found = dict(zip(parts, islice(answers, len(parts)), strict=True))
    return Told(
        whole=whole,
        subsets={**found, case.present: whole},
        variables=dict(zip(variables, islice(answers, len(variables)), strict=True)),
        sentences=tuple(islice(answers, len(sentences))),
        changes=tuple(zip(turned, answers, strict=True)),
    )


def without_each_variable(case: ModelInput) -> dict[int, ModelInput]:
    """Return the case without each variable that is known, by the variable's number."""
    table = case.table
    if table is None:
        return {}
    known = table.is_known.nonzero()[:, 0].tolist()
    return {number: replace(case, table=table.without(number)) for number in known}


def without_each_sentence(case: ModelInput) -> list[ModelInput]:
    """Return the case without each of its sentences."""
    text = case.text
    if text is None:
        return []
    return [replace(case, text=text.without({number})) for number in range(len(text.features))]

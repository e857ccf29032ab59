"""Table values and concepts to numbers: standardised on the training patients, one-hot, missing."""

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import model_validator

from pipeline.tensors import TableInput
from schemas.base import FrozenModel
from schemas.column import Column
from schemas.history import ConceptValue, History, TableValue
from schemas.notes_rule import Concept

MIN_SCALE = 1e-6

Variable = Column | Concept


class TableTransform(FrozenModel):
    """What was fitted on the training patients."""

    columns: tuple[Column, ...]
    """The protocol's columns, in order."""
    concepts: tuple[Concept, ...] = ()
    """The protocol's concepts, in order; they follow the columns."""
    means: tuple[float, ...]
    """Of each number; 0 for other kinds."""
    scales: tuple[float, ...]
    """Standard deviation of each number; 1 for other kinds."""
    choices: tuple[tuple[str, ...], ...]
    """Values that each variable may take, each a number of its own in the input, in order; empty
    for numbers."""

    @model_validator(mode="after")
    def _as_read(self) -> "TableTransform":
        """Refuse other values than the training had: a network knows a value by its position."""
        for variable, mine in zip(self.variables, self.choices, strict=True):
            if mine != (read := _choices(variable)):
                msg = (
                    f"{variable.name} was trained with the values {_named(mine)}, but is now read "
                    f"as {_named(read)}; train the bundle anew"
                )
                raise ValueError(msg)
        return self

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Columns, then concepts."""
        return (*self.columns, *self.concepts)

    @property
    def width(self) -> int:
        """Numbers that describe one variable."""
        return max((len(choices) or 1 for choices in self.choices), default=1)


def fit_table_transform(
    histories: Sequence[History],
    columns: tuple[Column, ...],
    concepts: tuple[Concept, ...] = (),
) -> TableTransform:
    """Fit means and scales of the numbers on the training patients' known values."""
    means, scales = [], []
    variables: tuple[Variable, ...] = (*columns, *concepts)
    for position, variable in enumerate(variables):
        values = [_values(history)[position].value for history in histories]
        known = [float(value) for value in values if _is_number(variable) and value is not None]
        means.append(float(np.mean(known)) if known else 0.0)
        scales.append(max(float(np.std(known)), MIN_SCALE) if len(known) > 1 else 1.0)
    return TableTransform(
        columns=columns, concepts=concepts, means=tuple(means), scales=tuple(scales),
        choices=tuple(_choices(variable) for variable in variables),
    )  # fmt: skip


def table_input(history: History, transform: TableTransform) -> TableInput | None:
    """Return a history's columns and concepts as numbers; None if none of them has a value.

    Parameters
    ----------
    history
        With one value for each column and one for each concept, in the transform's order.
    """
    variables = transform.variables
    values = np.zeros((len(variables), transform.width), dtype=np.float32)
    is_known = np.zeros(len(variables), dtype=bool)
    for position, (variable, value) in enumerate(zip(variables, _values(history), strict=True)):
        if value.value is None:
            continue
        is_known[position] = True
        if _is_number(variable):
            scaled = (float(value.value) - transform.means[position]) / transform.scales[position]
            values[position, 0] = scaled
        else:
            values[position, transform.choices[position].index(str(value.value))] = 1.0
    if not is_known.any():
        return None
    return TableInput(torch.from_numpy(values), torch.from_numpy(is_known), len(transform.concepts))


def _values(history: History) -> tuple[TableValue | ConceptValue, ...]:
    return (*history.values, *history.concepts)


def _is_number(variable: Variable) -> bool:
    return variable.kind == "number"


def _named(choices: tuple[str, ...]) -> str:
    return ", ".join(choices) or "a number"


def _choices(variable: Variable) -> tuple[str, ...]:
    match variable.kind:
        case "flag":
            return ("False", "True")
        case "presence":
            return ("absent", "present")
        case "drug":
            return ("absent", "present", "stopped")
        case "side":
            return ("absent", "left", "right", "both", "present")
        case _:
            return variable.categories if isinstance(variable, Column) else ()

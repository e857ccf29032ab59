"""Table values to numbers: standardised on the training patients, one-hot, or marked missing."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.tensors import TableInput
from schemas.base import FrozenModel
from schemas.column import Column
from schemas.history import History

MIN_SCALE = 1e-6


class TableTransform(FrozenModel):
    """What was fitted on the training patients."""

    columns: tuple[Column, ...]
    """The protocol's columns, in order."""
    means: tuple[float, ...]
    """Of each number; 0 for other kinds."""
    scales: tuple[float, ...]
    """Standard deviation of each number; 1 for other kinds."""

    @property
    def width(self) -> int:
        """Numbers that describe one variable."""
        return max((len(_choices(column)) or 1 for column in self.columns), default=1)


def fit_table_transform(
    histories: Sequence[History], columns: tuple[Column, ...]
) -> TableTransform:
    """Fit means and scales of the numbers on the training patients' known values."""
    means, scales = [], []
    for position, column in enumerate(columns):
        known = [
            float(history.values[position].value or 0.0)
            for history in histories
            if column.kind == "number" and history.values[position].value is not None
        ]
        means.append(float(np.mean(known)) if known else 0.0)
        scales.append(max(float(np.std(known)), MIN_SCALE) if len(known) > 1 else 1.0)
    return TableTransform(columns=columns, means=tuple(means), scales=tuple(scales))


def table_input(history: History, transform: TableTransform) -> TableInput | None:
    """Return a history's table as numbers; None if no variable has a value."""
    values = np.zeros((len(transform.columns), transform.width), dtype=np.float32)
    is_known = np.zeros(len(transform.columns), dtype=bool)
    for position, column in enumerate(transform.columns):
        value = history.values[position].value
        if value is None:
            continue
        is_known[position] = True
        if column.kind == "number":
            scaled = (float(value) - transform.means[position]) / transform.scales[position]
            values[position, 0] = scaled
        else:
            values[position, _choices(column).index(str(value))] = 1.0
    if not is_known.any():
        return None
    return TableInput(values=torch.from_numpy(values), is_known=torch.from_numpy(is_known))


def _choices(column: Column) -> tuple[str, ...]:
    if column.kind == "flag":
        return ("False", "True")
    return column.categories

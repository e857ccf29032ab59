"""Subgroups of examples in which a bundle is judged apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.train.examples import Example
from schemas.column import Column
from schemas.protocol import Protocol

MAX_SCANNERS = 12


def groups_of(examples: Sequence[Example], protocol: Protocol) -> Mapping[str, NDArray[np.bool_]]:
    """Return which examples belong to each group: column, scanner, absent modality.

    Each value of a category or flag is a group, and each half of a number about its median; of the
    scanners the ``MAX_SCANNERS`` commonest are judged.
    """
    groups: dict[str, NDArray[np.bool_]] = {}
    for place, column in enumerate(protocol.table):
        values = [example.history.values[place].value for example in examples]
        if column.kind == "number":
            groups |= _halves(values, column)
            continue
        for value in sorted({str(value) for value in values if value is not None}):
            groups[f"{column.label or column.name}: {value}"] = _where(values, value)
    scanners = [example.scanner for example in examples]
    names, counts = np.unique([scanner for scanner in scanners if scanner], return_counts=True)
    for name in sorted(names[np.argsort(-counts)][:MAX_SCANNERS].tolist()):
        groups[f"scanner: {name}"] = _where(scanners, name)
    absent = {
        "without image": [example.image is None for example in examples],
        "without notes": [example.text is None for example in examples],
        "without table": [
            all(value.value is None for value in example.history.values) for example in examples
        ],
    }
    return groups | {name: np.array(flags, dtype=bool) for name, flags in absent.items()}


def _halves(values: Sequence[object], column: Column) -> Mapping[str, NDArray[np.bool_]]:
    """Return who lies below the median and who does not; nothing where all values are the same."""
    known = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if len(np.unique(known[~np.isnan(known)])) < 2:
        return {}
    middle = float(np.nanmedian(known))
    middle = middle if (known < middle).any() else float(np.min(known[known > middle]))
    name = column.label or column.name
    unit = f" {column.unit}" if column.unit else ""
    return {
        f"{name}: below {middle:g}{unit}": known < middle,
        f"{name}: {middle:g}{unit} or more": known >= middle,
    }


def _where(values: Sequence[object], wanted: str) -> NDArray[np.bool_]:
    return np.array([value is not None and str(value) == wanted for value in values], dtype=bool)

"""The processes of one training: one by itself, or several that torchrun started."""

from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

T = TypeVar("T")

LONGEST_WAIT = timedelta(days=2)
"""For the first process, which reads the cohort before the others and calibrates by itself."""


def processes() -> PartialState:
    """Return what is known of this training's processes; their group is opened if need be."""
    return PartialState(cpu=is_on_cpu(), timeout=LONGEST_WAIT)


def is_on_cpu() -> bool:
    """Say whether there is nothing else to train on; the processes then speak by gloo."""
    return not torch.accelerator.is_available()


def n_processes() -> int:
    """Return how many there are."""
    return int(processes().num_processes)


def is_first() -> bool:
    """Say whether this process writes, tells and logs."""
    return bool(processes().is_main_process)


def of_first(value: T) -> T:
    """Return the first process's value in every process."""
    values = [value]
    if n_processes() > 1:
        broadcast_object_list(values, from_process=0)
    return values[0]

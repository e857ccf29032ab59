"""Bundles whose tasks are all answered by yes or no: what is scored against true probabilities."""

import sys
from collections.abc import Iterator

from pipeline.bundle import Bundle
from schemas.calibration import Calibrator


def calibrators_of(bundle: Bundle) -> list[Calibrator]:
    """Return each task's calibrator; end with a sentence where a task has classes or levels."""
    return list(_binary(bundle))


def _binary(bundle: Bundle) -> Iterator[Calibrator]:
    for task, calibrator in zip(bundle.protocol.tasks, bundle.calibrators, strict=True):
        if not isinstance(calibrator, Calibrator):
            sys.exit(f"task {task.name} is {task.kind}; this benchmark scores binary tasks alone")
        yield calibrator

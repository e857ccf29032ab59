"""Labelled cases, from where they lie to examples in memory."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.cohort import open_cohort
from pipeline.history import read_labels
from pipeline.model.text_encoder import TextEncoder
from pipeline.progress import Progress
from pipeline.store import open_store
from pipeline.train.examples import Example, read_examples
from schemas.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Source:
    """Where labelled cases lie.

    Parameters
    ----------
    folder
        A cohort folder with ``labels.csv``.
    database
        URL of an OMOP database that holds the records instead of the folder; "" for none.
    cache
        Folder in which preprocessed images and sentences' features are kept between runs.
    """

    folder: Path
    database: str = ""
    cache: Path | None = None


def read_labelled(
    source: Source, protocol: Protocol, encoder: TextEncoder, *, progress: Progress
) -> tuple[list[Example], int]:
    """Return the labelled cases that can be read, and how many labelled studies there are.

    Raises
    ------
    UsageError
        If the cohort cannot be used, or none of its labelled studies can be read.
    """
    labels = read_labels(source.folder, protocol)
    store = None if source.cache is None else open_store(source.cache)
    cohort = open_cohort(source.folder, protocol, database=source.database, progress=progress)
    examples = read_examples(cohort, labels, encoder, progress=progress, store=store)
    return examples, len(labels.values)

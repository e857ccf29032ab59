"""A labelled cohort as examples in memory: what the network reads, and what is known of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cohort import Cohort
from pipeline.errors import UsageError
from pipeline.history import Labels
from pipeline.inputs import quantities, read_notes
from pipeline.model.image_encoder import STRIDE
from pipeline.model.text_encoder import TextEncoder
from pipeline.preprocess import TableTransform, table_input
from pipeline.progress import Progress
from pipeline.seen import see_image, see_phrases
from pipeline.store import Store
from pipeline.tensors import ImageInput, ModelInput, TextInput
from pipeline.train.annotations import token_masks
from pipeline.train.fingerprints import Fingerprint, fingerprints_of
from pipeline.train.splits import place_of
from schemas.history import History
from schemas.issue import has_errors
from schemas.protocol import Protocol
from schemas.series import Study

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One labelled study.

    Parameters
    ----------
    labels : shape (L,)
        In the order of the tasks' ``label_columns``, NaN where unknown; see ``outcome_losses``.
    masks : shape (K, S/4, P/4, L/4)
        Tokens that show the finding; NaN where there is no mask.
    fingerprints
        Of each named series on the model's grid, None where it is missing; none without an image.
    quantities
        For the out-of-distribution check, as the scanner and the body parts that headers name.
    soft : shape (L,)
        What fusing learns in place of the labels, from a teacher; None where it learns the labels.
    """

    study_uid: str
    patient_id: str
    fingerprints: tuple[Fingerprint | None, ...]
    image: ImageInput | None
    text: TextInput | None
    history: History
    labels: NDArray[np.float32]
    masks: NDArray[np.float32]
    quantities: Mapping[str, float]
    scanner: str = ""
    body_parts: tuple[str, ...] = ()
    soft: NDArray[np.float32] | None = None

    def model_input(self, transform: TableTransform) -> ModelInput:
        """Return what the network reads, its table transformed."""
        return ModelInput(self.image, self.text, table_input(self.history, transform))


def read_examples(
    cohort: Cohort,
    labels: Labels,
    encoder: TextEncoder,
    *,
    progress: Progress,
    store: Store | None = None,
) -> list[Example]:
    """Read every labelled study of a cohort; those that cannot be read are left out and counted.

    Parameters
    ----------
    store
        Where preprocessed images and the features of sentences are kept between runs.

    Raises
    ------
    UsageError
        If no labelled study can be read, a label is of another patient, or a mask cannot be read.
    """
    studies = [study for study in cohort.inventory.studies if study.study_uid in labels.values]
    owners = {study.study_uid: study.patient_id for study in cohort.inventory.studies}
    labels.require_same_patients(owners, cohort.protocol.identity)
    examples = []
    for number, study in enumerate(studies):
        progress("reading cases", number, len(studies))
        example = _read_example(cohort, study, labels.values[study.study_uid], encoder, store)
        if example is not None:
            examples.append(example)
    progress("reading cases", len(studies), len(studies))
    if not examples:
        msg = "no study of the cohort has both a readable image or history and a row in labels.csv"
        raise UsageError(msg)
    n_absent, n_unread = len(labels.values) - len(studies), len(studies) - len(examples)
    if n_absent or n_unread:
        logger.warning(
            "%s: of %d studies, %d are not in the cohort and %d cannot be read; they were left out",
            labels.source, len(labels.values), n_absent, n_unread,
        )  # fmt: skip
    return examples


def _read_example(
    cohort: Cohort,
    study: Study,
    labels: Sequence[float | None],
    encoder: TextEncoder,
    store: Store | None,
) -> Example | None:
    history, seen = cohort.history(study), see_image(cohort, study, store)
    image = seen.image
    is_refused = seen.has_errors or has_errors(history.issues)
    if is_refused or (image is None and history.is_empty) or not study.patient_id:
        return None
    return Example(
        study_uid=study.study_uid,
        patient_id=study.patient_id,
        fingerprints=() if image is None else fingerprints_of(image),
        image=image,
        text=read_notes(history, encoder, partial(see_phrases, store=store)),
        history=history,
        labels=np.array([np.nan if label is None else label for label in labels], np.float32),
        masks=_masks(cohort.folder, study, image, cohort.protocol),
        quantities={**seen.quantities, **quantities(None, None, history)},
        scanner=study.scanner,
        body_parts=seen.body_parts,
    )


def _masks(
    folder: Path, study: Study, image: ImageInput | None, protocol: Protocol
) -> NDArray[np.float32]:
    """Return the study's token masks, all NaN if its patient is not in the annotated share."""
    training = protocol.training
    place = place_of(f"annotation:{study.patient_id}", seed=training.seed)
    if image is None or not place < training.annotation_share:
        size = tuple(count // STRIDE for count in protocol.grid.size[::-1])
        return np.full((len(protocol.tasks), *size), np.nan, dtype=np.float32)
    return token_masks(folder, study.study_uid, image.grid, protocol)

"""A labelled cohort as examples in memory: what the network reads, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cohort import Cohort, read_case
from pipeline.errors import UsageError
from pipeline.inputs import main_volume, quantities, read_image, read_notes
from pipeline.model.image_encoder import STRIDE
from pipeline.model.text_encoder import TextEncoder
from pipeline.preprocess import TableTransform, table_input
from pipeline.progress import Progress
from pipeline.tensors import ImageInput, ModelInput, TextInput
from pipeline.train.annotations import token_masks
from pipeline.train.splits import Part, part_of, place_of
from schemas.history import History
from schemas.issue import has_errors
from schemas.protocol import Protocol
from schemas.series import Study


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One labelled study.

    Parameters
    ----------
    labels : shape (K,)
        0, 1, or NaN where unknown.
    masks : shape (K, S/4, P/4, L/4)
        Tokens that show the finding; NaN where there is no mask.
    quantities
        For the out-of-distribution check.
    """

    study_uid: str
    patient_id: str
    part: Part
    image: ImageInput | None
    text: TextInput | None
    history: History
    labels: NDArray[np.float32]
    masks: NDArray[np.float32]
    quantities: Mapping[str, float]

    def model_input(self, transform: TableTransform) -> ModelInput:
        """Return what the network reads, its table transformed."""
        return ModelInput(self.image, self.text, table_input(self.history, transform))


def read_examples(
    cohort: Cohort,
    labels: Mapping[str, Mapping[str, int | None]],
    encoder: TextEncoder,
    *,
    progress: Progress,
) -> list[Example]:
    """Read every labelled study of a cohort, leaving out those that cannot be read.

    Raises
    ------
    UsageError
        If no labelled study can be read, or a mask cannot.
    """
    studies = [study for study in cohort.inventory.studies if study.study_uid in labels]
    examples = []
    for number, study in enumerate(studies):
        progress("reading cases", number, len(studies))
        example = _read_example(cohort, study, labels[study.study_uid], encoder)
        if example is not None:
            examples.append(example)
    progress("reading cases", len(studies), len(studies))
    if not examples:
        msg = "no study of the cohort has both a readable image or history and a row in labels.csv"
        raise UsageError(msg)
    return examples


def _read_example(
    cohort: Cohort, study: Study, labels: Mapping[str, int | None], encoder: TextEncoder
) -> Example | None:
    case = read_case(cohort, study)
    if case.is_empty or has_errors(case.issues) or not study.patient_id:
        return None
    protocol = cohort.protocol
    known = [labels[task.name] for task in protocol.tasks]
    training = protocol.training
    volume = main_volume(case, protocol)
    image = read_image(case, protocol)
    return Example(
        study_uid=study.study_uid,
        patient_id=study.patient_id,
        part=part_of(study.patient_id, training.splits, seed=training.seed),
        image=image,
        text=read_notes(case.history, encoder),
        history=case.history,
        labels=np.array([np.nan if label is None else label for label in known], np.float32),
        masks=_masks(cohort.folder, study, image, protocol),
        quantities=quantities(volume, case.history),
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

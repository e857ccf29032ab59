"""What is costly to make of a study, kept between runs: its image and its sentences' features."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from pipeline.code_version import code_sha256
from pipeline.cohort import Cohort, read_case, stated_body_parts
from pipeline.geometry import Geometry
from pipeline.inputs import main_volume, quantities, read_image
from pipeline.model.text_encoder import TextEncoder, encode_phrases
from pipeline.store import Kept, Store
from pipeline.tensors import ImageInput
from schemas.base import FrozenModel
from schemas.history import History
from schemas.issue import has_errors
from schemas.protocol import Protocol
from schemas.series import Study

NOT_READING = (
    "pipeline/train", "pipeline/report", "pipeline/explain", "pipeline/calibration",
    "pipeline/phantom", "pipeline/inspect", "pipeline/assess.py", "pipeline/bundle",
    "pipeline/recalibrate.py", "pipeline/unlike.py", "pipeline/cells.py",
    "pipeline/model/backbones.py", "pipeline/model/collate.py", "pipeline/model/details.py",
    "pipeline/model/ensemble.py", "pipeline/model/fusion.py", "pipeline/model/heads.py",
    "pipeline/model/history_encoder.py", "pipeline/model/image_encoder.py",
    "pipeline/model/join.py", "pipeline/model/network.py", "pipeline/model/readout.py",
    "pipeline/model/recompute.py", "pipeline/model/text_tuning.py", "pipeline/model/weights.py",
)  # fmt: skip
"""Code that reads neither images nor sentences; a change of any other makes all be read anew."""
READERS = (
    "torch", "monai", "numpy", "scipy", "pydicom", "imagecodecs", "transformers", "tokenizers",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SeenImage:
    """What the images of a study come to.

    Parameters
    ----------
    image
        None if the study has none that the protocol asks for.
    quantities
        Of volume and image, for the out-of-distribution check.
    body_parts
        Stated by the headers of the chosen series.
    has_errors
        Whether ingest refuses the study or one of the chosen series.
    """

    image: ImageInput | None
    quantities: Mapping[str, float]
    body_parts: tuple[str, ...]
    has_errors: bool


def see_image(cohort: Cohort, study: Study, store: Store | None) -> SeenImage:
    """Read a study's images, or take what an earlier run read from the same bytes.

    The key holds all that ingest found out about the study, the hash of its files included. What
    could not be read is not kept: next time it may be.
    """
    if store is None:
        return _read(cohort, study)
    key = ["image", _made_by(), study.model_dump_json(), _asked(cohort.protocol)]
    kept = store.get(key)
    if kept is not None:
        return _unpacked(kept)
    seen = _read(cohort, study)
    if not seen.has_errors:
        store.put(key, _packed(seen))
    return seen


def see_phrases(encoder: TextEncoder, texts: Sequence[str], store: Store | None) -> Tensor:
    """Return the features of sentences as :func:`encode_phrases` does, read once per store."""
    if store is None:
        return encode_phrases(encoder, texts)
    key = ["text", _made_by(), encoder_sha256(encoder), list(texts)]
    kept = store.get(key)
    if kept is not None:
        return kept.tensors["features"]
    features = encode_phrases(encoder, texts)
    store.put(key, Kept({"features": features}, {}))
    return features


def encoder_sha256(encoder: TextEncoder) -> str:
    """Hash all that decides what a BERT makes of a text: weights, form, tokenizer, what counts."""
    bert, tokenizer = encoder.bert, encoder.tokenizer.backend_tokenizer.to_str()
    parts = [encoder.sha256, bert.config.to_json_string(), tokenizer, bert.device.type]
    read = [str(encoder.max_tokens), encoder.pooling]
    return hashlib.sha256("\0".join([*parts, *read]).encode()).hexdigest()


def _made_by() -> list[object]:
    libraries = {name: version(name) for name in READERS}
    return [code_sha256(NOT_READING), libraries]


def _asked(protocol: Protocol) -> object:
    return protocol.model_dump(mode="json", include={"series", "grid", "intensity"})


def _read(cohort: Cohort, study: Study) -> SeenImage:
    nothing = History(at=None)
    case = read_case(cohort, study, nothing)
    volume, image = main_volume(case, cohort.protocol), read_image(case, cohort.protocol)
    return SeenImage(
        image,
        quantities(volume, image, nothing),
        stated_body_parts(study, case),
        has_errors(case.issues),
    )


def _packed(seen: SeenImage) -> Kept:
    if seen.image is None:
        return Kept({}, {})
    grid = seen.image.grid
    tensors = {
        "voxels": seen.image.voxels,
        "scanned": seen.image.scanned,
        "affine": torch.from_numpy(np.array(grid.affine)),
    }
    facts = {
        "frame": grid.frame_of_reference_uid,
        "quantities": seen.quantities,
        "body_parts": seen.body_parts,
    }
    return Kept(tensors, facts)


def _unpacked(kept: Kept) -> SeenImage:
    if not kept.tensors:
        return SeenImage(None, {}, (), has_errors=False)
    facts = _Facts.model_validate(kept.facts)
    voxels = kept.tensors["voxels"]
    slices, rows, columns = voxels.shape[1:]
    grid = Geometry(kept.tensors["affine"].numpy(), (slices, rows, columns), facts.frame)
    image = ImageInput(voxels, kept.tensors["scanned"], grid)
    return SeenImage(image, facts.quantities, facts.body_parts, has_errors=False)


class _Facts(FrozenModel):
    frame: str
    quantities: dict[str, float]
    body_parts: tuple[str, ...]

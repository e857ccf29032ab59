"""A search for better settings: what may vary, and what each trial gave."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from schemas.base import FrozenModel
from schemas.settings import ModelSettings, TrainingSettings

Value = bool | int | float | str
"""Of one setting."""
Section = Literal["model", "training"]

SECTIONS: Mapping[Section, type[FrozenModel]] = {
    "model": ModelSettings, "training": TrainingSettings
}  # fmt: skip
_READ_ONCE = "the cases are read once for all trials"
FIXED = {
    "model.text_encoder": _READ_ONCE,
    "model.text_sha256": _READ_ONCE,
    "model.max_tokens": _READ_ONCE,
    "model.text_pooling": _READ_ONCE,
    "training.annotation_share": _READ_ONCE,
    "training.notes_epochs": _READ_ONCE,
    "training.seed": "the search would choose the luckiest",
    "training.splits": "trials would be judged on different patients",
    "training.ensemble": "a trial trains one network",
}
"""Settings that a search may not vary, and why."""


class SettingRange(FrozenModel):
    """What one setting may be: `low` and `high`, or `choices`."""

    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    log: bool = False
    """Whether it is drawn evenly by its logarithm."""
    choices: tuple[Value, ...] = ()
    """Values to choose from."""

    @model_validator(mode="after")
    def _one_form(self) -> "SettingRange":
        if self.choices and (self.low, self.high, self.log) == (None, None, False):
            if len(set(map(str, self.choices))) == len(self.choices) > 1:
                return self
            msg = "choices must be two or more, and differ"
        elif self.choices or self.low is None or self.high is None:
            msg = "give low and high, or choices"
        elif not self.low < self.high:
            msg = f"low {self.low:g} must be below high {self.high:g}"
        elif self.log and not self.low > 0:
            msg = f"low must be above 0 where log is true, got {self.low:g}"
        else:
            return self
        raise ValueError(msg)

    def holds(self, value: Value) -> bool:
        """Say whether the setting may be this."""
        if self.low is None or self.high is None:
            return value in self.choices
        return not isinstance(value, str) and self.low <= value <= self.high


class SearchSpace(FrozenModel):
    """The settings that a search varies, in the protocol's own sections."""

    model: dict[str, SettingRange] = Field(default_factory=dict)
    """Of the network."""
    training: dict[str, SettingRange] = Field(default_factory=dict)
    """Of its training."""

    @model_validator(mode="after")
    def _fits_the_settings(self) -> "SearchSpace":
        named = dict(self.ranges())
        if not named:
            msg = "name at least one setting of model or training"
            raise ValueError(msg)
        faults = [f"{name}: {fault}" for name, one in named.items() if (fault := _fault(name, one))]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def ranges(self) -> Iterator[tuple[str, SettingRange]]:
        """Give each setting's name with its section, such as `training.learning_rate`."""
        for section in SECTIONS:
            for name, one in getattr(self, section).items():
                yield f"{section}.{name}", one

    def holds(self, settings: Mapping[str, Value]) -> bool:
        """Say whether settings, one for each range, all lie within."""
        return all(one.holds(settings[name]) for name, one in self.ranges())


def number_type(name: str) -> type[int] | type[float] | None:
    """Return int or float for a setting that is a number, None for another."""
    kind = _field(name).annotation
    if kind is int:
        return int
    return float if kind is float else None


def _field(name: str) -> FieldInfo:
    section, _, field = name.partition(".")
    return SECTIONS["model" if section == "model" else "training"].model_fields[field]


def _fault(name: str, one: SettingRange) -> str:
    """Return what is wrong with a range for this setting; "" if nothing."""
    if name in FIXED:
        return f"cannot be varied: {FIXED[name]}"
    try:
        field = _field(name)
    except KeyError:
        return "there is no such setting"
    if not one.choices and number_type(name) is None:
        return "is no number: give choices"
    values: tuple[Value | None, ...] = one.choices or (one.low, one.high)
    if number_type(name) is int and not one.choices:
        values = tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
    kind: Any = Annotated[field.annotation, Field(), *field.metadata]
    allowed: TypeAdapter[object] = TypeAdapter(kind)
    for value in values:
        try:
            allowed.validate_python(value, strict=True)
        except ValidationError as error:
            return f"{value}: {error.errors(include_url=False)[0]['msg']}"
    return ""


class Trial(FrozenModel):
    """One set of settings, tried."""

    number: int = Field(ge=0)
    """In the order of the search; 0 is the protocol as it was given."""
    settings: dict[str, Value]
    """By name with section."""
    state: Literal["complete", "pruned", "failed"]
    """`pruned`: stopped early, since it did worse than most at the same epoch."""
    loss: float | None
    """Lowest validation log loss, mean over the tasks; None if it failed."""
    losses: tuple[float, ...] = ()
    """Validation log loss after each epoch of fusing."""
    reason: str = ""
    """Why it failed."""
    seconds: float = Field(ge=0)
    """How long it took."""


class SettingImportance(FrozenModel):
    """How much of the loss's variation over the trials one setting explains."""

    setting: str
    """Name with section."""
    share: float = Field(ge=0, le=1)
    """Of all settings together 1 (fANOVA)."""


class SearchRecord(FrozenModel):
    """The whole search, as trials.json holds it; a killed search goes on from it."""

    schema_version: Literal["1.0"] = "1.0"
    """Version of this document's form."""
    protocol_sha256: str
    """The protocol that was given, without what a site may set otherwise."""
    space: SearchSpace
    """What was varied."""
    seed: int
    """Of the search."""
    cases_sha256: str
    """Which cases with which labels were in the train and the validation part."""
    n_train: int = Field(ge=1)
    """Cases that each trial was trained on."""
    n_validation: int = Field(ge=1)
    """Cases that each trial was judged on."""
    trials: tuple[Trial, ...] = ()
    """In order."""
    importance: tuple[SettingImportance, ...] = ()
    """Largest first; empty as long as there are too few trials to tell."""

    def ranking(self) -> list[Trial]:
        """Return the complete trials, best first."""
        done = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(done, key=lambda one: (one.loss or 0.0, one.number))

"""The whole clinical question in one YAML file: inputs, tasks, model, training, policy."""

import hashlib
import json
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from schemas.base import NAME_PATTERN, FrozenModel
from schemas.column import Column
from schemas.export import Export
from schemas.grid import Grid, Intensity
from schemas.identity import IdentityRule
from schemas.notes_rule import Concept, NotesRule
from schemas.series_rule import SeriesRule
from schemas.settings import AssessmentPolicy, ModelSettings, TrainingSettings
from schemas.sources import Sources
from schemas.task import Task

SITE_PARTS = ("assessment", "export", "identity", "sources", "timezone")
"""What a site may set otherwise than the bundle: policy, and how its records are written."""


class Protocol(FrozenModel):
    """A clinical question, complete."""

    name: str = Field(pattern=NAME_PATTERN)
    """Short name."""
    title: str = Field(min_length=3)
    """What a reader of the report sees."""
    is_simulated: bool = False
    """Whether the cohort is simulated; every report then says so."""
    series: tuple[SeriesRule, ...] = Field(min_length=1)
    """The named series; each may be missing from a study."""
    grid: Grid
    """The model's grid."""
    intensity: Intensity
    """Voxel values to model inputs."""
    look_back_days: int = Field(ge=1, le=36525)
    """Older dated records do not count."""
    timezone: str = ""
    """Where the site is (Europe/Berlin). Local times without a UTC offset, of records and of the
    scanner, are of this zone. If empty, all times are of one local clock and an offset is a fault.
    May differ from the bundle's."""
    export: Export = Export()
    """How the site's record files are written. May differ from the bundle's."""
    table: tuple[Column, ...] = ()
    """Table variables."""
    identity: IdentityRule = IdentityRule()
    """How records are paired with studies. May differ from the bundle's."""
    notes: NotesRule = NotesRule()
    """Notes."""
    concepts: tuple[Concept, ...] = ()
    """Facts that are looked for in the notes."""
    tasks: tuple[Task, ...] = Field(min_length=1)
    """Questions."""
    model: ModelSettings = ModelSettings()
    """Network."""
    training: TrainingSettings = TrainingSettings()
    """Training."""
    sources: Sources = Sources()
    """How FHIR resources or OMOP tables are read. May differ from the bundle's."""
    assessment: AssessmentPolicy = AssessmentPolicy()
    """Policy at assessment. May differ from the bundle's."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = f"{value!r} is no time zone; write a name such as Europe/Berlin"
            raise ValueError(msg) from error

    @model_validator(mode="after")
    def _unique_names(self) -> "Protocol":
        variables = [column.name for column in self.table]
        groups = {
            "series": [rule.name for rule in self.series],
            "table and concepts": variables + [concept.name for concept in self.concepts],
            "tasks": [task.name for task in self.tasks],
        }
        for what, names in groups.items():
            if len(set(names)) != len(names):
                msg = f"{what}: names must differ, got {', '.join(names)}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _identity_columns(self) -> "Protocol":
        kinds = {column.name: column.kind for column in self.table}
        wanted = {"sex": "category", "birth_year": "number", "age": "number"}
        for field, kind in wanted.items():
            name = getattr(self.identity, field)
            if name and kinds.get(name) != kind:
                msg = f"identity: {field} must name a table column of kind {kind}, got {name}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _sets_by_columns(self) -> "Protocol":
        groups = {column.name for column in self.table if column.kind != "number"}
        for task in self.tasks:
            if task.sets_by and task.sets_by not in groups:
                msg = (
                    f"task {task.name}: sets_by must name a flag or a category of the table, "
                    f"got {task.sets_by}"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _sources_fit_the_table(self) -> "Protocol":
        faults = self.sources.faults(self.table)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _small_bert_learns(self) -> "Protocol":
        if self.model.text_encoder == "small" and not self.training.notes_epochs:
            msg = "model.text_encoder 'small' knows no word yet: set training.notes_epochs"
            raise ValueError(msg)
        if self.model.text_encoder == "small" and self.model.text_sha256:
            msg = "model.text_encoder 'small' is made anew, no file: leave model.text_sha256 empty"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _flips_keep_sides(self) -> "Protocol":
        sides = [concept.name for concept in self.concepts if concept.kind == "side"]
        if sides and "L" in self.training.flips:
            msg = (
                "training.flips along L makes left right, which the concept "
                f"{sides[0]} tells apart: leave L out"
            )
            raise ValueError(msg)
        return self

    @property
    def changes_text(self) -> bool:
        """Whether training changes the BERT, so that a bundle keeps its own."""
        return self.model.text_tuning != "frozen" or self.training.notes_epochs > 0

    @property
    def n_variables(self) -> int:
        """Table columns and concepts: what the network reads as variables, in this order."""
        return len(self.table) + len(self.concepts)

    def sha256(self) -> str:
        """Hash of the whole protocol."""
        return _sha256(self.model_dump(mode="json"))

    def trained_sha256(self) -> str:
        """Hash of the part that training saw: all but `SITE_PARTS`."""
        return _sha256(self.model_dump(mode="json", exclude=set(SITE_PARTS)))


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""The whole clinical question in one YAML file: inputs, tasks, model, training, policy."""

import hashlib
import json

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel
from schemas.column import Column
from schemas.grid import Grid, Intensity
from schemas.notes_rule import Concept, NotesRule
from schemas.series_rule import SeriesRule
from schemas.settings import AssessmentPolicy, ModelSettings, TrainingSettings
from schemas.task import Task


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
    table: tuple[Column, ...] = ()
    """Table variables."""
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
    assessment: AssessmentPolicy = AssessmentPolicy()
    """Policy at assessment; the only part that may differ from the bundle's."""

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

    @property
    def n_variables(self) -> int:
        """Table columns and concepts: what the network reads as variables, in this order."""
        return len(self.table) + len(self.concepts)

    def sha256(self) -> str:
        """Hash of the whole protocol."""
        return _sha256(self.model_dump(mode="json"))

    def trained_sha256(self) -> str:
        """Hash of the part that training saw: all but `assessment`."""
        return _sha256(self.model_dump(mode="json", exclude={"assessment"}))


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

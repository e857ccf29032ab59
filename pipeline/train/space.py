"""What a search varies: the space's file, its default, and how settings enter a protocol."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.protocol import read_yaml
from schemas.protocol import Protocol
from schemas.search import SearchSpace, SettingRange, Value

DEFAULT_SPACE = SearchSpace(
    model={
        "width": SettingRange(choices=(32, 64, 128)),
        "layers": SettingRange(low=1, high=3),
        "dropout": SettingRange(low=0.0, high=0.5),
    },
    training={
        "learning_rate": SettingRange(low=3e-4, high=1e-2, log=True),
        "weight_decay": SettingRange(low=1e-3, high=0.3, log=True),
        "batch_size": SettingRange(choices=(16, 32, 64)),
        "modality_dropout": SettingRange(low=0.0, high=0.6),
        "part_weight": SettingRange(low=0.0, high=1.0),
        "sparsity": SettingRange(low=1e-4, high=1e-2, log=True),
        "shrink_sentences": SettingRange(low=1e-2, high=1.0, log=True),
    },
)
"""For whoever names no other; docs/tuning.md shows it as a file."""


def read_space(path: Path) -> SearchSpace:
    """Read and validate a file of settings and their ranges.

    Raises
    ------
    UsageError
        If it cannot be read, names what is no setting or may not be varied, or allows a value that
        the setting may not have.
    """
    holds = "the sections model and training, each with settings and their ranges"
    return read_yaml(path, SearchSpace, "search", holds)


def settings_of(protocol: Protocol, space: SearchSpace) -> dict[str, Value]:
    """Return what a protocol says of the settings that a space varies, by name with section."""
    found = {}
    for name, _ in space.ranges():
        section, _, field = name.partition(".")
        found[name] = getattr(getattr(protocol, section), field)
    return found


def with_settings(protocol: Protocol, settings: Mapping[str, Value]) -> Protocol:
    """Return a protocol with other settings, by name with section.

    Raises
    ------
    pydantic.ValidationError
        If settings that are each allowed do not go together.
    """
    content = protocol.model_dump(mode="json")
    for name, value in settings.items():
        section, _, field = name.partition(".")
        content[section][field] = value
    return Protocol.model_validate(content)

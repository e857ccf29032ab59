"""The protocol file: YAML to a validated Protocol, with faults that name the field."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from pipeline.errors import UsageError
from schemas.base import FrozenModel
from schemas.protocol import Protocol

MAX_BYTES = 1_000_000

Schema = TypeVar("Schema", bound=FrozenModel)


def read_protocol(path: Path) -> Protocol:
    """Read and validate a protocol file.

    Raises
    ------
    UsageError
        As of :func:`read_yaml`.
    """
    return read_yaml(path, Protocol, "protocol", "fields such as name, series and tasks")


def read_yaml(path: Path, schema: type[Schema], what: str, holds: str) -> Schema:
    """Read and validate a file that a user wrote.

    Parameters
    ----------
    what, holds
        What the file should be, and what it should hold, for the messages.

    Raises
    ------
    UsageError
        If it is missing, larger than ``MAX_BYTES``, no YAML, or has a wrong field; all wrong
        fields are named.
    """
    if not path.is_file():
        msg = f"there is no {what} file {path}"
        raise UsageError(msg)
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path} is larger than {MAX_BYTES} bytes: this is no {what}"
        raise UsageError(msg)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is not YAML in UTF-8"
        raise UsageError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} is no {what}: it must hold {holds}"
        raise UsageError(msg)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        msg = f"{path}: {faults_in_words(error)}"
        raise UsageError(msg) from error


def faults_in_words(error: ValidationError) -> str:
    """Return all wrong fields, each with what is wrong."""
    return "; ".join(_fault(*item) for item in _items(error))


def _items(error: ValidationError) -> list[tuple[str, str]]:
    return [
        (".".join(str(part) for part in item["loc"]), item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_url=False, include_input=False)
    ]


def _fault(field: str, message: str) -> str:
    return f"{field}: {message}" if field else message

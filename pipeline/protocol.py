"""The protocol file: YAML to a validated Protocol, with faults that name the field."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.errors import UsageError
from schemas.protocol import Protocol

MAX_BYTES = 1_000_000


def read_protocol(path: Path) -> Protocol:
    """Read and validate a protocol file.

    Raises
    ------
    UsageError
        If it is missing, larger than ``MAX_BYTES``, no YAML, or has a wrong field; all wrong
        fields are named.
    """
    if not path.is_file():
        msg = f"there is no protocol file {path}"
        raise UsageError(msg)
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path} is larger than {MAX_BYTES} bytes: this is no protocol"
        raise UsageError(msg)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is not YAML in UTF-8"
        raise UsageError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} is no protocol: it must hold fields such as name, series and tasks"
        raise UsageError(msg)
    try:
        return Protocol.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_fault(*item) for item in _items(error))
        msg = f"{path}: {faults}"
        raise UsageError(msg) from error


def _items(error: ValidationError) -> list[tuple[str, str]]:
    return [
        (".".join(str(part) for part in item["loc"]), item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_url=False, include_input=False)
    ]


def _fault(field: str, message: str) -> str:
    return f"{field}: {message}" if field else message

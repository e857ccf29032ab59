"""A folder of JSON and NDJSON to resources: each is read or named, none stops the others."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.history.delivery import FaultList
from pipeline.history.fhir.resources import KINDS, Resource

MAX_JSON_BYTES = 256_000_000
MAX_LINE_BYTES = 16_000_000
MAX_RESOURCES = 5_000_000
MAX_DEPTH = 3
BLOCK = 1 << 20
SUFFIXES = (".json", ".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class Found:
    """A resource and where it stands.

    Parameters
    ----------
    resource
        Validated.
    file
        Path below the cohort folder.
    number
        Line of an NDJSON file, or place in a bundle, from 1.
    url
        The bundle's fullUrl; "" if there is none.
    """

    resource: Resource
    file: str
    number: int
    url: str = ""


def read_resources(folder: Path, faults: FaultList) -> Iterator[Found]:
    """Give every resource of a known kind below a folder, in the order of paths and lines.

    Raises
    ------
    UsageError
        If the folder holds no JSON file at all, or more than ``MAX_RESOURCES`` resources.
    """
    paths = sorted(path for path in folder.rglob("*") if _is_resource_file(path))
    if not paths:
        msg = f"{folder} holds no file {', '.join(SUFFIXES)}: put the FHIR resources there"
        raise UsageError(msg)
    count = 0
    for path in paths:
        name = path.relative_to(folder.parent).as_posix()
        read = _read_json if path.suffix.lower() == ".json" else _read_lines
        for found in read(path, name, faults):
            count += 1
            if count > MAX_RESOURCES:
                msg = f"{folder} holds more than {MAX_RESOURCES} resources: split the cohort"
                raise UsageError(msg)
            yield found


def _is_resource_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink()


def _read_json(path: Path, name: str, faults: FaultList) -> Iterator[Found]:
    try:
        size = path.stat().st_size
        text = path.read_bytes() if size <= MAX_JSON_BYTES else None
    except OSError:
        faults.add(name, "cannot be opened")
        return
    if text is None:
        faults.add(name, f"is larger than {MAX_JSON_BYTES} bytes: write it as NDJSON")
        return
    yield from _parse(text, name, 1, faults)


def _read_lines(path: Path, name: str, faults: FaultList) -> Iterator[Found]:
    try:
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    faults.add(name, f"resource {number}: is longer than {MAX_LINE_BYTES} bytes")
                    _skip_line(line, stream.readline)
                elif line.strip():
                    yield from _parse(line, name, number, faults)
    except OSError:
        faults.add(name, "cannot be read to its end")


def _skip_line(line: bytes, readline: Callable[[int], bytes]) -> None:
    while line and not line.endswith(b"\n"):
        line = readline(BLOCK)


def _parse(text: bytes, name: str, number: int, faults: FaultList) -> Iterator[Found]:
    try:
        content = json.loads(
            text.decode("utf-8-sig"), parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse
        )
    except (ValueError, ArithmeticError, RecursionError):
        faults.add(name, f"resource {number}: is not JSON in UTF-8")
        return
    yield from _unpack(content, Found(Resource(), name, number), faults, depth=0)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _unpack(content: object, place: Found, faults: FaultList, *, depth: int) -> Iterator[Found]:
    """Give the resource, or those of a bundle."""
    where = f"resource {place.number}"
    kind = content.get("resourceType") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(kind, str):
        faults.add(place.file, f"{where}: resourceType: is missing, so this is no FHIR resource")
    elif kind == "Bundle":
        yield from _entries(content, place, faults, depth=depth + 1)
    elif kind in KINDS:
        try:
            resource = KINDS[kind].model_validate(content)
        except ValidationError as error:
            faults.add(place.file, f"{where}: {kind}: {_path_and_reason(error)}")
        else:
            yield Found(resource, place.file, place.number, place.url)


def _entries(
    bundle: dict[str, object], place: Found, faults: FaultList, *, depth: int
) -> Iterator[Found]:
    entries = bundle.get("entry", [])
    if depth > MAX_DEPTH or not isinstance(entries, list):
        fault = "no list" if depth <= MAX_DEPTH else f"more than {MAX_DEPTH} bundles deep"
        faults.add(place.file, f"resource {place.number}: Bundle: entry: is {fault}")
        return
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            faults.add(place.file, f"resource {number}: Bundle: entry[{number - 1}]: is no object")
            continue
        url = entry.get("fullUrl")
        # An entry of a transaction that deletes, or of its answer, has no resource.
        if "resource" in entry:
            url = url if isinstance(url, str) else ""
            inner = Found(place.resource, place.file, number, url)
            yield from _unpack(entry["resource"], inner, faults, depth=depth)


def _path_and_reason(error: ValidationError) -> str:
    """Say where and why, without the value, which may be a patient's."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return f"{path.removeprefix('.')}: {first['msg'].removeprefix('Value error, ')}"

"""The folder of a search: the record of its trials, and the best protocol so far."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.files import write_text
from pipeline.train.space import with_settings
from schemas.protocol import Protocol
from schemas.search import SearchRecord, SearchSpace

RECORD = "trials.json"
BEST = "best.yaml"


def read_search(
    out: Path, protocol: Protocol, space: SearchSpace, seed: int
) -> SearchRecord | None:
    """Return the search that a folder holds; None if it holds nothing.

    Raises
    ------
    UsageError
        If it holds something else, or a search with another protocol, space or seed.
    """
    path = out / RECORD
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            msg = f"{out} exists and holds no search: choose another place or remove it"
            raise UsageError(msg)
        return None
    try:
        record = SearchRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        msg = f"{path} is no record of a search by this version: choose another folder"
        raise UsageError(msg) from error
    require_same("settings in the protocol", record.protocol_sha256, protocol.trained_sha256(), out)
    require_same("ranges", record.space, space, out)
    require_same("seed", record.seed, seed, out)
    return record


def require_same(what: str, begun: object, asked: object, out: Path) -> None:
    """Refuse to go on with a search of something else.

    Raises
    ------
    UsageError
        If the two differ.
    """
    if begun != asked:
        msg = (
            f"{out} holds a search with other {what}: give what it was begun with, or choose "
            "another folder"
        )
        raise UsageError(msg)


def write_search(out: Path, record: SearchRecord, protocol: Protocol) -> None:
    """Write the trials, and the best protocol so far."""
    write_text(out / RECORD, record.model_dump_json(indent=1) + "\n")
    for best in record.ranking()[:1]:
        content = with_settings(protocol, best.settings).model_dump(mode="json")
        head = f"# synopt tune: trial {best.number}, validation log loss {best.loss:.4f}\n"
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_text(out / BEST, head + text)

"""A hash of this program's own source, so that what old code made is never taken for new."""

import hashlib
from collections.abc import Collection
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "schemas")


@cache
def code_sha256(without: Collection[str] = ()) -> str:
    """Return the hash of all Python files of the pipeline and the schemas.

    Parameters
    ----------
    without
        Folders and files that do not count, such as ``pipeline/report``. What is new counts until
        it is named here.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not any(name == one or name.startswith(f"{one}/") for one in without):
                digest.update(f"{name}\0{len(content := path.read_bytes())}\0".encode())
                digest.update(content)
    return digest.hexdigest()

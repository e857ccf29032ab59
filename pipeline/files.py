"""Files that are written whole or not at all, and their hashes."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UsageError

LOCK = ".lock"
PARTIAL = ".partial-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to ``path`` once the block ends well.

    The temporary name keeps the suffixes of ``path``, since some writers choose a format by them.
    """
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder; put it in the place of ``path`` once the block ends well.

    Raises
    ------
    UsageError
        If ``path`` exists and is not empty, or its parent cannot be written to.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        msg = f"{path} exists and is not empty: choose another place or remove it"
        raise UsageError(msg)
    make_folder(path.parent)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{path.name}-", dir=path.parent))
    except OSError as error:
        msg = f"cannot write to {path.parent}: {error.strerror}"
        raise UsageError(msg) from error
    try:
        temporary.chmod(0o755)
        yield temporary
        if path.exists():
            path.rmdir()
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def only_run(folder: Path, what: str) -> Iterator[None]:
    """Keep other runs out of a folder, and clear away what one that was killed left half-written.

    The system lets go of the lock when the process ends, however it ends.

    Parameters
    ----------
    what
        Is running there, in words: "another assessment".

    Raises
    ------
    UsageError
        If another run holds the folder, or its file system knows no locks.
    """
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{what} is writing to {folder}: wait for it or choose another place"
            raise UsageError(msg) from error
        except OSError as error:
            msg = f"cannot lock {folder} ({error.strerror}): choose a place on another file system"
            raise UsageError(msg) from error
        for path in folder.rglob(f"{PARTIAL}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        yield


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises
    ------
    UsageError
        If a file is in the way, or there is no permission.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the folder {path}: {error.strerror}"
        raise UsageError(msg) from error


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_writable(folder: Path) -> None:
    """Make a folder if it is not there, and check that files can be written to it.

    Raises
    ------
    UsageError
        If they cannot.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}"
        raise UsageError(msg) from error

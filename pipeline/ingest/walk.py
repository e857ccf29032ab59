"""Every regular file below a folder, never one outside it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.ingest.instance import Unread
from schemas.issue import Issue, IssueCode, Severity


def files_below(folder: Path) -> tuple[list[str], list[Unread]]:
    """List the files below a folder as sorted relative paths with forward slashes.

    Links to folders are not followed; links to files only where the file lies below the folder.
    Pipes, sockets and devices are not opened.

    Returns
    -------
    files, unread
        Paths to read, and what was passed over.

    Raises
    ------
    UsageError
        If the folder does not exist or is none.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder"
        raise UsageError(msg)
    root = folder.resolve()
    files: list[str] = []
    unread: list[Unread] = []
    for path in _walk(root, unread):
        name = _shown(path.relative_to(root).as_posix())
        why = _why_not(path, root)
        if why:
            unread.append(_passed_over(name, why))
        else:
            files.append(name)
    return sorted(files), unread


def _walk(root: Path, unread: list[Unread]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        name = _shown(Path(error.filename).relative_to(root).as_posix())
        unread.append(_passed_over(name, "the folder cannot be opened"))

    for parent, folders, names in os.walk(root, onerror=note, followlinks=False):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in [*names, *links])


def _why_not(path: Path, root: Path) -> str:
    try:
        mode = path.stat().st_mode
        target = path.resolve()
    except (OSError, RuntimeError):
        return "the file cannot be opened"
    if _shown(str(path)) != str(path):
        return "the file's name or folder is not valid UTF-8; rename it"
    if path.is_symlink() and stat.S_ISDIR(mode):
        return "a link to a folder is not followed"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return "" if target.is_relative_to(root) else "a link out of the folder is not followed"


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _passed_over(name: str, why: str) -> Unread:
    issue = Issue(code=IssueCode.FILE_UNREADABLE, severity=Severity.WARNING, message=why)
    return Unread(file=name, issue=issue)

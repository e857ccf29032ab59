"""Every regular file below a folder, never one outside it."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.ingest.instance import Unread
from pipeline.ingest.names import shown_name
from schemas.issue import Issue, IssueCode, Severity


def files_below(folder: Path) -> tuple[list[str], list[Unread]]:
    """List the files below a folder as sorted names.

    Links to folders are not followed; links to files only where the file lies below the folder.
    Pipes, sockets and devices are not opened.

    Returns
    -------
    files, unread
        Names to read, and what was passed over.

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
    for entry in _walk(root, unread):
        name = _name_of(root, entry.path)
        why = _why_not(entry, root)
        if why:
            unread.append(_passed_over(name, why))
        else:
            files.append(name)
    return sorted(files), unread


def _walk(root: Path, unread: list[Unread]) -> Iterator[os.DirEntry[str]]:
    """Give what is no folder; the folders wait in a list, so that depth costs no recursion."""
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError:
            unread.append(_passed_over(_name_of(root, folder), "the folder cannot be opened"))
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                yield entry


def _why_not(entry: os.DirEntry[str], root: Path) -> str:
    if not entry.is_symlink():
        return "" if entry.is_file(follow_symlinks=False) else "not a regular file"
    path = Path(entry.path)
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "the file cannot be opened"
    if target.is_dir():
        return "a link to a folder is not followed"
    if not target.is_file():
        return "not a regular file"
    return "" if target.is_relative_to(root) else "a link out of the folder is not followed"


def _name_of(root: Path, path: str) -> str:
    return shown_name(os.fsencode(path).removeprefix(os.fsencode(root)).lstrip(b"/"))


def _passed_over(name: str, why: str) -> Unread:
    issue = Issue(code=IssueCode.FILE_UNREADABLE, severity=Severity.WARNING, message=why)
    return Unread(file=name, issue=issue)

"""One way to open what an ingested folder holds: its files, and the members of archives there."""

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self, cast

from pipeline.errors import IngestError
from pipeline.ingest.archive import Archive, allowed_bytes, open_archive
from pipeline.ingest.names import archive_of, outermost_of, path_of
from schemas.issue import IssueCode

N_CORES = min(8, os.cpu_count() or 1)
"""How many files are read at the same time where the disk need not be waited for."""
N_THREADS = 2 * N_CORES
"""How many otherwise: more threads than cores take turns, which costs time."""
_OPEN_ARCHIVES = 4


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file or member that is being read."""

    stream: BinaryIO
    n_bytes: int
    """Its size; of a member, as the archive claims, which is never exceeded."""
    is_member: bool
    """Whether it is part of an archive, where only reading on is fast."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


class FileStore:
    """Opens by the names that ``discover`` gives; safe to share between threads.

    A few archives stay open, since their members are read one after another.

    Parameters
    ----------
    folder
        Nothing outside it is opened.
    """

    def __init__(self, folder: Path) -> None:
        self._root = os.path.realpath(folder)
        self._archives: OrderedDict[str, Archive] = OrderedDict()
        self._inside: set[str] = {self._root}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

    def open(self, name: str) -> AbstractContextManager[OpenFile]:
        """Open a file or a member of an archive for reading.

        Raises
        ------
        OSError
            If a file cannot be opened.
        IngestError
            If it lies outside the folder, or a member cannot be read.
        """
        archive, rest = archive_of(name)
        if archive:
            return self._open_member(archive, rest)
        stream = self._open_file(name)
        return OpenFile(stream, os.fstat(stream.fileno()).st_size, is_member=False)

    @contextmanager
    def _open_member(self, archive: str, member: str) -> Iterator[OpenFile]:
        with self.archive(archive) as opened, opened.open(member) as stream:
            yield OpenFile(stream, opened.members[member].file_size, is_member=True)

    def _open_file(self, name: str) -> BinaryIO:
        """Open without a buffer; only a link has to be looked at before it is followed."""
        path = self._path(name)
        try:
            return cast("BinaryIO", FileIO(path, opener=_unless_link))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        return cast("BinaryIO", FileIO(self._inside_path(path)))

    def size(self, name: str) -> int:
        """Return the size of a file that lies in no archive."""
        path = self._path(name)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            status = Path(self._inside_path(path)).stat()
        return status.st_size

    @contextmanager
    def archive(self, name: str) -> Iterator[Archive]:
        """Open an archive, or give the one that is open.

        Raises
        ------
        OSError
            If the file cannot be opened.
        ArchiveError
            If it is damaged or beyond the bounds.
        """
        with self._lock:
            archive = self._archives.pop(name, None) or self._open_archive(name)
            self._archives[name] = archive
            archive.n_users += 1
            self._close_idle()
        try:
            yield archive
        finally:
            with self._lock:
                archive.n_users -= 1

    def _close_idle(self) -> None:
        idle = [name for name, archive in self._archives.items() if archive.n_users == 0]
        for name in idle[: max(0, len(self._archives) - _OPEN_ARCHIVES)]:
            self._archives.pop(name).close()

    def _open_archive(self, name: str) -> Archive:
        around, rest = archive_of(name)
        allowance = allowed_bytes(self.size(outermost_of(name)))
        if not around:
            path = Path(self._inside_path(self._path(rest)))
            stream = path.open("rb")
            return open_archive(stream, self.size(rest), copy=False, allowance=allowance)
        with self.open(name) as found:
            return open_archive(found.stream, found.n_bytes, copy=True, allowance=allowance)

    def _path(self, name: str) -> str:
        """Return where a file lies, in a folder of which it was made sure that it lies below."""
        path = f"{self._root}/{path_of(name)}"
        parent = path.rpartition("/")[0]
        if parent not in self._inside:
            if self._has_link(parent):
                return self._inside_path(path)
            self._inside.add(parent)
        return self._inside_path(path) if path.endswith("/..") else path

    def _has_link(self, folder: str) -> bool:
        """Say whether a path below the root may lead elsewhere; the root's own is resolved."""
        at = self._root
        for part in folder[len(at) + 1 :].split("/"):
            at = f"{at}/{part}"
            if part in ("", ".", "..") or not _is_own_folder(at):
                return True
        return False

    def _inside_path(self, path: str) -> str:
        """Return a path after it was made sure that what it leads to lies below the folder."""
        if os.path.realpath(path) != path and not Path(path).resolve().is_relative_to(self._root):
            msg = "the file lies outside the folder"
            raise IngestError(msg, IssueCode.FILE_UNREADABLE)
        return path


def _is_own_folder(path: str) -> bool:
    """Say whether a path is a folder and no link to one; what is not there is neither, so far."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _unless_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)

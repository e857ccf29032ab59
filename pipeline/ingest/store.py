"""One way to open what an ingested folder holds: its files, and the members of archives there."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from pipeline.errors import IngestError
from pipeline.ingest.archive import Archive, allowed_bytes, open_archive
from pipeline.ingest.names import archive_of, outermost_of, raw_name
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


class FileStore:
    """Opens by the names that ``discover`` gives; safe to share between threads.

    A few archives stay open, since their members are read one after another.

    Parameters
    ----------
    folder
        Nothing outside it is opened.
    """

    def __init__(self, folder: Path) -> None:
        self._root = str(folder.resolve())
        self._archives: OrderedDict[str, Archive] = OrderedDict()
        self._inside: set[str] = {self._root}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

    @contextmanager
    def open(self, name: str) -> Iterator[OpenFile]:
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
            with self.archive(archive) as opened, opened.open(rest) as stream:
                yield OpenFile(stream, opened.members[rest].file_size, is_member=True)
        else:
            with open(self._path(name), "rb", buffering=0) as file:  # noqa: PTH123  faster
                size = os.fstat(file.fileno()).st_size
                yield OpenFile(cast("BinaryIO", file), size, is_member=False)

    def size(self, name: str) -> int:
        """Return the size of a file that lies in no archive."""
        return Path(self._path(name)).stat().st_size

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
            stream = Path(self._path(rest)).open("rb")  # noqa: SIM115  the archive closes it
            return open_archive(stream, self.size(rest), copy=False, allowance=allowance)
        with self.open(name) as found:
            return open_archive(found.stream, found.n_bytes, copy=True, allowance=allowance)

    def _path(self, name: str) -> str:
        """Return where a file lies, after it was made sure that it lies below the folder."""
        path = f"{self._root}/{os.fsdecode(raw_name(name))}"
        parent = path.rpartition("/")[0]
        if parent not in self._inside or path.endswith("/..") or os.path.islink(path):  # noqa: PTH114
            if not Path(path).resolve().is_relative_to(self._root):
                msg = "the file lies outside the folder"
                raise IngestError(msg, IssueCode.FILE_UNREADABLE)
            if os.path.realpath(parent) == parent:
                self._inside.add(parent)
        return path

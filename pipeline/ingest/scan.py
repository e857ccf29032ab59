"""Every file below a folder, read as far as its header and hashed, in parallel."""

import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import IngestError
from pipeline.ingest.archive import (
    DAMAGE,
    MAX_NESTED,
    allowed_bytes,
    is_zip,
    other_archive,
)
from pipeline.ingest.beginning import CHUNK_BYTES, read_beginning, read_head
from pipeline.ingest.header import (
    FileFacts,
    describe,
    has_prefix,
    looks_like_dicom,
    unread,
)
from pipeline.ingest.instance import Instance, Unread
from pipeline.ingest.names import member_name, n_archives, outermost_of
from pipeline.ingest.quiet import quiet
from pipeline.ingest.store import N_CORES, N_THREADS, FileStore, OpenFile
from schemas.issue import IssueCode, Severity

Progress = Callable[[int, int], None]

_WAITING_PER_THREAD = 4
_FILES_PER_JOB = 16
"""Handing over a single small file takes as long as reading it."""
_SMALL_BYTES = 2**16
"""A smaller file takes longer to parse, one thread at a time, than to hash."""
_SLOW_DISK = 4
"""A job that takes so many times its processor time waits for the disk."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a zip archive holds."""

    members: tuple[str, ...]
    n_bytes: int
    """Of all members unpacked."""
    refused: tuple[Unread, ...]


_Result = Instance | Unread | Contents


@dataclass(frozen=True, slots=True)
class _Job:
    """What some files hold, and whether reading them meant waiting for the disk."""

    results: list[_Result]
    is_slow: bool


def scan_files(
    store: FileStore, names: list[str], on_progress: Progress | None
) -> tuple[list[Instance], list[Unread]]:
    """Read every file's header, and those of the members of archives among them.

    Parameters
    ----------
    names
        Of files below the store's folder.
    on_progress
        Called with the number of files read and of all known so far.

    Returns
    -------
    instances, unread
        Sorted by name.
    """
    scan = _Scan(store, deque(names), len(names))
    with quiet(), ThreadPoolExecutor(N_THREADS) as pool:
        waiting: deque[tuple[list[str], Future[_Job]]] = deque()
        while waiting or scan.names:
            while scan.names and len(waiting) < (n_jobs := scan.n_jobs()):
                some = [scan.names.popleft() for _ in range(min(_FILES_PER_JOB, len(scan.names)))]
                submit = pool.submit if n_jobs > 1 else _at_once
                waiting.append((some, submit(_read_files, store, some)))
            some, future = waiting.popleft()
            job = future.result()
            scan.is_slow = job.is_slow if scan.n_read == 0 else scan.is_slow
            for name, result in zip(some, job.results, strict=True):
                scan.take(name, result)
                if on_progress is not None:
                    on_progress(scan.n_read, scan.n_known)
    others = _without_noise(scan.instances, scan.unread)
    return sorted(scan.instances, key=_name), sorted(others, key=_name)


class _Scan:
    """What was found so far, and what is still to be read."""

    def __init__(self, store: FileStore, names: deque[str], n_known: int) -> None:
        self.names, self.n_known, self.n_read = names, n_known, 0
        self.is_slow = False
        self.instances: list[Instance] = []
        self.unread: list[Unread] = []
        self._store = store
        self._left: dict[str, int] = {}

    def n_jobs(self) -> int:
        """Return how many jobs may run or wait, by the first file of the next.

        Where the disk need not be waited for, threads hinder each other at small files.
        """
        try:
            is_small = self._store.size(outermost_of(self.names[0])) < _SMALL_BYTES
        except (OSError, IngestError):  # said of the file when it is read
            is_small = False
        if self.is_slow:
            return _WAITING_PER_THREAD * N_THREADS
        return 1 if is_small else N_CORES

    def take(self, name: str, result: _Result) -> None:
        self.n_read += 1
        if isinstance(result, Instance):
            self.instances.append(result)
        elif isinstance(result, Unread):
            self.unread.append(result)
        else:
            self._take_contents(name, result)

    def _take_contents(self, name: str, contents: Contents) -> None:
        """Queue an archive's members, unless all archives inside one file exceed its allowance."""
        outermost = outermost_of(name)
        allowance = allowed_bytes(self._store.size(outermost))
        left = self._left.get(outermost, allowance) - contents.n_bytes
        if left < 0:
            why = f"with the archives around it, it unpacks to more than {allowance} bytes"
            refused = unread(name, IssueCode.ARCHIVE_REFUSED, Severity.WARNING, why)
            self.unread.append(refused)
            return
        self._left[outermost] = left
        self.unread += contents.refused
        self.names.extendleft(reversed(contents.members))
        self.n_known += len(contents.members)


def _at_once(
    read: Callable[[FileStore, list[str]], _Job], store: FileStore, names: list[str]
) -> Future[_Job]:
    """Do a job in this thread: one job at a time needs no other."""
    future: Future[_Job] = Future()
    future.set_result(read(store, names))
    return future


def _read_files(store: FileStore, names: list[str]) -> _Job:
    start, cpu_start = time.perf_counter(), time.thread_time()
    results = [read_file(store, name) for name in names]
    wall, cpu = time.perf_counter() - start, time.thread_time() - cpu_start
    return _Job(results, is_slow=wall > _SLOW_DISK * cpu)


def read_file(store: FileStore, name: str) -> _Result:
    """Read one file's header and hash it, or list an archive. Whatever it holds, this returns."""
    try:
        with store.open(name) as found:
            head = read_head(found)
            if looks_like_dicom(head):
                return _read_dicom(found, name, head)
        return _read_other(store, name, head)
    except IngestError as error:
        return unread(name, error.code, Severity.WARNING, str(error))
    except OSError as error:
        why = f"the file cannot be opened ({type(error).__name__})"
        return unread(name, IssueCode.FILE_UNREADABLE, Severity.WARNING, why)
    except DAMAGE as error:
        why = f"the member of an archive is damaged ({type(error).__name__})"
        return unread(name, IssueCode.ARCHIVE_UNREADABLE, Severity.WARNING, why)


def _read_dicom(found: OpenFile, name: str, head: bytes) -> Instance | Unread:
    try:
        beginning = read_beginning(found, head)
    except Exception as error:  # an untrusted file may fail in any way
        return _no_header(name, error)
    digest, n_bytes = hashlib.sha256(beginning.head), len(beginning.head)
    if n_bytes != found.n_bytes:  # else the stream stands at the end
        found.stream.seek(n_bytes)
    # One byte more than there should be shows the end, without memory for a whole chunk.
    while chunk := found.stream.read(min(CHUNK_BYTES, max(found.n_bytes - n_bytes, 0) + 1)):
        digest.update(chunk)
        n_bytes += len(chunk)
    facts = FileFacts(name, n_bytes, digest.hexdigest(), has_prefix(head))
    try:
        return describe(beginning.header, beginning.pixels, facts)
    except Exception as error:  # the same
        return _no_header(name, error)


def _no_header(name: str, error: Exception) -> Unread:
    why = f"the header cannot be read ({type(error).__name__})"
    return unread(name, IssueCode.FILE_UNREADABLE, Severity.WARNING, why)


def _read_other(store: FileStore, name: str, head: bytes) -> Unread | Contents:
    if not is_zip(head):
        kind = other_archive(head)
        why = f"not a DICOM file; {kind} files are not unpacked" if kind else "not a DICOM file"
        return unread(name, IssueCode.FILE_NOT_DICOM, Severity.INFO, why)
    if n_archives(name) >= MAX_NESTED:
        why = f"an archive inside {MAX_NESTED} others is not opened"
        return unread(name, IssueCode.ARCHIVE_REFUSED, Severity.WARNING, why)
    with store.archive(name) as archive:
        return Contents(
            members=tuple(member_name(name, member) for member in archive.members),
            n_bytes=archive.n_bytes,
            refused=tuple(
                unread(member_name(name, member), code, Severity.WARNING, why)
                for member, code, why in archive.refused
            ),
        )


def _without_noise(instances: list[Instance], others: list[Unread]) -> list[Unread]:
    """Put one line for an archive in which nothing is DICOM: an office document is one, too."""
    outermost = Counter(outermost_of(other.file) for other in others if n_archives(other.file))
    telling = {outermost_of(instance.file) for instance in instances}
    telling |= {
        outermost_of(other.file)
        for other in others
        if other.issue.code is not IssueCode.FILE_NOT_DICOM
    }
    kept = [
        other
        for other in others
        if not n_archives(other.file) or outermost_of(other.file) in telling
    ]
    for file in outermost.keys() - telling:
        why = f"an archive of {outermost[file]} files, none of them DICOM"
        kept.append(unread(file, IssueCode.FILE_NOT_DICOM, Severity.INFO, why))
    return kept


def _name(found: Instance | Unread) -> str:
    return found.file

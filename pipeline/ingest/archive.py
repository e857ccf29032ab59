"""Zip archives from anyone: read in place, within bounds, never unpacked to a path of theirs."""

import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, cast

from pipeline.errors import IngestError
from pipeline.ingest.names import leads_out, shown_name
from schemas.issue import IssueCode

MAX_NESTED = 3
"""Archives one inside the other; deeper ones are named and left closed."""
MAX_MEMBERS = 200_000
_MAX_DIRECTORY_BYTES = 64 * 2**20
_MAX_MEMBER_BYTES = 4 * 2**30
_ALWAYS_ALLOWED_BYTES = 2**30
_MAX_RATIO = 200
_SPOOL_BYTES = 16 * 2**20
_COPY_BYTES = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_LOCAL_FILE, _EMPTY_ARCHIVE = b"PK\x03\x04", b"PK\x05\x06"
_END, _END_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_OTHER_KINDS = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
# What reading a damaged member raises.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
    *(NotImplementedError, ValueError, LookupError, OSError),
)


class ArchiveError(IngestError):
    """An archive, or a member of it, that is not read."""


@dataclass(slots=True)
class Archive:
    """An open zip archive.

    Parameters
    ----------
    zip_file
        Open for reading.
    members
        What may be read, by its shown name.
    refused
        Shown name, code and reason of each member that is not read.
    spool
        The copy that a nested archive is read from; None if it is a file.
    """

    zip_file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    refused: list[tuple[str, IssueCode, str]]
    spool: BinaryIO | None = None
    n_users: int = 0

    @property
    def n_bytes(self) -> int:
        """Size of all members unpacked, as the archive claims; more is never read of one."""
        return sum(info.file_size for info in self.members.values())

    def open(self, member: str) -> BinaryIO:
        """Open a member by its shown name.

        Raises
        ------
        ArchiveError
            If there is none, or its beginning is damaged.
        """
        if member not in self.members:
            msg = "the archive has no member of this name"
            raise ArchiveError(msg, IssueCode.ARCHIVE_UNREADABLE)
        try:
            return cast("BinaryIO", self.zip_file.open(self.members[member]))
        except DAMAGE as error:
            msg = f"the member cannot be read ({type(error).__name__})"
            raise ArchiveError(msg, IssueCode.ARCHIVE_UNREADABLE) from None

    def close(self) -> None:
        """Close it, and drop the copy."""
        self.zip_file.close()
        if self.spool is not None:
            self.spool.close()


def is_zip(head: bytes) -> bool:
    """Say whether a file's first bytes are those of a zip archive."""
    return head[:4] in (_LOCAL_FILE, _EMPTY_ARCHIVE)


def other_archive(head: bytes) -> str:
    """Name the kind of a packed file that is not opened; empty if it is none."""
    if head[257:262] == b"ustar":
        return "tar"
    return next((kind for start, kind in _OTHER_KINDS.items() if head.startswith(start)), "")


def allowed_bytes(n_bytes: int) -> int:
    """Return how much an archive of ``n_bytes`` may unpack to, with all that is nested in it."""
    return max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * n_bytes)


def open_archive(stream: BinaryIO, n_bytes: int, *, copy: bool, allowance: int) -> Archive:
    """Open a zip archive after its size, its claims and the names in it were checked.

    Parameters
    ----------
    stream
        Seekable, unless it is copied.
    n_bytes
        Its size.
    copy
        Read from a nameless copy instead: of a member of another archive.
    allowance
        Bytes that all members together may claim.

    Raises
    ------
    ArchiveError
        If it is damaged, or its claims are beyond the bounds.
    """
    source = _spooled(stream, n_bytes) if copy else stream
    try:
        archive = _checked(source, n_bytes, allowance)
    except ArchiveError:
        source.close()
        raise
    except Exception as error:  # an untrusted directory may fail in any way
        source.close()
        msg = f"the archive is damaged ({type(error).__name__})"
        raise ArchiveError(msg, IssueCode.ARCHIVE_UNREADABLE) from None
    archive.spool = source
    return archive


def _checked(source: BinaryIO, n_bytes: int, allowance: int) -> Archive:
    n_members, n_directory = _directory_size(source, n_bytes)
    if n_members > MAX_MEMBERS or n_directory > _MAX_DIRECTORY_BYTES:
        msg = f"the archive holds {n_members} members; at most {MAX_MEMBERS} are listed"
        raise ArchiveError(msg, IssueCode.ARCHIVE_REFUSED)
    zip_file = zipfile.ZipFile(source)
    members: dict[str, zipfile.ZipInfo] = {}
    refused = []
    for info in zip_file.infolist():
        if info.is_dir():
            continue
        name = shown_name(info.filename.encode("utf-8", "surrogateescape"))
        why = _why_not(info, name, members)
        if why is None:
            members[name] = info
        else:
            refused.append((name, *why))
    archive = Archive(zip_file, members, refused)
    if archive.n_bytes > allowance:
        msg = f"the archive unpacks to {archive.n_bytes} bytes; at most {allowance} are read"
        raise ArchiveError(msg, IssueCode.ARCHIVE_REFUSED)
    return archive


def _why_not(
    info: zipfile.ZipInfo, name: str, members: dict[str, zipfile.ZipInfo]
) -> tuple[IssueCode, str] | None:
    if leads_out(info.filename):
        return IssueCode.ARCHIVE_REFUSED, "the member's name leads out of the archive"
    if name in members:
        return IssueCode.ARCHIVE_REFUSED, "another member has the same name"
    if info.file_size > _MAX_MEMBER_BYTES:
        return IssueCode.ARCHIVE_REFUSED, f"the member is larger than {_MAX_MEMBER_BYTES} bytes"
    if info.flag_bits & _ENCRYPTED:
        return IssueCode.ARCHIVE_UNREADABLE, "the member is encrypted; decrypt it first"
    if info.compress_type not in _METHODS:
        return IssueCode.ARCHIVE_UNREADABLE, "the member is packed by a method that is not read"
    return None


def _directory_size(source: BinaryIO, n_bytes: int) -> tuple[int, int]:
    """Read how many members an archive has and how many bytes its directory, before it is read."""
    start = max(0, n_bytes - _END.size - 0xFFFF)
    source.seek(start)
    tail = source.read(n_bytes - start)
    at = tail.rfind(_EMPTY_ARCHIVE)
    *_, n_members, n_directory, _, _ = _END.unpack_from(tail, at)
    if at >= _LOCATOR_64.size and 0xFFFF in (n_members, n_directory >> 16):
        signature, _, offset, _ = _LOCATOR_64.unpack_from(tail, at - _LOCATOR_64.size)
        if signature == b"PK\x06\x07":
            source.seek(offset)
            *_, n_members, n_directory, _ = _END_64.unpack(source.read(_END_64.size))
    return n_members, n_directory


def _spooled(stream: BinaryIO, n_bytes: int) -> BinaryIO:
    """Copy a nested archive to memory, or, if it is large, to a file without a name."""
    copy = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115  closed by Archive
    left = n_bytes
    try:
        while left > 0 and (chunk := stream.read(min(left, _COPY_BYTES))):
            copy.write(chunk)
            left -= len(chunk)
    except DAMAGE as error:
        copy.close()
        msg = f"the archive cannot be unpacked ({type(error).__name__})"
        raise ArchiveError(msg, IssueCode.ARCHIVE_UNREADABLE) from None
    return cast("BinaryIO", copy)

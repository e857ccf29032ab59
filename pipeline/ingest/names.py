r"""Names of files and of members of archives as plain text, and back without loss.

A file's name is its path below the ingested folder with forward slashes. A member of an archive is
the archive's name, ``!/`` and its name inside; archives may be nested. What could not stand in a
line of text or would be taken for a separator is written as ``\xNN``, byte by byte: bytes that are
no UTF-8, what cannot be printed, a backslash that begins such an escape, and an exclamation mark
before a slash.
"""

import os
import re

MEMBER_MARK = "!/"
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_TAKEN_FOR_ESCAPE = re.compile(r"\\(?=x[0-9a-f]{2})")


def shown_name(raw: bytes) -> str:
    """Write a path, as the file system or an archive holds it, as plain text."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text and MEMBER_MARK not in text:
        return text
    text = _TAKEN_FOR_ESCAPE.sub(r"\\x5c", text).replace(MEMBER_MARK, r"\x21/")
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def raw_name(shown: str) -> bytes:
    """Return the path that ``shown_name`` was given."""
    if "\\" not in shown:
        return shown.encode()
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), shown.encode())


def path_of(shown: str) -> str:
    """Return the same as the system's functions take it."""
    if shown.isascii() and "\\" not in shown:
        return shown
    return os.fsdecode(raw_name(shown))


def member_name(archive: str, member: str) -> str:
    """Name a member of an archive; both names are shown ones."""
    return f"{archive}{MEMBER_MARK}{member}"


def archive_of(name: str) -> tuple[str, str]:
    """Divide a name into its innermost archive, empty if there is none, and the rest."""
    archive, _, rest = name.rpartition(MEMBER_MARK)
    return archive, rest


def outermost_of(name: str) -> str:
    """Return the file below the folder that holds what is named."""
    return name.partition(MEMBER_MARK)[0]


def n_archives(name: str) -> int:
    """Count the archives that lie one inside the other around what is named."""
    return name.count(MEMBER_MARK)


def leads_out(name: str) -> bool:
    """Say whether a path in an archive or a DICOMDIR is absolute or climbs out of its folder."""
    parts = re.split(r"[/\\]", name)
    return not parts[0] or ".." in parts or re.match(r"[A-Za-z]:", name) is not None


def _escaped(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))

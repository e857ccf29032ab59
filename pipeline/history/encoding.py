"""The character encoding of a file: stated, found out, or in doubt and then said."""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import RecordsError
from pipeline.history.faults import fault

CHUNK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
)  # fmt: skip
_NAMES = {"windows-1252": "cp1252", "latin-1": "latin-1", "utf-8": "utf-8-sig", "utf-16": "utf-16"}
_PAIRS = re.compile(
    rb"[\xc3-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}"
)
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_HIGH = re.compile(rb"[\x80-\xff]")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
DOUBT = (
    "is not UTF-8; its letters beyond ASCII were read as {name}; if that is wrong, say "
    "export: encoding in the protocol"
)


class Encoding(NamedTuple):
    """How a file's bytes are letters."""

    name: str
    """As Python names it."""
    doubt: str = ""
    """What was assumed, in words; "" if nothing was."""


def encoding_of(path: Path, stated: str = "") -> Encoding:
    """Find out a text file's encoding and check that all of it can be read so.

    A byte order mark decides; then UTF-8 and UTF-16 if the whole file is valid in them. What is
    neither is Windows-1252, or Latin-1 where it has bytes that Windows-1252 lacks; that is an
    assumption, and said.

    Parameters
    ----------
    stated
        By the protocol; "" if it says nothing.

    Raises
    ------
    RecordsError
        If the file holds no text, is not in the stated encoding, or is UTF-8 with broken places.
    """
    with path.open("rb") as stream:
        head = stream.read(CHUNK)
    name = _NAMES[stated] if stated else _by_mark(head) or _by_zeros(head)
    if name:
        _require_readable(path, name)
        return Encoding(name)
    broken = _first_undecodable(path, "utf-8")
    if broken is None:
        if _BINARY.search(head):
            raise RecordsError([fault(path.name, "holds control characters; it is no text")])
        return Encoding("utf-8")
    return _one_byte(path, broken)


def decoded(content: bytes, stated: str = "") -> tuple[str, str]:
    """Return the text of a whole small file, and what was assumed about its encoding, in words.

    By the rules of :func:`encoding_of`, but control characters are let through: in one note of many
    they are no reason to stop.

    Raises
    ------
    UnicodeDecodeError
        If it is not in the stated encoding, or that of its mark.
    """
    name = _NAMES[stated] if stated else _by_mark(content) or _by_zeros(content)
    if name:
        return content.decode(name), ""
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError:
        name = "latin-1" if _UNDEFINED.search(content) else "cp1252"
        return content.decode(name), _doubt(name)


def _doubt(name: str) -> str:
    return DOUBT.format(name={"cp1252": "Windows-1252", "latin-1": "Latin-1"}[name])


def _by_mark(head: bytes) -> str:
    return next((name for mark, name in _MARKS if head.startswith(mark)), "")


def _by_zeros(head: bytes) -> str:
    """Name UTF-16 without a mark: every other byte of Western text is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(len(head) // 2, 1)
    if odd > 0.5 * half and even < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 * half and odd < 0.1 * half else ""


def _require_readable(path: Path, name: str) -> None:
    row = _first_undecodable(path, name)
    if row is not None:
        reason = f"cannot be read as {name}; save it as UTF-8"
        raise RecordsError([fault(path.name, reason, rows=[row])])


def _one_byte(path: Path, broken: int) -> Encoding:
    pairs = high = 0
    name = "cp1252"
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            if _BINARY.search(chunk):
                raise RecordsError([fault(path.name, "holds control characters; it is no text")])
            pairs += sum(len(pair) for pair in _PAIRS.findall(chunk))
            high += len(_HIGH.findall(chunk))
            name = "latin-1" if _UNDEFINED.search(chunk) else name
    if pairs > 0.5 * high:
        reason = "is UTF-8 with bytes that are not; save it as UTF-8 again"
        raise RecordsError([fault(path.name, reason, rows=[broken])])
    return Encoding(name, _doubt(name))


def _first_undecodable(path: Path, name: str) -> int | None:
    """Return the line of the first byte that is not of an encoding, None if all are."""
    decoder = codecs.getincrementaldecoder(name)()
    lines = 1
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            try:
                lines += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                return lines + error.object[: error.start].count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return lines
    return None

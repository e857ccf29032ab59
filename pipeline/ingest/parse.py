"""The elements that ingest needs out of a file's first bytes, and where its pixel data lies.

``parse_header`` reads the usual file, little endian and without anything odd before its pixels, by
a short walk of its own: about five times as fast as pydicom, which reads every other file.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pipeline.ingest.elements import tag_of, text_of
from pipeline.ingest.kept import Header, Raw, kept

PREAMBLE_BYTES = 128
UNDEFINED = 0xFFFFFFFF
_MAX_INFLATED_HEADER = 64 * 2**20
_MAX_DEPTH = 64
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_NOT_DEFLATED = ExplicitVRLittleEndian.encode().ljust(len(_DEFLATED), b"\0")
_PIXEL_TAGS = {tag_for_keyword(f"{kind}PixelData") for kind in ("", "Float", "DoubleFloat")}
_INTEGER_PIXEL_TAG = 0x7FE00010
_META_TAGS = {0x00020002, 0x00020003, 0x00020010}
_CHARACTER_SET = tag_of("SpecificCharacterSet")
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_EXPLICIT_VR = re.compile(rb"[A-Z]{2}")
_LONG_VRS = {
    vr.encode(): vr
    for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
}
_SHORT_VRS = {
    vr.encode(): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN"),
        *("SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
_SHORT = struct.Struct("<HH2sH").unpack_from
_IMPLICIT = struct.Struct("<HHL").unpack_from
_SHORT_BYTES, _LONG_BYTES = 8, 12
_MAX_BEGUN = 8192
_LENGTH = struct.Struct("<L").unpack_from


@dataclass(frozen=True, slots=True)
class PixelData:
    """What is known of the pixel data without reading it."""

    syntax: UID
    """Transfer Syntax UID (0002,0010), or the one that the file was read as."""
    is_present: bool
    offset: int | None = None
    """Bytes before its value; None if deflated or absent."""
    length: int = UNDEFINED
    """Bytes of its value by its own element; ``UNDEFINED`` if in fragments."""
    is_integer: bool = True
    """Whether it is Pixel Data (7FE0,0010), not Float or Double Float Pixel Data."""
    is_words: bool = False
    """Whether its value representation is OW."""
    is_cut: bool = False
    """Whether its fragments run beyond the end of the file."""


class _UnusualError(Exception):
    """The short walk met something that it leaves to pydicom."""


def parse_header(head: bytes, wanted: frozenset[int]) -> tuple[Header, PixelData]:
    """Read elements from a file's first bytes. Call it under ``quiet``.

    Parameters
    ----------
    head
        Begins at the file's first byte and may end anywhere.
    wanted
        Tags of the elements to keep; those inside sequences come with their sequence.

    Returns
    -------
    header, pixels
        Of a deflated file the offset counts in what ``inflated`` returns.

    Raises
    ------
    Exception
        Of many kinds, if the bytes are no DICOM header.
    """
    try:
        meta, start = _meta(head)
        syntax = _stored_as(Header(meta))
        if syntax != DeflatedExplicitVRLittleEndian:
            return _walked(head, meta, syntax, start, wanted)
    except (_UnusualError, struct.error, LookupError):
        return _by_pydicom(head, wanted)
    header, pixels = parse_header(inflated(head, _MAX_INFLATED_HEADER), wanted)
    return header, replace(pixels, syntax=DeflatedExplicitVRLittleEndian)


def inflated(content: bytes, max_bytes: int) -> bytes:
    """Turn a file in Deflated Explicit VR Little Endian (PS3.5 A.5) into one that is not deflated.

    Parameters
    ----------
    content
        The file, or its beginning.
    max_bytes
        No more are inflated, whatever the file claims.

    Raises
    ------
    zlib.error
        If the stream is damaged.
    """
    _, start = _meta(content)
    body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[start:], max_bytes)
    return content[:start].replace(_DEFLATED, _NOT_DEFLATED, 1) + body


def _syntax(meta: Dataset) -> UID:
    return UID(text_of(meta, "TransferSyntaxUID"))


@kept("TransferSyntaxUID")
def _stored_as(dataset: Dataset) -> UID:
    return _syntax(dataset.file_meta)


def _by_pydicom(head: bytes, wanted: frozenset[int]) -> tuple[Header, PixelData]:
    if _DEFLATED in head:
        msg = "a deflated file whose file meta information is damaged"  # pydicom inflates all of it
        raise ValueError(msg)
    stream = io.BytesIO(head)
    dataset = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*wanted])
    is_little = dataset.original_encoding[1] is not False
    assumed = ImplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    syntax = _syntax(dataset.file_meta) or assumed
    return Header.of(dataset), _pixel_data(head, stream.tell(), syntax, is_little=is_little)


def _walked(
    head: bytes, meta: dict[int, Raw], syntax: UID, start: int, wanted: frozenset[int]
) -> tuple[Header, PixelData]:
    if not _is_walked(syntax):
        raise _UnusualError
    is_implicit = syntax == ImplicitVRLittleEndian
    # Some writers say one and write the other.
    if is_implicit == (_EXPLICIT_VR.match(head, start + 4) is not None):
        raise _UnusualError
    elements, at = _elements(head, start, wanted, is_implicit=is_implicit)
    charset = elements.get(_CHARACTER_SET)
    encodings = () if charset is None else _encodings(Header({_CHARACTER_SET: charset}))
    header = Header(meta | elements, encodings)
    return header, _pixel_data(head, at, syntax, is_little=True)


@lru_cache
def _is_walked(syntax: UID) -> bool:
    return syntax.is_transfer_syntax and syntax != ExplicitVRBigEndian


@kept("SpecificCharacterSet")
def _encodings(dataset: Dataset) -> tuple[str, ...]:
    return tuple(convert_encodings(dataset[_CHARACTER_SET].value))


def _meta(head: bytes) -> tuple[dict[int, Raw], int]:
    """Read the file meta information, always explicit VR little endian, and where it ends."""
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != b"DICM":
        raise _UnusualError
    at = PREAMBLE_BYTES + 4
    meta: dict[int, Raw] = {}
    while head[at : at + 2] == b"\x02\x00":
        tag, vr, length, value_at = _explicit_element(head, at)
        at = value_at + length
        if length == UNDEFINED or at > len(head):
            raise _UnusualError
        if tag in _META_TAGS:
            meta[tag] = vr, head[value_at:at]
    if len(meta) != len(_META_TAGS):
        raise _UnusualError
    return meta, at


def _elements(
    head: bytes, at: int, wanted: frozenset[int], *, is_implicit: bool
) -> tuple[dict[int, Raw], int]:
    """Collect the wanted elements from ``at`` to the pixel data or the end; return that place."""
    read = _implicit_element if is_implicit else _explicit_element
    found: dict[int, Raw] = {}
    before, end = 0, len(head)
    while at < end:
        tag, vr, length, value_at = read(head, at)
        if tag in _PIXEL_TAGS:
            break
        if tag <= before:
            raise _UnusualError
        before = tag
        at = value_at + length
        if tag in wanted:
            if length and (vr or _dictionary_vr(tag)) == "SQ":
                raise _UnusualError
            found[tag] = vr, head[value_at:at]
        elif length == UNDEFINED:
            at = _after_sequence(head, value_at, is_implicit=is_implicit)
    if at > end:
        raise _UnusualError
    return found, at


@cache
def _dictionary_vr(tag: int) -> str:
    """Return the representation of an element that does not say it, "" of a private one."""
    return "" if BaseTag(tag).is_private else dictionary_VR(tag)


def _explicit_element(head: bytes, at: int) -> tuple[int, str | None, int, int]:
    tag, vr, length, n_bytes = _explicit(head[at : at + _SHORT_BYTES])
    if length is None:
        length = _LENGTH(head, at + _SHORT_BYTES)[0]
    return tag, vr, length, at + n_bytes


@lru_cache(_MAX_BEGUN)
def _explicit(begun: bytes) -> tuple[int, str | None, int | None, int]:
    """Read tag, representation, length (None if it is still to come) and bytes before the value.

    Most elements of a series' files begin with the same bytes, so that a look-up is enough.
    """
    group, element, code, length = _SHORT(begun)
    vr = _SHORT_VRS.get(code)
    if vr is not None:
        return group << 16 | element, vr, length, _SHORT_BYTES
    if code not in _LONG_VRS:
        raise _UnusualError
    return group << 16 | element, _LONG_VRS[code], None, _LONG_BYTES


def _implicit_element(head: bytes, at: int) -> tuple[int, None, int, int]:
    tag, length = _implicit(head[at : at + _SHORT_BYTES])
    return tag, None, length, at + _SHORT_BYTES


@lru_cache(_MAX_BEGUN)
def _implicit(begun: bytes) -> tuple[int, int]:
    """Read tag and length of an element without representation."""
    group, element, length = _IMPLICIT(begun)
    return group << 16 | element, length


def _after_sequence(head: bytes, at: int, *, is_implicit: bool) -> int:
    """Return where a sequence of undefined length ends, whose first item begins at ``at``."""
    open_levels = [_SEQUENCE_END]  # what ends each level: a sequence, an item in it, and so on
    while open_levels:
        if len(open_levels) > _MAX_DEPTH:
            raise _UnusualError
        tag, _, length, value_at = _implicit_element(head, at)
        if tag == open_levels[-1]:
            open_levels.pop()
            at = value_at
        elif open_levels[-1] == _SEQUENCE_END:
            if tag != _ITEM:
                raise _UnusualError
            at = _entered(open_levels, _ITEM_END, length, value_at)
        else:
            vr: str | None = None
            if not is_implicit:
                _, vr, length, value_at = _explicit_element(head, at)
            if length == UNDEFINED and vr not in ("SQ", None):
                raise _UnusualError
            at = _entered(open_levels, _SEQUENCE_END, length, value_at)
    return at


def _entered(open_levels: list[int], end: int, length: int, value_at: int) -> int:
    """Open a level of undefined length, or pass over one whose length is known."""
    if length == UNDEFINED:
        open_levels.append(end)
        return value_at
    return value_at + length


def _pixel_data(head: bytes, at: int, syntax: UID, *, is_little: bool) -> PixelData:
    """Describe the pixel data whose element begins at ``at``."""
    order: Literal["little", "big"] = "little" if is_little else "big"
    element = head[at : at + 12]
    tag = int.from_bytes(element[:2], order) << 16 | int.from_bytes(element[2:4], order)
    if tag not in _PIXEL_TAGS:
        return PixelData(syntax, is_present=False)
    is_long = _EXPLICIT_VR.match(element, 4) is not None
    start = 8 if is_long else 4
    length = int.from_bytes(element[start : start + 4], order)
    return PixelData(
        syntax,
        is_present=True,
        offset=at + start + 4,
        length=length,
        is_integer=tag == _INTEGER_PIXEL_TAG,
        is_words=element[4:6] != b"OB",
    )

"""A short walk through a file's header: where its elements begin, and where wanted values lie.

It leaves to pydicom what is unusual: a header that is not little endian, that is cut, out of order
or damaged, or has a wanted sequence.
"""

import re
import struct
from functools import cache, lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag

PREAMBLE_BYTES = 128
UNDEFINED = 0xFFFFFFFF
EXPLICIT_VR = re.compile(rb"[A-Z]{2}")
"""What stands after a tag where the value representation is written."""
PIXEL_TAGS = {tag_for_keyword(f"{kind}PixelData") for kind in ("", "Float", "DoubleFloat")}
META_TAGS = {0x00020002, 0x00020003, 0x00020010}
_MAX_DEPTH = 64
_MAX_BEGUN = 8192
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
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
_LENGTH = struct.Struct("<L").unpack_from
_SHORT_BYTES, _LONG_BYTES = 8, 12

Place = tuple[str | None, int, int]
"""Value representation, None if it is implicit, and first and last byte + 1 of a value."""
_Element = tuple[int, str | None, int, int]
"""Tag, value representation, length and first byte of the value."""


class UnusualError(Exception):
    """The walk met something that it leaves to pydicom."""


class Walk:
    """What a walk has met so far.

    Parameters
    ----------
    head
        The file's first bytes; may end anywhere.
    """

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.begun: list[tuple[int, int]] = []
        """First byte and last byte + 1 of what it has looked at."""
        self.values: dict[int, Place] = {}
        """Where the wanted values lie, by tag."""

    def meta(self) -> int:
        """Pass the file meta information, always explicit VR little endian; return where it ends.

        Raises
        ------
        UnusualError, struct.error
            If it is cut, or not all there.
        """
        at = PREAMBLE_BYTES + 4
        if self.head[PREAMBLE_BYTES:at] != b"DICM":
            raise UnusualError
        self.begun.append((PREAMBLE_BYTES, at))
        while self.head[at : at + 2] == b"\x02\x00":
            tag, vr, length, start = self._element(at, is_implicit=False)
            at = start + length
            if length == UNDEFINED or at > len(self.head):
                raise UnusualError
            if tag in META_TAGS:
                self.values[tag] = vr, start, at
        if len(self.values) != len(META_TAGS):
            raise UnusualError
        return at

    def elements(self, at: int, wanted: frozenset[int], *, is_implicit: bool) -> int:
        """Pass all elements from ``at`` to the pixel data or the end; return that place.

        Raises
        ------
        UnusualError, struct.error
            If they are cut, out of order, or a wanted one is a sequence.
        """
        before, end = 0, len(self.head)
        while at < end:
            tag, vr, length, start = self._element(at, is_implicit=is_implicit)
            if tag in PIXEL_TAGS:
                break
            if tag <= before:
                raise UnusualError
            before = tag
            at = start + length
            if tag in wanted:
                if length and (vr or _dictionary_vr(tag)) == "SQ":
                    raise UnusualError
                self.values[tag] = vr, start, at
            elif length == UNDEFINED:
                at = self._after_sequence(start, is_implicit=is_implicit)
        if at > end:
            raise UnusualError
        return at

    def _element(self, at: int, *, is_implicit: bool) -> _Element:
        element = (_implicit_element if is_implicit else _explicit_element)(self.head, at)
        self.begun.append((at, element[3]))
        return element

    def _after_sequence(self, at: int, *, is_implicit: bool) -> int:
        """Return where a sequence of undefined length ends, whose first item begins at ``at``."""
        open_levels = [_SEQUENCE_END]  # what ends each level: a sequence, an item in it, and so on
        while open_levels:
            if len(open_levels) > _MAX_DEPTH:
                raise UnusualError
            tag, _, length, start = self._element(at, is_implicit=True)
            if tag == open_levels[-1]:
                open_levels.pop()
                at = start
            elif open_levels[-1] == _SEQUENCE_END:
                if tag != _ITEM:
                    raise UnusualError
                at = _entered(open_levels, _ITEM_END, length, start)
            else:
                vr: str | None = None
                if not is_implicit:
                    _, vr, length, start = self._element(at, is_implicit=False)
                if length == UNDEFINED and vr not in ("SQ", None):
                    raise UnusualError
                at = _entered(open_levels, _SEQUENCE_END, length, start)
        return at


@cache
def _dictionary_vr(tag: int) -> str:
    """Return the representation of an element that does not say it, "" of a private one."""
    return "" if BaseTag(tag).is_private else dictionary_VR(tag)


def _explicit_element(head: bytes, at: int) -> _Element:
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
        raise UnusualError
    return group << 16 | element, _LONG_VRS[code], None, _LONG_BYTES


def _implicit_element(head: bytes, at: int) -> _Element:
    tag, length = _implicit(head[at : at + _SHORT_BYTES])
    return tag, None, length, at + _SHORT_BYTES


@lru_cache(_MAX_BEGUN)
def _implicit(begun: bytes) -> tuple[int, int]:
    """Read tag and length of an element without representation."""
    group, element, length = _IMPLICIT(begun)
    return group << 16 | element, length


def _entered(open_levels: list[int], end: int, length: int, value_at: int) -> int:
    """Open a level of undefined length, or pass over one whose length is known."""
    if length == UNDEFINED:
        open_levels.append(end)
        return value_at
    return value_at + length

"""Where the pixel data of a file lies, told without reading it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydicom.uid import UID

from pipeline.ingest.header_walk import EXPLICIT_VR, PIXEL_TAGS, UNDEFINED

_INTEGER_PIXEL_TAG = 0x7FE00010


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

    @property
    def is_encapsulated(self) -> bool:
        """Whether frames are stored in fragments, by a syntax that is one."""
        return _kind(self.syntax)[0]

    @property
    def is_deflated(self) -> bool:
        """Whether the file is deflated, by a syntax that is one."""
        return _kind(self.syntax)[1]


@lru_cache
def _kind(syntax: UID) -> tuple[bool, bool]:
    """Ask once what pydicom works out at each call.

    Raises
    ------
    ValueError
        If the UID is that of no transfer syntax.
    """
    return syntax.is_encapsulated, syntax.is_deflated


def pixel_data_at(head: bytes, at: int, syntax: UID, *, is_little: bool) -> PixelData:
    """Describe the pixel data whose element begins at ``at``."""
    order: Literal["little", "big"] = "little" if is_little else "big"
    element = head[at : at + 12]
    tag = int.from_bytes(element[:2], order) << 16 | int.from_bytes(element[2:4], order)
    if tag not in PIXEL_TAGS:
        return PixelData(syntax, is_present=False)
    is_long = EXPLICIT_VR.match(element, 4) is not None
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

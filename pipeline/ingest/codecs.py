"""Compressed frames of every transfer syntax become arrays of stored values, or a refusal.

imagecodecs decodes: it leaves Python's lock while it does, so frames are decoded in parallel. What
a frame claims of itself is compared with the header before a byte is decoded, which also bounds the
memory that it can take.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.errors import IngestError

Pixels = NDArray[np.integer[Any]]

_SOI, _SOC_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_SOF = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_MAX_SEGMENTS = 1000
_RLE_HEADER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """How the header says that one frame is stored."""

    syntax: UID
    rows: int
    columns: int
    allocated: int
    """Bits Allocated (0028,0100): 8, 16 or 32."""
    stored: int
    """Bits Stored (0028,0101)."""
    is_signed: bool
    """Pixel Representation (0028,0103)."""

    @property
    def dtype(self) -> np.dtype[np.integer[Any]]:
        """Type of one stored value, little endian."""
        return np.dtype(f"<{'i' if self.is_signed else 'u'}{self.allocated // 8}")

    @property
    def n_bytes(self) -> int:
        """Of one frame that is not compressed."""
        return self.rows * self.columns * self.allocated // 8


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a codestream says of itself."""

    rows: int
    columns: int
    n_components: int
    precision: int
    is_signed: bool = False


def is_decodable(syntax: UID) -> bool:
    """Say whether frames of a transfer syntax can be read."""
    is_native = syntax.is_transfer_syntax and not syntax.is_encapsulated
    return is_native or syntax == RLELossless or syntax in _CODECS


def decode_frame(content: bytes, frame: Stored) -> Pixels:
    """Decode one compressed frame.

    Returns
    -------
    shape (rows, columns)
        Stored values, their sign extended where ``frame`` is signed.

    Raises
    ------
    IngestError
        If it cannot be decoded, is no image of the header's size, or its values cannot be told for
        certain.
    """
    if frame.syntax == RLELossless:
        return _decode_rle(content, frame)
    claim_of, decode = _CODECS[frame.syntax]
    try:
        claim = claim_of(content)
    except (struct.error, IndexError):
        claim = None
    if claim is None:
        msg = "the compressed pixels have no valid beginning"
        raise IngestError(msg)
    _compare(claim, frame)
    out = np.empty((frame.rows, frame.columns), _container(claim))
    try:
        decode(content, out=out)
    except Exception as error:  # libraries raise many kinds on damaged data
        msg = f"the pixels cannot be decoded ({type(error).__name__})"
        raise IngestError(msg) from None
    return _as_the_header_says(out, claim, frame)


def within_stored_bits(image: Pixels, frame: Stored) -> Pixels:
    """Extend the sign of values in fewer bits than allocated; the unused bits must be unused.

    They must be zero or repeat the sign (PS3.5 8.1.1). An old overlay may lie there, or Bits
    Stored (0028,0101) may be wrong; values that differ by which it is cannot be told.

    Raises
    ------
    IngestError
        If the unused bits hold anything else.
    """
    n_unused = 8 * image.dtype.itemsize - frame.stored
    if n_unused <= 0:
        return image
    if not frame.is_signed:
        is_within = int(image.max(initial=0)) >> frame.stored == 0
        extended = image
    else:
        extended = (image << n_unused) >> n_unused
        is_within = np.array_equal(image, extended) or np.array_equal(
            image, extended & (2**frame.stored - 1)
        )
    if not is_within:
        msg = f"pixel values use more than the {frame.stored} bits stored by the header"
        raise IngestError(msg)
    return extended


def _compare(claim: _Claim, frame: Stored) -> None:
    if (claim.rows, claim.columns, claim.n_components) != (frame.rows, frame.columns, 1):
        msg = (
            f"compressed pixels of {claim.rows}x{claim.columns}x{claim.n_components} where the "
            f"header says {frame.rows}x{frame.columns}"
        )
        raise IngestError(msg)
    if not 1 <= claim.precision <= frame.allocated or claim.precision > 16:
        msg = f"compressed pixels of {claim.precision} bits where {frame.allocated} are allocated"
        raise IngestError(msg)


def _container(claim: _Claim) -> np.dtype[np.integer[Any]]:
    kind = "i" if claim.is_signed else "u"
    return np.dtype(f"{kind}{1 if claim.precision <= 8 else 2}")


def _as_the_header_says(image: Pixels, claim: _Claim, frame: Stored) -> Pixels:
    """Turn a codestream's values into the header's, where both can be meant in one way only.

    A codestream that calls itself unsigned holds the bits of signed values as they are; they are
    of the header's number of bits, or none reaches the sign bit.
    """
    if claim.is_signed:
        if not frame.is_signed and int(image.min(initial=0)) < 0:
            msg = "negative compressed pixels where the header says that there are none"
            raise IngestError(msg)
        return within_stored_bits(image, frame)
    if not frame.is_signed:
        return within_stored_bits(image, frame)
    sign_bit = 1 << (claim.precision - 1)
    if claim.precision < frame.stored and int(image.max(initial=0)) >= sign_bit:
        msg = (
            f"compressed pixels of {claim.precision} bits where the header says "
            f"{frame.stored}, signed: which of them are negative cannot be told"
        )
        raise IngestError(msg)
    signed = image.view(f"i{image.dtype.itemsize}")
    n_unused = 8 * image.dtype.itemsize - claim.precision
    return within_stored_bits((signed << n_unused) >> n_unused, frame)


def _jpeg_claim(content: bytes) -> _Claim | None:
    """Find the frame header of JPEG (ISO 10918-1 B.2.2) or JPEG-LS (ISO 14495-1 C.2.2)."""
    if content[:2] != _SOI:
        return None
    at = 2
    for _ in range(_MAX_SEGMENTS):
        mark, kind, length = struct.unpack_from(">BBH", content, at)
        if mark != 0xFF:
            return None
        if kind in _SOF:
            precision, rows, columns, n = struct.unpack_from(">BHHB", content, at + 4)
            return _Claim(rows, columns, n, precision)
        at += 1 if kind == 0xFF else 2 + length  # a marker may be preceded by fill bytes
    return None


def _jpeg2000_claim(content: bytes) -> _Claim | None:
    """Read the image and tile size of a codestream (ISO 15444-1 A.5.1), bare or in a JP2 file."""
    at = content.find(_SOC_SIZ, 0, 4096) if content.startswith(_JP2_BOX) else 0
    if content[at : at + 4] != _SOC_SIZ:
        return None
    _, width, height, left, top = struct.unpack_from(">H4L", content, at + 6)
    n, depth, across, down = struct.unpack_from(">HBBB", content, at + 40)
    if (across, down) != (1, 1):
        return None
    return _Claim(height - top, width - left, n, (depth & 0x7F) + 1, bool(depth & 0x80))


def _decode_rle(content: bytes, frame: Stored) -> Pixels:
    """Decode the segments of PS3.5 G, one for each byte of a value, the highest byte first."""
    n_segments, *offsets = struct.unpack_from("<16L", content.ljust(_RLE_HEADER_BYTES, b"\0"))
    n_bytes = frame.allocated // 8
    offsets = [*offsets[:n_bytes], len(content)]
    if n_segments != n_bytes or offsets[0] != _RLE_HEADER_BYTES or sorted(offsets) != offsets:
        msg = f"run lengths of {n_segments} segments where {n_bytes} are needed, or out of order"
        raise IngestError(msg)
    value = np.empty(frame.rows * frame.columns, f"<u{n_bytes}")
    plane = np.empty(value.size, np.uint8)
    for start, end in pairwise(offsets):
        try:
            n_decoded = len(imagecodecs.packbits_decode(content[start:end], out=plane.data))
        except imagecodecs.ImcdError:
            n_decoded = -1
        if n_decoded != plane.size:
            msg = "run lengths that do not fill the image exactly"
            raise IngestError(msg)
        if start == _RLE_HEADER_BYTES:
            value[...] = plane
        else:
            value <<= 8
            value |= plane
    return within_stored_bits(value.view(frame.dtype).reshape(frame.rows, frame.columns), frame)


_Codec = tuple[Callable[[bytes], _Claim | None], Callable[..., object]]
_JPEG: _Codec = (_jpeg_claim, imagecodecs.jpeg8_decode)
_JPEG_LS: _Codec = (_jpeg_claim, imagecodecs.jpegls_decode)
_JPEG_2000: _Codec = (_jpeg2000_claim, imagecodecs.jpeg2k_decode)
_CODECS: dict[UID, _Codec] = {
    JPEGBaseline8Bit: _JPEG,
    JPEGExtended12Bit: _JPEG,
    JPEGLossless: _JPEG,
    JPEGLosslessSV1: _JPEG,
    JPEGLSLossless: _JPEG_LS,
    JPEGLSNearLossless: _JPEG_LS,
    JPEG2000Lossless: _JPEG_2000,
    JPEG2000: _JPEG_2000,
    HTJ2KLossless: _JPEG_2000,
    HTJ2KLosslessRPCL: _JPEG_2000,
    HTJ2K: _JPEG_2000,
}

"""The stored frames of one image file, one after another, compressed or not."""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragmented_frames
from pydicom.uid import UID, ExplicitVRBigEndian

from pipeline.errors import IngestError
from pipeline.ingest.archive import DAMAGE
from pipeline.ingest.beginning import Beginning
from pipeline.ingest.codecs import Pixels, Stored, decode_frame, within_stored_bits
from pipeline.ingest.elements import count_of, value_of
from pipeline.ingest.kept import kept
from pipeline.ingest.parse import inflated
from pipeline.ingest.pixel_data import PixelData
from pipeline.ingest.store import OpenFile

_MAX_HEADER_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """The bytes of one frame, and how the header says that they are stored."""

    content: bytes | memoryview
    pixels: PixelData
    stored: Stored

    def decoded(self) -> Pixels:
        """Return the stored values, shape (rows, columns).

        Raises
        ------
        IngestError
            If they cannot be decoded, or contradict the header.
        """
        if self.pixels.is_encapsulated:
            return decode_frame(bytes(self.content), self.stored)
        dtype = self.stored.dtype
        if self.pixels.syntax == ExplicitVRBigEndian:
            # Of OW every two bytes change places, also where a value is one byte (PS3.5 A.3).
            if self.stored.allocated == 8 and self.pixels.is_words:
                if len(self.content) % 2:
                    msg = "a frame of an odd number of bytes in words of two"
                    raise IngestError(msg)
                words = np.frombuffer(self.content, ">u2").astype("<u2")
                return self._shaped(words.view(dtype))
            dtype = dtype.newbyteorder(">")
        return self._shaped(np.frombuffer(self.content, dtype))

    def _shaped(self, values: Pixels) -> Pixels:
        size = self.stored.rows * self.stored.columns
        image = values[:size].reshape(self.stored.rows, self.stored.columns)
        return within_stored_bits(image, self.stored)


def stored_frames(
    found: OpenFile, beginning: Beginning, wanted: Sequence[int]
) -> Iterator[tuple[int, StoredFrame]]:
    """Give the wanted frames of an image, counted from 1, in the order in which they are stored.

    Parameters
    ----------
    found, beginning
        The file and what was read of it.
    wanted
        Frame numbers in ascending order.

    Raises
    ------
    IngestError
        If a frame is not there, or the frames do not add up to what the header says.
    """
    stored = _stored(beginning.header, beginning.pixels.syntax)
    content = _content(found, beginning, stored)
    give = _fragmented if beginning.pixels.is_encapsulated else _plain
    for number, frame in give(content, beginning, stored, wanted):
        yield number, StoredFrame(frame, beginning.pixels, stored)


@kept("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
def _stored(dataset: Dataset, syntax: UID) -> Stored:
    return Stored(
        syntax=syntax,
        rows=count_of(dataset, "Rows"),
        columns=count_of(dataset, "Columns"),
        allocated=count_of(dataset, "BitsAllocated"),
        stored=count_of(dataset, "BitsStored"),
        is_signed=count_of(dataset, "PixelRepresentation") == 1,
    )


@kept("NumberOfFrames")
def _n_frames(dataset: Dataset) -> int:
    return count_of(dataset, "NumberOfFrames") or 1


def _content(found: OpenFile, beginning: Beginning, stored: Stored) -> bytes | BinaryIO:
    """Return bytes, or a stream, in which the pixel data lies where ``beginning`` says."""
    if len(beginning.head) == found.n_bytes:
        whole = beginning.head
    elif beginning.pixels.is_deflated:
        found.stream.seek(0)
        whole = found.stream.read()
    else:
        return found.stream
    if beginning.pixels.is_deflated:
        n_bytes = _n_frames(beginning.header) * stored.n_bytes
        whole = inflated(whole, _MAX_HEADER_BYTES + n_bytes)
    return whole


def _plain(
    content: bytes | BinaryIO, beginning: Beginning, stored: Stored, wanted: Sequence[int]
) -> Iterator[tuple[int, bytes | memoryview]]:
    start = beginning.pixels.offset or 0
    n_bytes = stored.n_bytes
    for number in wanted:
        at = start + (number - 1) * n_bytes
        if isinstance(content, bytes):
            frame: bytes | memoryview = memoryview(content)[at : at + n_bytes]
        else:
            content.seek(at)
            frame = content.read(n_bytes)
        if len(frame) != n_bytes:
            msg = f"the file ends before frame {number}"
            raise IngestError(msg)
        yield number, frame


def _fragmented(
    content: bytes | BinaryIO, beginning: Beginning, _stored: Stored, wanted: Sequence[int]
) -> Iterator[tuple[int, bytes | memoryview]]:
    n_frames = _n_frames(beginning.header)
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    stream.seek(beginning.pixels.offset or 0)
    frames = generate_fragmented_frames(
        stream, number_of_frames=n_frames, extended_offsets=_extended_offsets(beginning.header)
    )
    chosen, number = set(wanted), 0
    try:
        for number, fragments in enumerate(frames, start=1):
            if number in chosen:
                yield number, b"".join(fragments)
    except (struct.error, *DAMAGE) as error:
        msg = f"the compressed frames cannot be told apart ({type(error).__name__})"
        raise IngestError(msg) from None
    if number != n_frames:
        msg = f"{number} compressed frames where the header says {n_frames}"
        raise IngestError(msg)


@kept("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
def _extended_offsets(dataset: Dataset) -> tuple[list[int], list[int]] | None:
    table = value_of(dataset, "ExtendedOffsetTable")
    lengths = value_of(dataset, "ExtendedOffsetTableLengths")
    if not table or not lengths:
        return None
    offsets = np.frombuffer(table[: len(table) // 8 * 8], "<u8").tolist()
    if any(after <= before for before, after in pairwise(offsets)):
        msg = "the table of frame offsets is not in ascending order"
        raise IngestError(msg)
    return offsets, np.frombuffer(lengths[: len(lengths) // 8 * 8], "<u8").tolist()

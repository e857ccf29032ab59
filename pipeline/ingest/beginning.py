"""The beginning of an open file: its header, and whether its pixel data is all there."""

import io
import logging
import threading
from dataclasses import dataclass, replace

from pipeline.ingest.header import read_elements
from pipeline.ingest.header_walk import UNDEFINED
from pipeline.ingest.kept import Header
from pipeline.ingest.pixel_data import PixelData
from pipeline.ingest.pixel_format import ends_early
from pipeline.ingest.store import OpenFile

_HEAD_BYTES = 2**20
_LONG_HEAD_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
# One long header at a time, so that memory does not grow with the number of threads.
_LONG_HEAD = threading.Lock()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the first bytes of a file say."""

    head: bytes
    """Its first bytes; the file's stream stands behind them, or anywhere else."""
    header: Header
    pixels: PixelData


def read_head(found: OpenFile) -> bytes:
    """Read as much as a header usually takes: the whole of a usual file."""
    return found.stream.read(min(_HEAD_BYTES, found.n_bytes))


def read_beginning(found: OpenFile, head: bytes) -> Beginning:
    """Parse a header, and more of the file where it does not end in ``head``, under ``quiet``.

    Raises
    ------
    Exception
        Of many kinds, if the bytes are no DICOM header.
    """
    if len(head) < _HEAD_BYTES:
        return _with_end(found, Beginning(head, *read_elements(head)))
    try:
        beginning = Beginning(head, *read_elements(head))
        if beginning.pixels.is_present:
            return _with_end(found, beginning)
    except Exception:  # the header may be cut anywhere, so that anything may be wrong with it
        _logger.debug("a header does not end within %d bytes", len(head))
    with _LONG_HEAD:
        head += _read_up_to(found, _LONG_HEAD_BYTES - len(head))
        return _with_end(found, Beginning(head, *read_elements(head)))


def _read_up_to(found: OpenFile, n_bytes: int) -> bytes:
    chunks = []
    while n_bytes > 0 and (chunk := found.stream.read(min(n_bytes, CHUNK_BYTES))):
        chunks.append(chunk)
        n_bytes -= len(chunk)
    return b"".join(chunks)


def _with_end(found: OpenFile, beginning: Beginning) -> Beginning:
    """Note whether compressed pixel data is cut; of a member only its beginning is looked at."""
    pixels, head = beginning.pixels, beginning.head
    if pixels.offset is None or pixels.length != UNDEFINED or pixels.is_deflated:
        return beginning
    is_enough = found.is_member or len(head) == found.n_bytes
    stream = io.BytesIO(head) if is_enough else found.stream
    is_cut = ends_early(stream, pixels.offset, found.n_bytes)
    return replace(beginning, pixels=replace(pixels, is_cut=is_cut))

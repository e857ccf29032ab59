"""Siemens mosaics: all slices of one volume as tiles of one image."""

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pipeline.ingest.elements import count_of
from pipeline.ingest.instance import Plane, Vector

MOSAIC_TAGS = (0x00290010, 0x00291010, 0x00291020)
_CREATOR = "SIEMENS CSA HEADER"
_TOLERANCE_MM = 0.01
_TOLERANCE_RAD = np.radians(0.1)
_MAX_TILES = 1024
_MAX_CSA_ITEMS = 1000
_CENTRE = re.compile(
    rb"sSliceArray\.asSlice\[(\d{1,4})\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*(-?[0-9.eE+-]+)"
)
_AXIS = {b"Sag": 0, b"Cor": 1, b"Tra": 2}

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tile:
    """One slice inside a mosaic."""

    plane: Plane
    rows: int
    columns: int
    origin: tuple[int, int]
    """Row and column of its first voxel in the mosaic."""


def mosaic_planes(dataset: Dataset, whole: Plane) -> tuple[Tile, ...] | None:
    """Return the tiles of a mosaic in stored order, None if their places cannot be proved.

    The protocol text in the CSA series header lists the centre of every slice. Two other places
    of the header must agree with it: Image Position (0020,0032), which for a mosaic is the corner
    that one slice of the mosaic's size would have, so that the corner of the first tile lies half
    the difference of the sizes further in (0.01 mm); and the CSA image header's
    SliceNormalVector, along which the tiles follow each other (0.1 degrees). The protocol may
    list the slices in either order.
    """
    stack = _csa_stack(dataset)
    if stack is None:
        return None
    n_tiles, normal, protocol = stack
    per_side = int(np.ceil(np.sqrt(n_tiles)))
    rows, row_rest = divmod(count_of(dataset, "Rows"), per_side)
    columns, column_rest = divmod(count_of(dataset, "Columns"), per_side)
    if row_rest or column_rest or len(protocol) != n_tiles:
        return None
    first = _inwards(whole, rows * (per_side - 1) / 2, columns * (per_side - 1) / 2)
    to_centre = _inwards(whole, rows / 2, columns / 2) - _inwards(whole, 0, 0)
    corners = _in_tile_order(protocol - to_centre, first, normal)
    if corners is None:
        return None
    return tuple(
        Tile(
            plane=Plane(_vector(corner), whole.along_row, whole.along_column, whole.spacing_mm),
            rows=rows,
            columns=columns,
            origin=(index // per_side * rows, index % per_side * columns),
        )
        for index, corner in enumerate(corners)
    )


def _csa_stack(dataset: Dataset) -> tuple[int, Points, Points] | None:
    """Read number of tiles, slice normal, and centres by the protocol text (mm, LPS)."""
    try:
        block = dataset.private_block(0x0029, _CREATOR)
        image, series = bytes(block[0x10].value), bytes(block[0x20].value)
        n_tiles = int(csa_values(image, "NumberOfImagesInMosaic")[0])
        normal = np.array([float(text) for text in csa_values(image, "SliceNormalVector")])
    except (KeyError, ValueError, IndexError, TypeError, struct.error):
        return None
    if not 1 < n_tiles <= _MAX_TILES or normal.shape != (3,):
        return None
    return n_tiles, normal, _protocol_centres(series)


def csa_values(header: bytes, name: str) -> list[str]:
    """Return the values of one element of a CSA header of the form SV10.

    Raises
    ------
    KeyError
        If it is not there.
    struct.error, ValueError
        If the header has another form or is cut short.
    """
    if header[:4] != b"SV10":
        msg = "not a CSA header of the form SV10"
        raise ValueError(msg)
    (n_elements,) = struct.unpack_from("<I", header, 8)
    offset = 16
    for _ in range(min(n_elements, _MAX_CSA_ITEMS)):
        key, n_items = struct.unpack_from("<64s12xi4x", header, offset)
        values, offset = _csa_items(header, offset + 84, n_items)
        if key.split(b"\0")[0].decode("latin-1") == name:
            return values
    raise KeyError(name)


def _csa_items(header: bytes, offset: int, n_items: int) -> tuple[list[str], int]:
    values = []
    for _ in range(min(n_items, _MAX_CSA_ITEMS)):
        length = struct.unpack_from("<4i", header, offset)[1]
        if not 0 <= length <= len(header):
            msg = f"an element of {length} bytes in a CSA header of {len(header)}"
            raise ValueError(msg)
        value = header[offset + 16 : offset + 16 + length]
        values.append(value.split(b"\0")[0].decode("latin-1").strip())
        offset += 16 + (length + 3) // 4 * 4
    return [value for value in values if value], offset


def _protocol_centres(series: bytes) -> Points:
    """Centres of all slices by the protocol text, shape (slices, 3), mm, LPS."""
    begin = series.find(b"### ASCCONV BEGIN")
    text = series[begin : series.find(b"### ASCCONV END", begin)] if begin >= 0 else b""
    found = [(int(m[1]), _AXIS[m[2]], float(m[3])) for m in _CENTRE.finditer(text)]
    centres = np.zeros((max((index for index, _, _ in found), default=-1) + 1, 3))
    for index, axis, value in found:
        centres[index, axis] = value
    return centres


def _in_tile_order(corners: Points, first: Points, normal: Points) -> Points | None:
    for order in (corners, corners[::-1]):
        step = order[-1] - order[0]
        turn = np.linalg.norm(np.cross(step, normal)) / max(float(step @ normal), 1e-9)
        if np.linalg.norm(order[0] - first) <= _TOLERANCE_MM and turn <= _TOLERANCE_RAD:
            return order
    return None


def _inwards(plane: Plane, rows: float, columns: float) -> Points:
    down = np.array(plane.along_column) * plane.spacing_mm[0] * rows
    across = np.array(plane.along_row) * plane.spacing_mm[1] * columns
    moved: Points = np.array(plane.position) + down + across
    return moved


def _vector(values: Points) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])

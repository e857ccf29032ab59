"""Files of one scan have the same elements at the same places, which one walk finds for all.

A layout is taken only for a file that has the same bytes wherever the walk looked, so that a walk
would come to the same places: a look at each element costs far more than to compare them at once.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from pipeline.ingest.header_walk import Place, Walk
from pipeline.ingest.kept import MAX_KEPT_BYTES, Header, Made, Raw
from pipeline.ingest.pixel_data import PixelData

_MAX_LAYOUTS = 128
_MAX_COMMON = 64
_MAX_CHECKED = 2048
_PIXELS, _POSITION = b"\xe0\x7f\x10\x00", b"\x20\x00\x32\x00"
# SOP Instance UIDs, Acquisition Date, DateTime and Time, Image Position (Patient).
_DIFFERENT = {0x00020003, 0x00080018, 0x00080022, 0x0008002A, 0x00080032, 0x00200032}


Span = tuple[int, int]
_Key = tuple[int, int, frozenset[int]]


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """Where some values lie."""

    tags: tuple[int, ...]
    representations: tuple[str | None, ...]
    struct: Struct

    @classmethod
    def of(cls, places: Mapping[int, Place]) -> "_Values":
        tags = sorted(places, key=lambda tag: places[tag][1])
        found = [places[tag] for tag in tags]
        spans = [(start, stop) for _, start, stop in found]
        return cls(tuple(tags), tuple(vr for vr, _, _ in found), _struct(spans))

    def raw(self, values: tuple[bytes, ...]) -> dict[int, Raw]:
        """Name what ``struct`` has unpacked."""
        pairs = zip(self.representations, values, strict=True)
        return dict(zip(self.tags, pairs, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the elements of a header lie."""

    pixels: PixelData
    checked: Struct
    expected: tuple[bytes, ...]
    """What ``checked`` unpacks of a file with this layout."""
    common: _Values
    """Of values that are usually the same in all files of a series."""
    own: _Values
    """Of all other values; those too long to be kept among them."""
    own_tags: frozenset[int]
    long_tags: frozenset[int]
    charset: tuple[str, ...]
    """Python's names of the character sets of the texts."""

    @classmethod
    def of(
        cls, walk: Walk, pixels: PixelData, charset: tuple[str, ...], *, fixed: Iterable[int]
    ) -> "Layout":
        """Take what a walk has found.

        Parameters
        ----------
        fixed
            Tags of values on which the places of the others, or ``charset``, depend.
        """
        at_fixed = (walk.values[tag][1:] for tag in fixed if tag in walk.values)
        checked = _struct(_joined([*walk.begun, *at_fixed], pixels.offset or 0))
        places = walk.values
        long = {tag for tag in places if places[tag][2] - places[tag][1] > MAX_KEPT_BYTES}
        own = (_DIFFERENT | long) & places.keys()
        return cls(
            pixels=pixels,
            checked=checked,
            expected=checked.unpack_from(walk.head),
            common=_Values.of({tag: places[tag] for tag in places if tag not in own}),
            own=_Values.of({tag: places[tag] for tag in own}),
            own_tags=frozenset(own),
            long_tags=frozenset(long),
            charset=charset,
        )

    def fits(self, head: bytes) -> bool:
        """Say whether a walk through another file would look at the same bytes."""
        return len(head) >= self.checked.size and self.checked.unpack_from(head) == self.expected

    def header_of(self, head: bytes) -> Header:
        """Read the values of a file that it fits."""
        common, made = _common(self, self.common.struct.unpack_from(head))
        raw = common | self.own.raw(self.own.struct.unpack_from(head))
        return Header(raw, self.charset, made=made, own=self.own_tags, long=self.long_tags)


@lru_cache(_MAX_COMMON)
def _common(layout: Layout, values: tuple[bytes, ...]) -> tuple[dict[int, Raw], Made]:
    """Name the common values of a series, and begin to keep what is made of them."""
    return layout.common.raw(values), {}


class Layouts:
    """The layouts of the latest files; safe to share between threads."""

    def __init__(self) -> None:
        self._layouts: dict[_Key, Layout] = {}
        self._lock = threading.Lock()

    def find(self, head: bytes, wanted: frozenset[int]) -> Layout | None:
        """Return a layout that fits a file, None if there is none or it must be looked for.

        Parameters
        ----------
        head
            The file's first bytes.
        wanted
            Tags of the values that it gives.
        """
        layout = self._layouts.get(_key(head, wanted))
        return layout if layout is not None and layout.fits(head) else None

    def keep(self, head: bytes, wanted: frozenset[int], layout: Layout) -> None:
        """Use the layout of a file for later ones, if it has pixel data, where a header ends."""
        offset = layout.pixels.offset
        is_whole = offset is not None and offset <= len(head)
        if not is_whole or len(layout.expected) > _MAX_CHECKED:
            return
        key = _key(head, wanted)
        with self._lock:
            self._layouts.pop(key, None)
            if len(self._layouts) >= _MAX_LAYOUTS:
                del self._layouts[next(iter(self._layouts))]
            self._layouts[key] = layout


def _key(head: bytes, wanted: frozenset[int]) -> _Key:
    """Tell layouts apart by two places; a wrong guess costs time, since all of one is compared."""
    pixels = head.find(_PIXELS)
    return pixels, head.find(_POSITION, 0, max(pixels, 0)), wanted


def _joined(spans: Iterable[Span], end: int) -> list[Span]:
    """Join spans that touch or overlap, and let the last one reach to ``end``."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            first, last = joined.pop()
            joined.append((first, max(stop, last)))
        else:
            joined.append((start, stop))
    first, last = joined.pop()
    return [*joined, (first, max(last, end))]


def _struct(spans: Iterable[Span]) -> Struct:
    """Unpack the bytes of each span."""
    parts, at = ["<"], 0
    for start, stop in spans:
        parts.append(f"{start - at}x{stop - start}s")
        at = stop
    return Struct("".join(parts))

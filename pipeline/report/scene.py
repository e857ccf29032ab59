"""What the page shows of a volume: three planes through a point, and the acquired slices."""

from dataclasses import dataclass

import numpy as np

from pipeline.heatmap import Heatmap
from pipeline.report.orientation import Plane, planes, turned_degrees
from pipeline.report.picture import (
    Window,
    choose_window,
    colour_bar,
    grey_pixels,
    hatch_swatch,
    jpeg_uri,
    overlay_pixels,
    png_uri,
)
from pipeline.volume import Volume

PANELS_WIDTH = 1000
PANELS_HEIGHT = 400
PANELS_SHARPNESS = 1.4
PANELS_QUALITY = 85

OVERLAY_SHARPNESS = 0.5
LEAST_FRAME = 100

BROWSER_SIZE = 440
BROWSER_PIXELS = 340
BROWSER_QUALITY = 72
MAX_SLICES = 40
MAX_OVERLAYS = 100
MAX_STACK_CHARACTERS = 1_400_000

_BAR_LENGTHS_MM = (200, 100, 50, 20, 10, 5, 2, 1)
_TURNED_FROM_DEGREES = 3.0


@dataclass(frozen=True, slots=True)
class Panel:
    """One plane as a picture; lengths are in the page's pixels.

    Parameters
    ----------
    grey, overlay
        ``data:`` addresses; the overlay is empty if there is no heatmap.
    cross
        Where the shown point lies: from the left, from the top.
    bar_mm, bar_px
        Length of the scale bar.
    """

    plane: Plane
    width: int
    height: int
    grey: str
    overlay: str
    cross: tuple[float, float]
    bar_mm: int
    bar_px: float
    caption: str

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height of the black frame: room for the letters beside a thin slab."""
        return max(self.width, LEAST_FRAME), max(self.height, LEAST_FRAME)

    @property
    def inset(self) -> tuple[float, float]:
        """Where the picture lies in its frame, from the left and from the top."""
        return (self.frame[0] - self.width) / 2, (self.frame[1] - self.height) / 2


@dataclass(frozen=True, slots=True)
class Stack:
    """The acquired slices that a reader can leaf through.

    Parameters
    ----------
    panel
        The one shown first.
    first
        Its place in ``numbers``.
    numbers
        Slice numbers, counted from 1.
    overlays
        ``data:`` addresses, one for each number; empty without a heatmap.
    """

    panel: Panel
    first: int
    numbers: tuple[int, ...]
    n_slices: int
    overlays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """A volume prepared for its pictures; shared by all tasks of a report."""

    volume: Volume
    planes: tuple[Plane, Plane, Plane]
    window: Window
    n_turned_degrees: int
    slices: tuple[int, ...]
    greys: tuple[str, ...]

    @property
    def slice_plane(self) -> Plane:
        """The plane in which the scanner's slices lie."""
        return next(plane for plane in self.planes if plane.fixed == 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown of one task."""

    panels: tuple[Panel, ...]
    stack: Stack
    limit_per_ml: float
    """Log-odds per millilitre at the ends of the colour bar; 0 if nothing is coloured."""
    heatmap_sum: float | None
    """Log-odds; None without a heatmap."""
    has_unseen: bool
    colour_bar: str
    swatch: str


def prepare_scan(volume: Volume, focuses: tuple[tuple[int, int, int], ...]) -> Scan:
    """Choose window, planes and slices; each point in ``focuses`` has its slice among them."""
    shown = planes(volume.geometry)
    window = choose_window(volume)
    turned = turned_degrees(volume.geometry)
    slices = _choose_slices(volume.geometry.shape[0], focuses)
    plane = next(plane for plane in shown if plane.fixed == 0)
    size = _raster(plane, volume, BROWSER_PIXELS)
    greys = {
        index: jpeg_uri(
            grey_pixels(plane.cut(volume.array, index), window, size), quality=BROWSER_QUALITY
        )
        for index in slices
    }
    greys = _thinned(greys, {focus[0] for focus in focuses})
    turned = round(turned) if turned >= _TURNED_FROM_DEGREES else 0
    return Scan(volume, shown, window, turned, tuple(greys), tuple(greys.values()))


def centre_index(volume: Volume) -> tuple[int, int, int]:
    """Return the voxel in the middle."""
    slices, rows, columns = volume.geometry.shape
    return slices // 2, rows // 2, columns // 2


def make_picture(
    scan: Scan, focus: tuple[int, int, int], heatmap: Heatmap | None, *, fade: float = 1.0
) -> Picture:
    """Draw the planes through ``focus`` and the slices, with the heatmap on both.

    The colours reach their end at what lowers most or at ``fade`` times what raises most, whichever
    is more.
    """
    raised, lowered = _ends(heatmap)
    limit = max(fade * raised, lowered)
    total = None if heatmap is None else float(np.nansum(heatmap.array, dtype=np.float64))
    return Picture(
        panels=tuple(_panel(scan, plane, focus, heatmap, limit) for plane in scan.planes),
        stack=_stack(scan, focus, heatmap, limit),
        limit_per_ml=limit / scan.volume.geometry.voxel_ml,
        heatmap_sum=total,
        has_unseen=heatmap is not None and bool(np.isnan(heatmap.array).any()),
        colour_bar=png_uri(colour_bar(160, 1)),
        swatch=png_uri(hatch_swatch(27, 18)),
    )


def _choose_slices(n_slices: int, focuses: tuple[tuple[int, int, int], ...]) -> tuple[int, ...]:
    limit = max(8, min(MAX_SLICES, MAX_OVERLAYS // max(1, len(focuses))))
    even = np.linspace(0, n_slices - 1, min(limit, n_slices)).round().astype(int)
    return tuple(sorted({*even.tolist(), *(focus[0] for focus in focuses)}))


def _thinned(greys: dict[int, str], kept: set[int]) -> dict[int, str]:
    """Leave out every second slice until the rest is small enough; noise does not compress."""
    while sum(map(len, greys.values())) > MAX_STACK_CHARACTERS and len(greys) > len(kept) + 1:
        wanted = {*list(greys)[::2], *kept}
        if len(wanted) == len(greys):
            break
        greys = {index: uri for index, uri in greys.items() if index in wanted}
    return greys


def _raster(plane: Plane, volume: Volume, longest: float) -> tuple[int, int]:
    """Return (height, width) in square pixels, the longer one being ``longest``."""
    height_mm, width_mm = plane.size_mm(volume.geometry.shape)
    scale = longest / max(height_mm, width_mm)
    return max(1, round(height_mm * scale)), max(1, round(width_mm * scale))


def _ends(heatmap: Heatmap | None) -> tuple[float, float]:
    """Return how much a voxel raises at most, and how much one lowers, log-odds."""
    if heatmap is None:
        return 0.0, 0.0
    ends = (np.nanmax(sign * heatmap.array, initial=0.0) for sign in (1.0, -1.0))
    raised, lowered = (float(end) for end in ends)
    return raised, lowered


def _panel(
    scan: Scan, plane: Plane, focus: tuple[int, int, int], heatmap: Heatmap | None, limit: float
) -> Panel:
    shape = scan.volume.geometry.shape
    sizes_mm = [shown.size_mm(shape) for shown in scan.planes]
    scale = min(
        PANELS_WIDTH / sum(width for _, width in sizes_mm),
        PANELS_HEIGHT / max(height for height, _ in sizes_mm),
    )
    height_mm, width_mm = plane.size_mm(shape)
    raster = _raster(plane, scan.volume, max(height_mm, width_mm) * scale * PANELS_SHARPNESS)
    index = focus[plane.fixed]
    grey = grey_pixels(plane.cut(scan.volume.array, index), scan.window, raster)
    overlay = ""
    if heatmap is not None:
        overlay = _overlay(plane, heatmap, index, limit, raster)
    return _framed(
        scan, plane, focus, scale, grey=jpeg_uri(grey, quality=PANELS_QUALITY), overlay=overlay
    )


def _overlay(
    plane: Plane, heatmap: Heatmap, index: int, limit: float, raster: tuple[int, int]
) -> str:
    """Draw a heatmap's plane, coarser than the grey levels, since heatmaps are smooth."""
    height, width = (max(1, round(size * OVERLAY_SHARPNESS)) for size in raster)
    return png_uri(overlay_pixels(plane.cut(heatmap.array, index), limit, (height, width)))


def _framed(
    scan: Scan, plane: Plane, focus: tuple[int, int, int], scale: float, *, grey: str, overlay: str
) -> Panel:
    shape = scan.volume.geometry.shape
    height_mm, width_mm = plane.size_mm(shape)
    down, right = plane.place(focus, shape)
    bar_mm = next((length for length in _BAR_LENGTHS_MM if length <= width_mm / 3), 1)
    what = ("slice", "row", "column")[plane.fixed]
    return Panel(
        plane=plane,
        width=max(1, round(width_mm * scale)),
        height=max(1, round(height_mm * scale)),
        grey=grey,
        overlay=overlay,
        cross=(right * width_mm * scale, down * height_mm * scale),
        bar_mm=bar_mm,
        bar_px=bar_mm * scale,
        caption=f"{plane.name.capitalize()}, {what} {focus[plane.fixed] + 1}"
        f" of {shape[plane.fixed]}",
    )


def _stack(scan: Scan, focus: tuple[int, int, int], heatmap: Heatmap | None, limit: float) -> Stack:
    plane = scan.slice_plane
    raster = _raster(plane, scan.volume, BROWSER_PIXELS)
    overlays: tuple[str, ...] = ()
    if heatmap is not None:
        overlays = tuple(_overlay(plane, heatmap, index, limit, raster) for index in scan.slices)
    first = scan.slices.index(focus[0])
    height_mm, width_mm = plane.size_mm(scan.volume.geometry.shape)
    panel = _framed(
        scan,
        plane,
        focus,
        BROWSER_SIZE / max(height_mm, width_mm),
        grey=scan.greys[first],
        overlay=overlays[first] if overlays else "",
    )
    return Stack(
        panel=panel,
        first=first,
        numbers=tuple(index + 1 for index in scan.slices),
        n_slices=scan.volume.geometry.shape[0],
        overlays=overlays,
    )

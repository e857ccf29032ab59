"""What a world must know to draw its images, and what a drawing is before a scanner sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Geometry
from pipeline.phantom.fields import Array
from pipeline.phantom.site import Site


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """An anatomy on a grid, decoys included, without a finding."""

    signal: Array
    """Shape of the grid: HU, or for MR a share of white matter's brightness."""
    atlas_mm: NDArray[np.float64]
    """Shape (..., 3): where each voxel lies in the body of standard build, mm, LPS."""
    host: Array
    """The share of each voxel in which a finding may lie, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """How images of one kind of body are made; each function draws from its first argument."""

    source: str
    """A sentence on where it comes from."""
    extent_mm: tuple[float, float, float]
    """What a scan covers from right to left, front to back, foot to head."""
    places: Callable[[], NDArray[np.float64]]
    """All places for the centre of a finding, shape (n, 3), in the body of standard build."""
    draw: Callable[[np.random.Generator, Geometry, Literal["a", "b"]], Canvas]
    """Draws a body and its decoys."""
    paint: Callable[[np.random.Generator, Geometry, Array, Array, Literal["a", "b"]], Array]
    """Blends a finding (share 0..1) into a signal."""
    expose: Callable[[np.random.Generator, Site, Geometry, Array], Array]
    """Turns the signal into the scanner's units, without noise."""
    add_noise: Callable[[np.random.Generator, float, Array], Array]
    """Adds noise of a standard deviation, in scanner units, and rounds."""

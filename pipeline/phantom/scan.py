"""One simulated scan and the finding in it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a scan shows, where and how large."""

    centre_mm: NDArray[np.float64]
    """Shape (3,), mm, LPS."""
    radius_mm: float
    """Mean radius."""
    mask: NDArray[np.uint8]
    """Shape (slices, rows, columns), 1 inside."""

    @property
    def side(self) -> Literal["left", "right"]:
        """The patient's side on which its centre lies; x grows to the left in LPS."""
        return "left" if self.centre_mm[0] > 0 else "right"


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Voxels of one study, as the scanner would store them."""

    array: NDArray[np.float32]
    """Shape (slices, rows, columns), HU for CT, scanner units for MR."""
    geometry: Geometry
    """The scanner's grid, mm, LPS."""
    finding: Finding | None
    """The finding, if there is one."""

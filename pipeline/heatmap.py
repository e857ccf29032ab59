"""Where a task looked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """What each voxel added to a task's logit.

    Parameters
    ----------
    array : shape (slices, rows, columns), float32, log-odds
        NaN where the network could not look. Sums to the image's contribution. Read-only.
    geometry
        The scanner's own grid.
    task
        The protocol's task name.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    task: str

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            msg = f"array {self.array.shape} and geometry {self.geometry.shape} differ in shape"
            raise GeometryError(msg)
        view = self.array.view()
        view.setflags(write=False)
        object.__setattr__(self, "array", view)

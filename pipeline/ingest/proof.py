"""The proof that voxels lie where the headers of their slices say."""

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import IngestError
from pipeline.ingest.instance import Frame, Plane
from pipeline.ingest.stack import EXACT_MM, affine_corners, corners_of, jitter_mm, normal_of
from schemas.issue import IssueCode, Severity
from schemas.series import Affine, Series

_N_SAMPLES = 512
_SEED = 0
_VALUE_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """Where each slice of a series must lie, and where the decoded headers said that it does.

    Parameters
    ----------
    affine : shape (4, 4), mm, LPS
        Takes (place, row, column) of the stack as scanned.
    corners : (slices, 4, 3) numbers, mm, LPS
        Where it puts the four corners of each slice.
    shape
        Slices, rows, columns as scanned.
    bound_mm
        How far a corner may lie off.
    planes
        By slice; filled by ``check``.
    """

    affine: NDArray[np.float64]
    corners: list[list[list[float]]]
    shape: tuple[int, int, int]
    bound_mm: float
    planes: dict[int, Plane] = field(default_factory=dict)

    @classmethod
    def of(cls, series: Series) -> Self:
        """Take the stack of a usable series."""
        resampling = series.resampling
        rows: Affine = series.affine_lps or ()
        shape = series.shape or (0, 0, 0)
        places = np.arange(shape[0], dtype=np.float64)
        if resampling is not None:
            rows, shape, places = (
                resampling.affine_lps,
                resampling.source_shape,
                np.array(resampling.places),
            )
        affine = np.array(rows)
        corners = affine_corners(affine, places, *shape[1:])
        return cls(affine, corners.tolist(), shape, _bound_mm(series, affine))

    def check(self, index: int, frame: Frame) -> None:
        """Compare the four corners of a slice by the affine with those by its own header.

        Raises
        ------
        IngestError
            If one lies farther off than the bound, or the slice has another size.
        """
        _, rows, columns = self.shape
        if frame.plane is None or (frame.rows, frame.columns) != (rows, columns):
            msg = f"slice {index} has another size than the volume, or no position"
            raise IngestError(msg)
        own = corners_of(frame.plane, rows, columns)
        worst = max(map(math.dist, own, self.corners[index]))
        if not worst <= self.bound_mm:
            msg = (
                f"{IssueCode.GEOMETRY_MISMATCH}: slice {index} lies {worst:.3f} mm from where its "
                f"header says; at most {self.bound_mm:.3f} mm is allowed"
            )
            raise IngestError(msg, IssueCode.GEOMETRY_MISMATCH)
        self.planes[index] = frame.plane

    def check_resampled(
        self,
        scanned: NDArray[np.float32],
        made: NDArray[np.float32],
        affine: NDArray[np.float64],
    ) -> None:
        """Carry voxels of a resampled volume through its affine back into the scanned slices.

        Each sampled voxel's place in mm is looked up in the two slices around it by their own
        headers: bilinear within a slice, linear between the two. The values must agree within a
        thousandth of the range of the values, and within what an error of ``bound_mm`` may do.

        Parameters
        ----------
        scanned : shape of ``self.shape``
            The slices as decoded.
        made : shape (slices, rows, columns)
            The volume made of them.
        affine : shape (4, 4), mm, LPS
            Of ``made``.

        Raises
        ------
        IngestError
            If a value disagrees.
        """
        random = np.random.default_rng(_SEED)
        index = random.integers(0, made.shape, size=(_N_SAMPLES, 3))
        position = index @ affine[:3, :3].T + affine[:3, 3]
        planes = [self.planes[number] for number in range(len(self.planes))]
        normal = normal_of(planes[0])
        depth = np.array([np.array(plane.position) @ normal for plane in planes])
        pairs = _pairs_around(position @ normal, depth)
        expected = np.array(
            [
                _between(
                    point, planes[upper - 1 : upper + 1], share, scanned[upper - 1 : upper + 1]
                )
                for point, upper, share in zip(position, *pairs, strict=True)
            ]
        )
        is_inside = np.isfinite(expected[:, 0])
        found = made[tuple(index.T)]
        spread = float(scanned.max()) - float(scanned.min())
        allowed = _VALUE_TOLERANCE * spread + expected[:, 1] * self.bound_mm / _step_mm(self.affine)
        off = np.abs(found - expected[:, 0])[is_inside]
        if not (off <= allowed[is_inside]).all():
            msg = (
                f"{IssueCode.GEOMETRY_MISMATCH}: a resampled voxel differs by {off.max():.3g} from "
                "the slices around it"
            )
            raise IngestError(msg, IssueCode.GEOMETRY_MISMATCH)


def _bound_mm(series: Series, affine: NDArray[np.float64]) -> float:
    """0.01 mm, unless the series already carries the warning that it is less regular."""
    is_jittered = any(
        issue.code is IssueCode.GEOMETRY_IRREGULAR and issue.severity is Severity.WARNING
        for issue in series.issues
    )
    if not is_jittered:
        return EXACT_MM
    spacing = float(np.linalg.norm(affine[:3, 0]))
    return max(jitter_mm(spacing), EXACT_MM)


def _step_mm(affine: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(affine[:3, 1:3], axis=0).min())


def _pairs_around(
    at: NDArray[np.float64], depth: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the upper of the two slices around each depth, and how far it is from the lower."""
    inside = np.clip(at, depth[0], depth[-1])
    upper = np.clip(np.searchsorted(depth, inside), 1, len(depth) - 1)
    return upper, (inside - depth[upper - 1]) / (depth[upper] - depth[upper - 1])


def _between(
    point: NDArray[np.float64], planes: list[Plane], share: float, pair: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the value at a point between two slices, and the contrast around it.

    It looks along the stack's own way from one slice to the next, so that shear is undone; NaN
    outside what was scanned.
    """
    lower, upper = planes
    origin = (1 - share) * np.array(lower.position) + share * np.array(upper.position)
    offset = point - origin
    row = float(offset @ lower.along_column) / lower.spacing_mm[0]
    column = float(offset @ lower.along_row) / lower.spacing_mm[1]
    _, rows, columns = pair.shape
    if not (0 <= row <= rows - 1 and 0 <= column <= columns - 1):
        return np.nan, 0.0
    r, c = min(int(row), rows - 2), min(int(column), columns - 2)
    cell = pair[:, r : r + 2, c : c + 2].astype(np.float64)
    weights = np.multiply.outer(
        [1 - share, share], np.outer([1 - row + r, row - r], [1 - column + c, column - c])
    )
    return float((weights * cell).sum()), float(cell.max() - cell.min())

"""How far a known point is from itself after the way to the network's grid and back.

    python -m benchmarks.there_and_back

A blob lies at a known place in mm, in scans of all 24 orientations that axes can have, straight and
oblique, with anisotropic voxels. The scan is brought to the network's grid; the token that is then
brightest is all that a map holds; the map goes back to the scanner's grid. The blob's place is the
centre of a token, worked out here by hand, so the exact answer is known. Writes
benchmarks/results/there_and_back.json.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch.nn.functional import avg_pool3d

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Bound, Figure, write_figures
from pipeline.explain import heatmaps_of
from pipeline.geometry import Geometry
from pipeline.model.image_encoder import STRIDE, token_mask
from pipeline.preprocess import image_input
from pipeline.protocol import read_protocol
from pipeline.tensors import ModelOutput
from pipeline.volume import Volume
from schemas.grid import Intensity
from schemas.protocol import Protocol
from schemas.series import FrameSource

PROTOCOL = Path("data_samples/protocols/brain_mr.yaml")
SPACING_MM = (5.0, 0.9, 1.2)
"""Between slices, rows and columns."""
OBLIQUE_DEGREES = (12.0, -7.0, 20.0)
BLOB_MM = 6.0
MARGIN_MM = 20.0
SEED = 4

COMMAND = "python -m benchmarks.there_and_back"
ASKED: dict[str, tuple[str, tuple[Bound, Bound]]] = {
    "there": ("voxels of the network's grid, there", (1.0, 0.5)),
    "back": ("voxels of the scanner's grid, there and back", (1.0, 0.5)),
    "back_mm": ("mm, there and back", (None, None)),
    "peak": ("peak along an axis, voxels of the scanner's grid (0.5 is the grid's)", (None, None)),
}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trip:
    """How far off a point was, there and back."""

    name: str
    there: float
    """Distance of the blob's centre of mass on the network's grid, in voxels of that grid."""
    is_own_token: bool
    """Whether the brightest token was the one at whose centre the blob lies."""
    back: float
    """Distance of the map's centre of mass on the scanner's grid, in its voxels."""
    back_mm: float
    """The same, mm."""
    peak: float
    """Furthest of the map's peak along any of the scanner's axes, in voxels; up to 0.5 is due to
    the grid itself."""


def main() -> None:
    """Measure, print, write."""
    protocol = read_protocol(PROTOCOL)
    trips = trips_of(protocol, SPACING_MM)
    print("| scans | | network's voxels, there | scanner's voxels, back | mm, back | peak |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("straight", "oblique"):
        chosen = [trip for trip in trips if trip.name.endswith(kind)]
        for what, of in (("mean", np.mean), ("furthest", np.max)):
            cells = [
                f"{of([getattr(trip, name) for trip in chosen]):.3f}"
                for name in ("there", "back", "back_mm", "peak")
            ]
            print(f"| {len(chosen)} {kind} | {what} | {' | '.join(cells)} |")
    print(f"own token: {sum(trip.is_own_token for trip in trips)} of {len(trips)}")
    write_figures(RESULTS / "there_and_back.json", figures(trips))


def figures(trips: Sequence[Trip]) -> list[Figure]:
    """List the furthest of each kind of scan, which is what the bounds ask of."""
    return [
        Figure(
            f"{kind} scans, furthest off: {what}",
            max(float(getattr(trip, field)) for trip in trips if trip.name.endswith(kind)),
            None, *wanted, COMMAND,
        )
        for kind in ("straight", "oblique")
        for field, (what, wanted) in ASKED.items()
    ]  # fmt: skip


def trips_of(protocol: Protocol, spacing_mm: Sequence[float]) -> list[Trip]:
    """Send one point there and back in each orientation; each time another token's centre.

    Only the protocol's grid counts: values of 0 to 100 are shown as they are.
    """
    plain = Intensity(kind="window", low=0.0, high=100.0)
    protocol = protocol.model_copy(update={"intensity": plain})
    random = np.random.default_rng(SEED)
    return [
        _trip(name, geometry, protocol, random)
        for name, geometry in orientations(protocol, spacing_mm, random)
    ]


def orientations(
    protocol: Protocol, spacing_mm: Sequence[float], random: np.random.Generator
) -> Iterator[tuple[str, Geometry]]:
    """Yield right-handed grids along all signed axes, straight and oblique, around any centre."""
    covered = np.array(protocol.grid.size) * np.array(protocol.grid.spacing_mm) + 2 * MARGIN_MM
    turn = Rotation.from_euler("xyz", OBLIQUE_DEGREES, degrees=True).as_matrix()
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        axes = np.zeros((3, 3))
        axes[list(order), range(3)] = signs
        if np.linalg.det(axes) > 0:
            continue
        shape = np.rint(covered[list(order)] / np.array(spacing_mm)).astype(int)
        for kind, turned in (("straight", np.eye(3)), ("oblique", turn)):
            affine = np.eye(4)
            affine[:3, :3] = turned @ axes * np.array(spacing_mm)
            affine[:3, 3] = random.uniform(-40, 40, 3) - affine[:3, :3] @ ((shape - 1) / 2)
            name = " ".join(
                "-+"[sign > 0] + "xyz"[axis] for axis, sign in zip(order, signs, strict=True)
            )
            yield f"{name} {kind}", Geometry(affine, (int(shape[0]), int(shape[1]), int(shape[2])))


def _trip(name: str, geometry: Geometry, protocol: Protocol, random: np.random.Generator) -> Trip:
    size, spacing = np.array(protocol.grid.size[::-1]), np.array(protocol.grid.spacing_mm[::-1])
    counts = size // STRIDE
    token = random.integers(1, counts - 1)
    # By hand, not by the code under test: from the volume's centre, along z, y and x.
    offset = ((token * STRIDE + (STRIDE - 1) / 2) - (size - 1) / 2) * spacing
    middle = geometry.affine[:3, :3] @ ((np.array(geometry.shape) - 1) / 2) + geometry.affine[:3, 3]
    point = middle + offset[::-1]
    image = image_input([_scan(geometry, point)], protocol)
    weight = (image.voxels[0].double().numpy() + 1.0) / 2.0
    there = _centre(weight) - (token * STRIDE + (STRIDE - 1) / 2)
    tokens = avg_pool3d(image.voxels, STRIDE)[0]
    brightest = int(tokens.argmax())
    added = torch.zeros(1, 1, tokens.numel())
    added[0, 0, brightest] = 1.0
    scanned = token_mask(image.scanned[None])[0].numpy()
    output = _output(added, (int(counts[0]), int(counts[1]), int(counts[2])))
    heat = heatmaps_of(output, ("point",), scanned, image.grid, geometry)["point"]
    map_ = np.nan_to_num(heat.array.astype(np.float64))
    exact = np.linalg.solve(geometry.affine[:3, :3], point - geometry.affine[:3, 3])
    off = _centre(map_) - exact
    peak = np.array(np.unravel_index(int(map_.argmax()), map_.shape)) - exact
    return Trip(
        name=name,
        there=float(np.linalg.norm(there)),
        is_own_token=brightest == int(np.ravel_multi_index(tuple(token), tuple(counts))),
        back=float(np.linalg.norm(off)),
        back_mm=float(np.linalg.norm(geometry.affine[:3, :3] @ off)),
        peak=float(np.abs(peak).max()),
    )


def _scan(geometry: Geometry, point: Array) -> Volume:
    """Return a scan that is dark but for a soft blob, 0 to 100."""
    index = np.moveaxis(np.indices(geometry.shape), 0, -1)
    place = index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    array = 100.0 * np.exp(-((place - point) ** 2).sum(-1) / (2 * BLOB_MM**2))
    sources = tuple(
        FrameSource(file=f"{n}", sop_instance_uid=f"1.2.{n}") for n in range(geometry.shape[0])
    )
    return Volume(array.astype(np.float32), geometry, "scanner", "1.2.3", sources)


def _centre(weight: Array) -> Array:
    index = np.moveaxis(np.indices(weight.shape), 0, -1)
    centre: Array = (index * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    return centre


def _output(added: torch.Tensor, token_grid: tuple[int, int, int]) -> ModelOutput:
    nothing = torch.zeros(1, 1, 0)
    return ModelOutput(
        logits=added.sum(-1), bias=torch.zeros(1), image=added, text=nothing, table=nothing,
        presence=added, cuts=torch.zeros(1, 0), image_alone=added.sum(-1), attention=(),
        token_grid=token_grid, summary=nothing, history_summary=nothing, embedding=nothing,
    )  # fmt: skip


if __name__ == "__main__":
    main()

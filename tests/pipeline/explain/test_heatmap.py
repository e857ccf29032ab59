from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import GeometryError
from pipeline.explain import heatmaps_of
from pipeline.geometry import Geometry
from pipeline.preprocess import model_grid
from pipeline.tensors import ModelOutput
from pipeline.volume import Volume
from schemas.protocol import Protocol

TOKENS = (4, 6, 8)


def output(additions: np.ndarray) -> ModelOutput:
    image = torch.from_numpy(additions.reshape(1, 1, -1)).float()
    nothing = torch.zeros(1, 1, 0)
    return ModelOutput(
        logits=image.sum(-1), bias=torch.zeros(1), image=image, text=nothing, table=nothing,
        presence=image, cuts=torch.zeros(1, 0), image_alone=image.sum(-1), attention=(),
        token_grid=TOKENS, summary=nothing, history_summary=nothing, embedding=nothing,
    )  # fmt: skip


def all_scanned(volume: Volume, protocol: Protocol) -> np.ndarray:
    grid = model_grid(volume.geometry, protocol.grid)
    centres = np.stack(np.meshgrid(*[np.arange(n) for n in TOKENS], indexing="ij"), -1) * 4 + 1.5
    index = volume.geometry.to_index(grid.to_mm(centres))
    inside = ((index >= 0) & (index <= np.array(volume.geometry.shape) - 1)).all(-1)
    return inside.ravel()


def test_the_map_sums_to_what_the_image_added(volume: Volume, protocol: Protocol) -> None:
    scanned = all_scanned(volume, protocol)
    additions = np.random.default_rng(0).normal(size=scanned.size) * scanned
    grid = model_grid(volume.geometry, protocol.grid)
    heat = heatmaps_of(output(additions), ("t",), scanned, grid, volume.geometry)["t"]
    assert np.nansum(heat.array, dtype=np.float64) == pytest.approx(additions.sum(), abs=1e-4)
    assert heat.geometry.matches(volume.geometry)


def test_the_peak_lies_on_its_token_in_mm(volume: Volume, protocol: Protocol) -> None:
    scanned = all_scanned(volume, protocol)
    grid = model_grid(volume.geometry, protocol.grid)
    for flat in np.flatnonzero(scanned)[::5]:
        additions = np.zeros(scanned.size)
        additions[flat] = 1.0
        heat = heatmaps_of(output(additions), ("t",), scanned, grid, volume.geometry)["t"]
        peak = np.unravel_index(np.nanargmax(heat.array), heat.array.shape)
        centre = grid.to_mm(np.array(np.unravel_index(flat, TOKENS)) * 4 + 1.5)
        # Half a token (8 mm) along each axis at most, however the scanner's voxels lie.
        assert np.abs(volume.geometry.to_mm(peak) - centre).max() <= 8.0


def test_outside_the_models_grid_the_map_is_not_a_number(
    volume: Volume, protocol: Protocol
) -> None:
    small = protocol.grid.model_copy(update={"size": (16, 8, 8)})
    grid = model_grid(volume.geometry, small)
    model_output = output(np.ones(4 * 2 * 2))
    model_output = replace(model_output, token_grid=(2, 2, 4))
    heat = heatmaps_of(model_output, ("t",), np.ones(16, bool), grid, volume.geometry)["t"]
    axes = [np.arange(size) for size in volume.geometry.shape]
    where = volume.geometry.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), -1))
    index = grid.to_index(where)
    inside = ((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(-1)
    assert np.array_equal(~np.isnan(heat.array), inside)


def test_where_nothing_was_scanned_the_map_is_not_a_number(
    volume: Volume, protocol: Protocol
) -> None:
    grid = model_grid(volume.geometry, protocol.grid)
    nothing = np.zeros(np.prod(TOKENS), bool)
    heat = heatmaps_of(output(nothing * 1.0), ("t",), nothing, grid, volume.geometry)["t"]
    assert np.isnan(heat.array).all()


def test_a_token_between_two_distant_slices_is_not_lost_silently(protocol: Protocol) -> None:
    distant = sparse(64.0, 2)
    grid = model_grid(distant, protocol.grid)
    scanned = np.ones(np.prod(TOKENS), bool)
    with pytest.raises(GeometryError, match="too far apart"):
        heatmaps_of(output(scanned * 1.0), ("t",), scanned, grid, distant)


def test_a_token_that_was_not_read_shows_nothing_though_its_neighbours_do(
    volume: Volume, protocol: Protocol
) -> None:
    scanned = all_scanned(volume, protocol)
    grid = model_grid(volume.geometry, protocol.grid)
    unread = int(np.flatnonzero(scanned)[len(np.flatnonzero(scanned)) // 2])
    scanned[unread] = False
    additions = np.random.default_rng(0).normal(size=scanned.size) * scanned
    heat = heatmaps_of(output(additions), ("t",), scanned, grid, volume.geometry)["t"]
    axes = [np.arange(size) for size in volume.geometry.shape]
    where = volume.geometry.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), -1))
    token = np.rint((grid.to_index(where) - 1.5) / 4)
    inside = (token == np.array(np.unravel_index(unread, TOKENS))).all(-1)
    assert inside.any()
    assert np.isnan(heat.array[inside]).all()
    assert np.nansum(heat.array, dtype=np.float64) == pytest.approx(additions.sum(), abs=1e-4)


def with_one_cell(additions: np.ndarray, cell: int) -> ModelOutput:
    found = output(additions)
    shares = torch.zeros(*found.image.shape, 8)
    shares[..., cell] = 1.0
    return replace(found, shares=shares)


@pytest.mark.parametrize("cell", range(8))
def test_the_peak_lies_on_the_cell_that_shows_it(
    volume: Volume, protocol: Protocol, cell: int
) -> None:
    scanned = all_scanned(volume, protocol)
    grid = model_grid(volume.geometry, protocol.grid)
    for flat in np.flatnonzero(scanned)[::9]:
        additions = np.zeros(scanned.size)
        additions[flat] = 1.0
        found = with_one_cell(additions, cell)
        heat = heatmaps_of(found, ("t",), scanned, grid, volume.geometry)["t"]
        peak = np.unravel_index(np.nanargmax(heat.array), heat.array.shape)
        token, within = np.array(np.unravel_index(flat, TOKENS)), np.unravel_index(cell, (2, 2, 2))
        centre = grid.to_mm(token * 4 + np.array(within) * 2 + 0.5)
        # Half a cell (4 mm) along each axis at most, where the scanner's voxels are no coarser.
        assert np.abs(volume.geometry.to_mm(peak) - centre).max() <= 4.0 + 1e-6
        assert np.nansum(heat.array, dtype=np.float64) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("cell", range(8))
def test_a_cell_between_two_slices_leaves_its_part_to_the_others_of_its_token(
    protocol: Protocol, cell: int
) -> None:
    thick = sparse(20.0, 4)
    grid = model_grid(thick, protocol.grid)
    scanned = np.ones(np.prod(TOKENS), bool)
    axes = [np.arange(size) for size in thick.shape]
    where = thick.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), -1))
    for flat in range(0, scanned.size, 17):
        additions = np.zeros(scanned.size)
        additions[flat] = 1.0
        found = with_one_cell(additions, cell)
        heat = heatmaps_of(found, ("t",), scanned, grid, thick)["t"]
        assert np.nansum(heat.array, dtype=np.float64) == pytest.approx(1.0, abs=1e-6)
        centre = grid.to_mm(np.array(np.unravel_index(flat, TOKENS)) * 4 + 1.5)
        # Half a token (8 mm), and the cell (8 mm) over which a neighbour still takes from it.
        near = (np.abs(where - centre) <= 16.0).all(-1)
        assert np.nansum(heat.array[~near]) == pytest.approx(0.0, abs=1e-6)


def test_slices_too_far_apart_for_cells_still_show_tokens(protocol: Protocol) -> None:
    distant = sparse(44.0, 2)
    grid = model_grid(distant, protocol.grid)
    scanned = np.ones(np.prod(TOKENS), bool)
    additions = np.random.default_rng(0).normal(size=scanned.size)
    fine, coarse = (
        heatmaps_of(found, ("t",), scanned, grid, distant)["t"].array
        for found in (with_one_cell(additions, 3), output(additions))
    )
    assert np.array_equal(fine, coarse, equal_nan=True)
    assert np.nansum(fine, dtype=np.float64) == pytest.approx(additions.sum(), abs=1e-4)


def sparse(slices_mm: float, n: int) -> Geometry:
    affine = np.array([[0, 0, 4.0, 0], [0, 4.0, 0, 0], [slices_mm, 0, 0, 0], [0, 0, 0, 1]])
    return Geometry(affine, (n, 24, 32))

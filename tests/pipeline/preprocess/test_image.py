from dataclasses import replace

import numpy as np
import pytest

from pipeline.geometry import Geometry
from pipeline.preprocess import image_input, model_grid
from pipeline.volume import Volume
from schemas.protocol import Protocol


def lattice(geometry: Geometry) -> np.ndarray:
    axes = [np.arange(size) for size in geometry.shape]
    return geometry.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))


def test_the_model_grid_shares_the_volumes_centre_and_runs_along_the_patient(
    volume: Volume, protocol: Protocol
) -> None:
    grid = model_grid(volume.geometry, protocol.grid)
    assert np.allclose(grid.centre_mm, volume.geometry.centre_mm)
    assert grid.shape == (16, 24, 32)
    step = grid.to_mm([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) - grid.to_mm([0, 0, 0])
    assert np.allclose(step, [[0, 0, 4], [0, 4, 0], [4, 0, 0]])  # head, back, left in LPS


def test_a_ramp_in_mm_stays_the_same_ramp_on_the_model_grid(
    volume: Volume, protocol: Protocol
) -> None:
    slope = np.array([0.3, -0.2, 0.25])
    middle = volume.geometry.centre_mm
    ramp = ((lattice(volume.geometry) - middle) @ slope + 50.0).astype(np.float32)
    model = image_input([replace(volume, array=ramp)], protocol)
    wanted = np.clip(((lattice(model.grid) - middle) @ slope + 50.0) / 50.0 - 1.0, -1.0, 1.0)
    index = volume.geometry.to_index(lattice(model.grid))
    inside = ((index >= 1) & (index <= np.array(volume.geometry.shape) - 2)).all(axis=-1)
    assert inside.sum() > 2000
    assert np.allclose(model.voxels[0].numpy()[inside], wanted[inside], atol=0.02)


def test_what_was_not_scanned_is_marked_and_empty(volume: Volume, protocol: Protocol) -> None:
    model = image_input([volume], protocol)
    index = volume.geometry.to_index(lattice(model.grid))
    inside = ((index >= -0.5) & (index <= np.array(volume.geometry.shape) - 0.5)).all(axis=-1)
    assert np.array_equal(model.scanned[0].numpy(), inside)
    assert not inside.all()
    assert (model.voxels[0].numpy()[~inside] == -1.0).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_of_the_scanners_slices_rows_and_columns_does_not_matter(
    volume: Volume, protocol: Protocol, axis: int
) -> None:
    # Turning two axes around keeps the grid right-handed and the patient where he was.
    others = [number for number in range(3) if number != axis]
    affine = volume.geometry.affine.copy()
    for number in others:
        affine[:3, 3] += affine[:3, number] * (volume.geometry.shape[number] - 1)
        affine[:3, number] *= -1
    flipped = replace(
        volume,
        array=np.ascontiguousarray(np.flip(volume.array, others)),
        geometry=Geometry(affine, volume.geometry.shape, "1.9"),
    )
    first, second = image_input([volume], protocol), image_input([flipped], protocol)
    assert np.allclose(first.voxels.numpy(), second.voxels.numpy(), atol=1e-4)


def test_percentiles_ignore_the_air_around_the_head(volume: Volume, protocol: Protocol) -> None:
    intensity = protocol.intensity.model_copy(
        update={"kind": "percentile", "low": 1.0, "high": 99.0}
    )
    protocol = protocol.model_copy(update={"intensity": intensity})
    head = np.random.default_rng(0).uniform(400, 600, (6, 16, 16)).astype(np.float32)
    scaled = []
    for air in (4, 9):
        array = np.pad(head, air)
        affine = volume.geometry.affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ np.full(3, air)
        sources = tuple(volume.sources[0] for _ in array)
        geometry = Geometry(affine, array.shape)
        padded = replace(volume, array=array, geometry=geometry, sources=sources)
        scaled.append(image_input([padded], protocol).voxels.numpy())
    assert np.allclose(scaled[0], scaled[1], atol=0.05)
    assert (np.abs(scaled[0]) < 0.9).sum() > 300


def ramp_on(geometry: Geometry, volume: Volume) -> Volume:
    """The ramp of the patient's own millimetres, as seen on some grid."""
    middle = volume.geometry.centre_mm
    values = ((lattice(geometry) - middle) @ np.array([0.3, -0.2, 0.25]) + 50.0).astype(np.float32)
    sources = tuple(volume.sources[0] for _ in range(geometry.shape[0]))
    return replace(volume, array=values, geometry=geometry, sources=sources)


def sagittal(volume: Volume) -> Geometry:
    """Another plane, spacing and size, its middle 6 mm to the left of the volume's."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-6.0, 0, 0], [0, 0, 2.5], [0, -3.0, 0]])
    shape = (20, 24, 36)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = volume.geometry.centre_mm + np.array([6.0, 0, 0]) - middle
    return Geometry(affine, shape, "1.9")


def test_two_series_of_other_planes_and_sizes_lie_on_one_grid_by_their_millimetres(
    volume: Volume, protocol: Protocol
) -> None:
    first, second = ramp_on(volume.geometry, volume), ramp_on(sagittal(volume), volume)
    model = image_input([first, second], protocol)
    assert model.voxels.shape == model.scanned.shape == (2, 16, 24, 32)
    assert np.allclose(model.grid.centre_mm, first.geometry.centre_mm)
    both = model.scanned.all(dim=0).numpy()
    for grid in (first.geometry, second.geometry):
        index = grid.to_index(lattice(model.grid))
        both &= ((index >= 1) & (index <= np.array(grid.shape) - 2)).all(axis=-1)
    assert both.sum() > 1000
    assert np.allclose(model.voxels[0].numpy()[both], model.voxels[1].numpy()[both], atol=0.02)


def test_a_missing_series_is_nowhere_scanned_and_the_grid_is_that_of_the_one_there(
    volume: Volume, protocol: Protocol
) -> None:
    second = ramp_on(sagittal(volume), volume)
    model = image_input([None, second], protocol)
    assert not model.scanned[0].any()
    assert (model.voxels[0] == -1.0).all()
    assert model.scanned[1].any()
    assert np.allclose(model.grid.centre_mm, second.geometry.centre_mm)
    alone = image_input([second], protocol)
    assert np.array_equal(model.voxels[1].numpy(), alone.voxels[0].numpy())


def test_what_a_tilted_scan_did_not_see_is_not_scanned(volume: Volume, protocol: Protocol) -> None:
    sheared = volume.geometry.affine.copy()
    sheared[:3, 0] += 0.3 * sheared[:3, 1]
    scanned = Geometry(sheared, volume.geometry.shape, "1.9")
    model = image_input([replace(volume, scanned=scanned)], protocol)
    index = scanned.to_index(lattice(model.grid))
    inside = ((index >= -0.5) & (index <= np.array(scanned.shape) - 0.5)).all(axis=-1)
    assert np.array_equal(model.scanned[0].numpy(), inside)

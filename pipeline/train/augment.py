"""Training cases seen slightly otherwise each time.

How is drawn case by case; images are then moved together, on the device that holds the batch.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.networks.layers import AffineTransform
from scipy.spatial.transform import Rotation
from torch import Tensor

from pipeline.model.image_encoder import STRIDE
from pipeline.tensors import Batch, ModelInput
from schemas.protocol import Protocol
from schemas.settings import PatientAxis

MAX_SHIFT_TOKENS = 1
MAX_GAIN = 0.1
TURNED_SHARE = 0.5
"""Of the training images, where any are turned or scaled at all. What is turned is interpolated, so
blurred: a network that sees nothing else takes sharp images for something new."""
FLIPPED_SHARE = 0.5
GRID_AXES: tuple[PatientAxis, ...] = ("S", "P", "L")
LEFT = (("notes", "table"), ("image", "table"), ("image", "notes"), ("image",))
"""What is left when the image, the notes, the table or the whole history is hidden."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How an image is seen.

    Parameters
    ----------
    matrix : shape (4, 4), float32
        From a place to the one that is shown there, both from -1 to 1 along each side of the grid,
        in the order S, P, L.
    gain
        Times what the voxels are above the lowest value.
    """

    matrix: Tensor
    gain: float


STILL = Motion(torch.eye(4), 1.0)


def augmented(
    model_input: ModelInput, masks: Tensor, random: np.random.Generator, protocol: Protocol
) -> tuple[ModelInput, Tensor, Motion]:
    """Return a training case with a part of it hidden, its moved masks, and how its image moves.

    An image whose tokens are kept from a frozen encoder stays where it is. What is hidden now and
    then: the image, the notes with the concepts that were read in them, the table's columns, or
    the whole history.

    Parameters
    ----------
    masks : shape (K, S/4, P/4, L/4)
        Moved with the image; NaN where nothing is known.
    """
    image, motion = model_input.image, STILL
    if image is not None and image.tokens is None:
        motion = _drawn(random, protocol)
        masks = _moved_masks(masks, motion)
        # An object of its own, since a patient drawn twice for a batch is not seen twice alike.
        image = replace(image)
    shown = ModelInput(image, model_input.text, model_input.table)
    if random.random() < protocol.training.modality_dropout:
        shown = shown.only(LEFT[int(random.integers(len(LEFT)))])
    return shown, masks, motion


def moved(batch: Batch) -> Batch:
    """Return a batch with its images moved as its ``motion`` says, if it has one.

    What comes in from outside was not scanned. Moving by whole voxels copies them.
    """
    if "motion" not in batch:
        return batch
    looked = batch["scanned"].float()
    gain = batch["gain"].view(-1, 1, 1, 1, 1)
    above = (batch["voxels"].float() + 1.0) * gain * looked
    seen = _seen(torch.cat([above, looked], 1), batch["motion"])
    above, share = seen.chunk(2, 1)
    scanned = share > 0.5
    voxels = torch.where(scanned, above / share.clamp(min=0.5) - 1.0, -1.0)
    return {**batch, "voxels": voxels, "scanned": scanned}


def _drawn(random: np.random.Generator, protocol: Protocol) -> Motion:
    """Draw a shift by whole tokens, so that masks move exactly, a turn and scale, flips, a gain."""
    training, grid = protocol.training, protocol.grid
    sides = np.array(grid.size[::-1], dtype=np.float64)
    half_mm = sides * grid.spacing_mm[::-1] / 2
    tokens = random.integers(-MAX_SHIFT_TOKENS, MAX_SHIFT_TOKENS + 1, 3)
    gain = 1.0 + MAX_GAIN * random.uniform(-1, 1)
    angles = training.rotation_degrees * random.uniform(-1, 1, 3)
    scale = 1.0 + training.scaling * random.uniform(-1, 1)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() / scale
    if (training.rotation_degrees or training.scaling) and random.random() >= TURNED_SHARE:
        turn = np.eye(3)
    flips = [axis in training.flips and random.random() < FLIPPED_SHARE for axis in GRID_AXES]
    matrix = np.eye(4)
    matrix[:3, :3] = turn * half_mm / half_mm[:, None]
    matrix[:3, 3] = -matrix[:3, :3] @ (2 * STRIDE * tokens / sides)
    matrix[:3, :3] *= np.where(flips, -1.0, 1.0)
    return Motion(torch.from_numpy(matrix).float(), gain)


def _seen(volumes: Tensor, matrices: Tensor) -> Tensor:
    """Return volumes (I, C, S, P, L) as their matrices show them; 0 comes in from outside.

    Only those that are turned or scaled are interpolated: it takes far longer than copying.
    """
    straight = (matrices[:, :3, :3].abs() == torch.eye(3, device=matrices.device)).flatten(1).all(1)
    seen = torch.zeros_like(volumes)
    for number in straight.nonzero()[:, 0].tolist():
        _copy(volumes[number], matrices[number].cpu(), seen[number])
    if not straight.all():
        with torch.autocast(volumes.device.type, enabled=False):
            seen[~straight] = _pulled(volumes[~straight], matrices[~straight], "bilinear")
    return seen


def _copy(volume: Tensor, matrix: Tensor, seen: Tensor) -> None:
    """Mirror a volume (C, S, P, L), shift it by whole voxels, and write it over what is seen."""
    signs, sides = matrix.diagonal()[:3], torch.tensor(volume.shape[1:])
    steps = (signs * matrix[:3, 3] * sides / 2).round().int()
    mirrored = volume.flip([1 + axis for axis in range(3) if signs[axis] < 0])
    source, target = [slice(None)], [slice(None)]
    for step, side in torch.stack([steps, sides], 1).tolist():
        source.append(slice(max(step, 0), side + min(step, 0)))
        target.append(slice(max(-step, 0), side - max(step, 0)))
    seen[tuple(target)] = mirrored[tuple(source)]


def _moved_masks(masks: Tensor, motion: Motion) -> Tensor:
    known = ~masks.isnan()
    both = torch.cat([masks.nan_to_num(), known.float()])[None]
    values, is_known = _pulled(both, motion.matrix[None], "nearest")[0].chunk(2)
    return torch.where(is_known > 0.5, values, torch.nan)


def _pulled(volumes: Tensor, matrices: Tensor, mode: str) -> Tensor:
    """Return volumes (I, C, S, P, L), each place taken from where its matrix says; 0 outside."""
    pull = AffineTransform(normalized=True, align_corners=False, mode=mode)
    pulled: Tensor = pull(volumes, matrices)
    return pulled

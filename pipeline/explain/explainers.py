"""Explanations that know nothing of the network's own additive parts, to hold against them.

Each gives one signed number a token of the model's grid and task, in log-odds. None is turned round
or scaled to a range: a map of twice the logit is twice the map, a map of its negative the negative.

Shapes: K tasks, N tokens, W width of a token with its cells' features, C series, S P L voxels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.explain.blocks import blocks, voxels_of
from pipeline.explain.paint import Mask, image_of, painted
from pipeline.progress import Progress, silent
from pipeline.tensors import ImageInput, ModelInput

Method = Literal["occlusion", "integrated_gradients", "grad_cam", "hires_cam"]
METHODS: tuple[Method, ...] = get_args(Method)
STEPS = 32
"""Points on the way from the blank image at which integrated gradients look."""
BLANK = -1.0
"""Voxel value where nothing shows."""

Array = NDArray[np.float64]
Step = Callable[[int, int], None]
"""Told how much is done, of how much."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageScore:
    """One network's logits as a function of one case's image, its history held as it is.

    Parameters
    ----------
    encode
        Voxels (1, C, S, P, L) to image tokens (1, N, W).
    answer
        Image tokens to logits (K,).
    """

    encode: Callable[[Tensor], Tensor]
    answer: Callable[[Tensor], Tensor]

    def __call__(self, voxels: Tensor) -> Tensor:
        """Voxels (1, C, S, P, L) to logits (K,)."""
        return self.answer(self.encode(voxels))


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An image and the tokens that networks make of it.

    Parameters
    ----------
    usable : shape (N,), bool
        Tokens that the networks look at.
    """

    image: ImageInput
    token_grid: tuple[int, int, int]
    usable: Mask


def explain(
    method: Method, networks: Sequence[ImageScore], place: Place, progress: Progress = silent
) -> Array:
    """Return what each token of the image adds by one method, shape (K, N), log-odds.

    - ``occlusion``: how far the logit falls when cubes of tokens are filled in from what is around
      them (Zeiler and Fergus, 2014), shared evenly among a cube's tokens.
    - ``integrated_gradients``: from a blank image to this one (Sundararajan et al., 2017,
      equation 1); sums to the logit less the blank image's, but for the error of ``STEPS`` points.
    - ``grad_cam``: image tokens weighted by the mean gradient of each of their features (Selvaraju
      et al., 2017, equations 1 and 2), without the ReLU, so that what lowers a logit stays.
    - ``hires_cam``: the same with each token's own gradient (Draelos and others, 2020); exact where
      the logit is linear in the tokens.

    Parameters
    ----------
    networks
        The members of an ensemble; the mean of their maps is the map of their mean.
    """
    maps = []
    for number, network in enumerate(networks, start=1):
        what = "explaining" if len(networks) == 1 else f"member {number} of {len(networks)}"
        found = _METHODS[method](network, place, partial(progress, what))
        maps.append(found.detach().double().cpu())
    mean: Array = torch.stack(maps).mean(0).numpy()
    return mean


def _occlusion(score: ImageScore, place: Place, step: Step) -> Tensor:
    case = ModelInput(place.image, None, None)
    with torch.no_grad():
        before = score(place.image.voxels[None])
        falls = torch.zeros(len(before), len(place.usable), dtype=before.dtype)
        seen = [block & place.usable for block in blocks(place.token_grid)]
        seen = [block for block in seen if block.any()]
        shape = place.image.grid.shape
        for number, block in enumerate(seen, start=1):
            hidden = image_of(painted(case, voxels_of(block, place.token_grid, shape)))
            fall = (before - score(hidden.voxels[None])).cpu() / int(block.sum())
            falls[:, torch.from_numpy(block)] = fall[:, None]
            step(number, len(seen))
    return falls


def _integrated_gradients(score: ImageScore, place: Place, step: Step) -> Tensor:
    way = place.image.voxels[None] - BLANK
    total = torch.zeros(1)
    for number in range(STEPS):
        voxels = (BLANK + way * ((number + 0.5) / STEPS)).requires_grad_()
        total = total + _gradients(score(voxels), voxels)
        step(number + 1, STEPS)
    added = (total / STEPS * way).sum(1)
    stride = [size // n for size, n in zip(added.shape[1:], place.token_grid, strict=True)]
    n_voxels = stride[0] * stride[1] * stride[2]
    return (functional.avg_pool3d(added[:, None], stride) * n_voxels).flatten(1)


def _grad_cam(score: ImageScore, place: Place, _: Step) -> Tensor:
    tokens, gradients = _at_tokens(score, place)
    usable = torch.from_numpy(place.usable).to(tokens.device)
    weights = gradients[:, usable].mean(1, keepdim=True)
    return (weights * tokens).sum(-1) * usable


def _hires_cam(score: ImageScore, place: Place, _: Step) -> Tensor:
    tokens, gradients = _at_tokens(score, place)
    usable = torch.from_numpy(place.usable).to(tokens.device)
    return (gradients * tokens).sum(-1) * usable


def _at_tokens(score: ImageScore, place: Place) -> tuple[Tensor, Tensor]:
    """Return the image tokens (1, N, W), and each logit's gradient at them, (K, N, W)."""
    with torch.no_grad():
        tokens = score.encode(place.image.voxels[None])
    tokens.requires_grad_()
    return tokens.detach(), _gradients(score.answer(tokens), tokens)


def _gradients(logits: Tensor, at: Tensor) -> Tensor:
    """Return the gradient of each logit, shape (K, ...) for a tensor of shape (1, ...)."""
    last = len(logits) - 1
    found = [
        torch.autograd.grad(logit, at, retain_graph=number < last)[0]
        for number, logit in enumerate(logits)
    ]
    return torch.cat(found)


_METHODS: Mapping[Method, Callable[[ImageScore, Place, Step], Tensor]] = {
    "occlusion": _occlusion,
    "integrated_gradients": _integrated_gradients,
    "grad_cam": _grad_cam,
    "hires_cam": _hires_cam,
}

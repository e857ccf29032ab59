"""The networks here are known functions, so each method's map is known too."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn
from torch.nn import functional

from pipeline.explain.agreement import agreement
from pipeline.explain.explainers import BLANK, METHODS, STEPS, ImageScore, Place, explain
from pipeline.geometry import Geometry
from pipeline.tensors import ImageInput

GRID, STRIDE = (2, 4, 6), 2
SHAPE = (4, 8, 12)
N = 48
HERE = int(np.ravel_multi_index((1, 2, 5), GRID))
"""The token that a network looks at."""


def place(*, bright: float = 2.0, usable: np.ndarray | None = None) -> Place:
    """A level image of 0 in which one cube of 2 x 2 x 2 tokens is bright."""
    voxels = torch.zeros(1, *SHAPE)
    voxels[0, 0:4, 4:8, 8:12] += bright
    affine = np.array([[0, 0, 2.0, 0], [0, 3.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    image = ImageInput(voxels, torch.ones_like(voxels, dtype=torch.bool), Geometry(affine, SHAPE))
    return Place(image, GRID, np.ones(N, bool) if usable is None else usable)


def encode(voxels: Tensor) -> Tensor:
    """Each token has two features: the mean of its voxels plus 1, and half of that."""
    mean = functional.avg_pool3d(voxels, STRIDE).flatten(2).transpose(1, 2) + 1.0
    return torch.cat([mean, mean / 2], -1)


def linear(weights: Tensor, bias: float = 0.25) -> ImageScore:
    """A logit that is linear in the tokens; weights (N, 2)."""
    return ImageScore(encode, lambda tokens: (tokens[0] * weights).sum()[None] + bias)


def one_place(token: int = HERE, weight: float = 1.0) -> Tensor:
    weights = torch.zeros(N, 2)
    weights[token] = weight
    return weights


@pytest.fixture
def weights() -> Tensor:
    return torch.randn(N, 2, generator=torch.Generator().manual_seed(1))


def test_integrated_gradients_of_a_linear_network_are_its_terms(weights: Tensor) -> None:
    there = place()
    found = explain("integrated_gradients", [linear(weights)], there)[0]
    # From -1, where both features are 0: each term is weight times feature.
    terms = (encode(there.image.voxels[None])[0] * weights).sum(-1)
    assert found == pytest.approx(terms.numpy(), abs=1e-5)


def test_integrated_gradients_sum_to_what_the_image_changes(weights: Tensor) -> None:
    def bent(tokens: Tensor) -> Tensor:
        return (torch.tanh(tokens[0] * weights / 4).sum().square() / 10)[None]

    there, score = place(), ImageScore(encode, bent)
    blank = torch.full_like(there.image.voxels[None], -1.0)
    changed = float(score(there.image.voxels[None])[0] - score(blank)[0])
    assert abs(changed) > 0.1
    found = explain("integrated_gradients", [score], there)
    assert float(found.sum()) == pytest.approx(changed, rel=0.01)


class Bent(nn.Module):
    """A smooth function of the image that no sum of terms is; its features are a layer of it."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights, self.features = weights, Features()

    def forward(self, voxels: Tensor) -> Tensor:
        return self.answer(self.features(voxels).transpose(1, 2))[None]

    def answer(self, tokens: Tensor) -> Tensor:
        said = tokens[0] * self.weights
        return torch.stack([torch.tanh(said / 4).sum().square() / 10, said.exp().sum().log()])

    def score(self) -> ImageScore:
        return ImageScore(encode, self.answer)


class Features(nn.Module):
    """Tokens as captum wants them: features before places."""

    def forward(self, voxels: Tensor) -> Tensor:
        return encode(voxels).transpose(1, 2)


@pytest.mark.parametrize("task", [0, 1])
def test_integrated_gradients_are_those_of_captum(weights: Tensor, task: int) -> None:
    there, network = place(), Bent(weights)
    voxels = there.image.voxels[None]
    theirs = IntegratedGradients(network).attribute(
        voxels, baselines=BLANK, target=task, n_steps=STEPS, method="riemann_middle",
        internal_batch_size=1,
    )  # fmt: skip
    of_tokens = functional.avg_pool3d(theirs, STRIDE).flatten() * STRIDE**3
    found = explain("integrated_gradients", [network.score()], there)[task]
    assert float(np.abs(found).max()) > 0.01
    assert found == pytest.approx(of_tokens.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("task", [0, 1])
def test_grad_cam_is_that_of_captum(weights: Tensor, task: int) -> None:
    there, network = place(), Bent(weights)
    theirs = LayerGradCam(network, network.features).attribute(
        there.image.voxels[None].requires_grad_(), target=task, relu_attributions=False
    )
    found = explain("grad_cam", [network.score()], there)[task]
    assert float(np.abs(found).max()) > 1e-4
    assert found == pytest.approx(theirs.detach().flatten().numpy(), abs=1e-6)


def test_hires_cam_is_exact_for_a_linear_head(weights: Tensor) -> None:
    there = place()
    found = explain("hires_cam", [linear(weights)], there)[0]
    tokens = encode(there.image.voxels[None])[0]
    assert found == pytest.approx((tokens * weights).sum(-1).numpy(), abs=1e-6)
    logit = float(linear(weights)(there.image.voxels[None])[0])
    assert float(found.sum()) == pytest.approx(logit - 0.25, abs=1e-5)


def test_grad_cam_weighs_features_by_their_mean_gradient(weights: Tensor) -> None:
    there = place()
    found = explain("grad_cam", [linear(weights)], there)[0]
    tokens = encode(there.image.voxels[None])[0]
    assert found == pytest.approx((tokens * weights.mean(0)).sum(-1).numpy(), abs=1e-6)


def test_occlusion_is_what_the_logit_loses_with_a_cube_filled_in() -> None:
    found = explain("occlusion", [linear(one_place())], place())[0].reshape(GRID)
    # The token falls from a mean of 2 to 0 in both features: 2 + 1, shared by 8 tokens.
    cube = np.zeros(GRID, bool)
    cube[0:2, 2:4, 4:6] = True
    assert found[cube] == pytest.approx(3.0 / 8, abs=1e-4)
    assert np.abs(found[~cube]).max() < 1e-4


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "hires_cam"])
def test_the_peak_is_where_the_network_looks(method: str) -> None:
    found = explain(method, [linear(one_place())], place())[0].reshape(GRID)
    assert found.max() > 0.1
    assert found[np.unravel_index(HERE, GRID)] == pytest.approx(found.max(), abs=1e-5)
    assert np.abs(found[0, :2, :4]).max() < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_a_map_has_the_sign_and_the_size_of_its_logit(method: str, weights: Tensor) -> None:
    def several(tokens: Tensor) -> Tensor:
        logit = torch.tanh(tokens[0] * weights).sum()
        return torch.stack([logit, -logit, 3.0 * logit])

    found = explain(method, [ImageScore(encode, several)], place())
    assert np.abs(found[0]).max() > 0.01
    assert found[1] == pytest.approx(-found[0], abs=1e-5)
    assert found[2] == pytest.approx(3.0 * found[0], abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_fainter_finding_has_a_fainter_map(method: str) -> None:
    score = linear(torch.ones(N, 2))

    def strength(bright: float) -> float:
        found = explain(method, [score], place(bright=bright))[0]
        return float(found.reshape(GRID)[1, 2, 5] - found.reshape(GRID)[0, 0, 0])

    assert strength(2.0) > 0.1
    assert strength(1.0) == pytest.approx(strength(2.0) / 2, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_what_lowers_the_logit_is_negative(method: str) -> None:
    found = explain(method, [linear(torch.full((N, 2), -1.0))], place())[0]
    assert found[HERE] < -0.1
    assert found[HERE] == pytest.approx(found.min(), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_an_ensemble_is_that_of_its_mean(method: str, weights: Tensor) -> None:
    there = place()
    both = explain(method, [linear(weights), linear(3 * weights)], there)
    assert both == pytest.approx(explain(method, [linear(2 * weights)], there), abs=1e-5)


@pytest.mark.parametrize("method", ["occlusion", "grad_cam", "hires_cam"])
def test_tokens_that_were_not_looked_at_add_nothing(method: str, weights: Tensor) -> None:
    usable = np.ones(N, bool)
    usable[:20] = False
    found = explain(method, [linear(weights)], place(usable=usable))[0]
    assert (found[:20] == 0).all()
    assert np.abs(found[20:]).max() > 0.01


def compared(one: np.ndarray, other: np.ndarray):
    there = place()
    return agreement(one, other, there.usable, GRID, there.image.grid)


def test_a_map_agrees_with_itself_and_not_with_its_negative() -> None:
    additions = np.linspace(-1.0, 1.0, N)
    same, turned = compared(additions, 5 * additions**3), compared(additions, -additions)
    assert same.rank_correlation == pytest.approx(1.0)
    assert same.peak_distance_mm == 0.0
    assert turned.rank_correlation == pytest.approx(-1.0)


def test_the_distance_of_two_peaks_is_in_millimetres() -> None:
    one, other = np.zeros(N), np.zeros(N)
    one[np.ravel_multi_index((0, 0, 0), GRID)] = 1.0
    other[np.ravel_multi_index((1, 2, 3), GRID)] = 1.0
    found = compared(one, other)
    # Tokens are 2 voxels wide, of 4, 3 and 2 mm: 8, 12 and 12 mm apart.
    assert found.peak_distance_mm == pytest.approx(np.sqrt(8**2 + 12**2 + 12**2), abs=1e-3)
    # The first token's centre lies between its two voxels on each axis: half of 2, 3 and 4 mm.
    assert found.peak_mm == pytest.approx((1.0, 1.5, 2.0))


@pytest.mark.parametrize("change", [lambda a: a * 0, lambda a: a * 0 - 1.0])
def test_a_level_map_has_no_rank_and_no_peak(change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = compared(change(np.arange(N, dtype=float)), np.arange(N, dtype=float))
    assert (found.rank_correlation, found.peak_mm, found.peak_distance_mm) == (None, None, None)


@pytest.mark.parametrize(("method", "n"), [("occlusion", 6), ("integrated_gradients", 32)])
def test_it_tells_how_far_it_is(method: str, n: int) -> None:
    told: list[tuple[str, int, int]] = []
    score = linear(one_place())
    explain(method, [score, score], place(), lambda *how_far: told.append(how_far))
    # Cubes of 2 x 2 x 2 tokens of a grid of 2 x 4 x 6: 1 x 2 x 3 of them.
    assert told[0] == ("member 1 of 2", 1, n)
    assert told[-1] == ("member 2 of 2", n, n)
    assert len(told) == 2 * n

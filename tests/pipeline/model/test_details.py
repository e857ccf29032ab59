import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cells import CELLS, by_token, on_grid
from pipeline.explain.reading import finest_of
from pipeline.model.collate import collate
from pipeline.model.details import FEATURES, Details, parted
from pipeline.model.ensemble import mean_output
from pipeline.model.image_encoder import cell_mask
from pipeline.model.network import FusedNetwork
from pipeline.tensors import ModelInput
from schemas.protocol import Protocol
from tests.pipeline.model.networks import TEXT_WIDTH, new_network, score, shaken, with_model

GRID = (4, 6, 8)
WIDTH = 5


def cells_of(voxels: torch.Tensor, tokens: torch.Tensor, details: Details) -> torch.Tensor:
    """Features of each cell, laid out (S/2, P/2, L/2, FEATURES)."""
    with torch.inference_mode():
        flat = details(voxels, tokens).reshape(-1, CELLS, FEATURES)
    return on_grid(flat.movedim(-1, 0), GRID).movedim(0, -1)


@pytest.mark.parametrize("cell", [(3, 5, 7), (2, 5, 8), (0, 0, 0), (7, 11, 15)])
def test_a_cell_shows_the_voxels_around_it_and_no_others(cell: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    details = Details(WIDTH).eval()
    voxels, tokens = torch.randn(1, 1, 16, 24, 32), torch.randn(1, math.prod(GRID), WIDTH)
    changed = voxels.clone()
    s, p, l = (slice(2 * at, 2 * at + 2) for at in cell)  # noqa: E741
    changed[0, 0, s, p, l] += 5.0
    moved = (cells_of(changed, tokens, details) - cells_of(voxels, tokens, details)).abs().sum(-1)
    away = np.abs(np.indices(moved.shape) - np.array(cell)[:, None, None, None]).max(0)
    assert moved[cell] > 0
    assert float(moved[torch.from_numpy(away > 1)].max()) < 1e-5


def test_a_cell_knows_the_token_that_holds_it() -> None:
    torch.manual_seed(0)
    details = Details(WIDTH).eval()
    voxels, tokens = torch.randn(1, 1, 16, 24, 32), torch.randn(1, math.prod(GRID), WIDTH)
    changed = tokens.clone()
    changed[0, np.ravel_multi_index((1, 2, 3), GRID)] += 5.0
    moved = (cells_of(voxels, changed, details) - cells_of(voxels, tokens, details)).abs().sum(-1)
    inside = torch.zeros_like(moved, dtype=torch.bool)
    inside[2:4, 4:6, 6:8] = True
    assert torch.equal(moved > 1e-6, inside)


def test_what_an_encoder_made_is_parted_as_it_was_joined() -> None:
    tokens, cells = torch.randn(2, 7, WIDTH), torch.randn(2, 7, CELLS, FEATURES)
    one, other = parted(torch.cat([tokens, cells.flatten(2)], -1), WIDTH)
    assert torch.equal(one, tokens)
    assert torch.equal(other, cells)


def test_before_training_all_cells_of_a_token_are_alike(
    protocol: Protocol, whole: ModelInput
) -> None:
    output = score(new_network(protocol, 2).eval(), protocol, whole)
    assert output.shares is not None
    assert torch.allclose(output.shares, torch.tensor(1 / CELLS))


@pytest.mark.parametrize("fusion", ["cross", "projection", "late", "image_only"])
def test_what_the_cells_add_sums_to_what_their_token_adds(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    output = score(shaken(other), other, whole)
    finest, grid = finest_of(output)
    s, p, l = output.token_grid  # noqa: E741
    assert grid == (2 * s, 2 * p, 2 * l)
    blocks = finest.reshape(-1, s, 2, p, 2, l, 2).sum((2, 4, 6)).reshape(len(finest), -1)
    assert np.allclose(blocks, output.image[0].numpy(), atol=1e-6)
    assert output.shares is not None
    assert float(output.shares.std()) > 0.001


def test_the_odds_of_a_token_are_the_mean_of_its_cells(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    batch = collate([whole], protocol, text_width=TEXT_WIDTH, table_width=2)
    with torch.inference_mode():
        details = parted(network.see(batch)[0], network.width)[1][0]
        asked = network.ask(network.questions)[network.asked_of] + network.asked
        finer = torch.einsum("qf,ncf->qnc", network.read_image.detail_query(asked), details)
    for parameter in network.read_image.detail_query.parameters():
        parameter.data.zero_()
    coarse = score(network, protocol, whole).presence[0]
    odds = (coarse[..., None] + finer).exp()
    assert float((output.presence[0] - coarse).abs().max()) > 0.001
    assert torch.allclose(odds.mean(-1), output.presence[0].exp(), rtol=1e-4)
    assert output.shares is not None
    whole_tokens = cell_mask(batch["scanned"])[0].all(-1)
    assert whole_tokens.any()
    shares = odds / odds.sum(-1, keepdim=True)
    assert torch.allclose(output.shares[0][:, whole_tokens], shares[:, whole_tokens], atol=1e-6)


def test_a_cell_that_was_not_scanned_has_no_share(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.image is not None
    scanned = torch.ones_like(whole.image.scanned)
    scanned[:, :, :, :2] = False
    half = replace(whole, image=replace(whole.image, scanned=scanned))
    shares = score(network, protocol, half).shares
    assert shares is not None
    laid = on_grid(shares[0], GRID)
    assert float(laid[..., 0].abs().max()) == 0.0
    assert float(laid[..., 1].min()) > 0.0
    assert torch.allclose(shares.sum(-1), torch.tensor(1.0))
    none = replace(whole, image=replace(whole.image, scanned=torch.zeros_like(scanned)))
    assert torch.isfinite(score(network, protocol, none).logits).all()


def test_a_linear_layer_on_the_mean_token_knows_nothing_finer(
    protocol: Protocol, whole: ModelInput
) -> None:
    other = with_model(protocol, fusion="concat")
    output = score(shaken(other), other, whole)
    assert output.shares is None
    finest, grid = finest_of(output)
    assert np.array_equal(finest, output.image[0].double().numpy())
    assert grid == output.token_grid
    assert mean_output([output, output]).shares is None


def test_members_shares_count_by_what_each_adds(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    one = score(network, protocol, whole)
    assert one.shares is not None
    last = torch.zeros_like(one.shares)
    last[..., -1] = 1.0
    other = replace(one, image=-3.0 * one.image, shares=last)
    shares = mean_output([one, other]).shares
    assert shares is not None
    moved = one.image.abs() > 1e-6
    assert moved.any()
    assert torch.allclose(shares[moved], ((one.shares + 3.0 * last) / 4.0)[moved], atol=1e-6)
    still = replace(one, image=torch.zeros_like(one.image))
    alike = mean_output([still, replace(still, shares=last)]).shares
    assert alike is not None
    assert torch.allclose(alike, (one.shares + last) / 2, atol=1e-6)


@given(st.tuples(*(st.integers(1, 4),) * 3), st.integers(0, 2))
def test_cells_lie_where_their_token_does(grid: tuple[int, int, int], n_lead: int) -> None:
    lead = (2, 3)[:n_lead]
    cells = torch.arange(math.prod((*lead, *grid)) * CELLS).reshape(*lead, -1, CELLS)
    laid = on_grid(cells, grid)
    assert laid.shape == (*lead, *(2 * side for side in grid))
    assert torch.equal(by_token(laid), cells)
    assert torch.equal(
        by_token(torch.stack([laid, -laid], -1), has_features=True),
        torch.stack([cells, -cells], -1),
    )
    tokens = torch.arange(math.prod(grid)).reshape(grid)
    spread = on_grid(tokens.flatten()[:, None].expand(-1, CELLS), grid)
    wide = tokens
    for axis in range(3):
        wide = wide.repeat_interleave(2, axis)
    assert torch.equal(spread, wide)

"""The network here is a known function: the logit is twice the mean of one patch of the scan."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.cells import CELLS
from pipeline.explain import check_maps, claims_of, words_of
from pipeline.explain.deletion import patches_beside, strongest_region
from pipeline.explain.paint import painted, random_patches
from pipeline.geometry import Geometry
from pipeline.tensors import ImageInput, ModelInput, ModelOutput

SHAPE, TOKENS = (16, 16, 16), (4, 4, 4)
PATCH = np.s_[0, 4:8, 8:12, 4:8]
TOKEN = np.ravel_multi_index((1, 2, 1), TOKENS)
BRIGHT = 3.0


def case(*, bright: float = BRIGHT, scanned: bool = True) -> ModelInput:
    voxels = torch.from_numpy(np.random.default_rng(1).normal(0, 0.3, (1, *SHAPE))).float()
    voxels[PATCH] += bright
    looked = torch.full((1, *SHAPE), scanned)
    image = ImageInput(voxels, looked, Geometry(np.eye(4)[[2, 1, 0, 3]] * [1, 1, 1, 1], SHAPE))
    return ModelInput(image, None, None)


def predict(inputs: Sequence[ModelInput]) -> ModelOutput:
    logits = torch.tensor([[2.0 * float(one.image.voxels[PATCH].mean())] for one in inputs])
    return said(logits, torch.zeros(len(inputs), 1, 64))


def said(logits: torch.Tensor, image: torch.Tensor) -> ModelOutput:
    nothing = torch.zeros(len(logits), 1, 0)
    return ModelOutput(
        logits=logits, bias=torch.zeros(1), image=image, text=nothing, table=nothing,
        presence=image, cuts=torch.zeros(1, 0), image_alone=logits, attention=(),
        token_grid=TOKENS, summary=nothing, history_summary=nothing, embedding=nothing,
    )  # fmt: skip


def output(scan: ModelInput, token: int, addition: float) -> ModelOutput:
    image = torch.zeros(1, 1, 64)
    image[0, 0, token] = addition
    return said(predict([scan]).logits, image)


def test_a_map_that_points_at_what_the_network_reads_passes() -> None:
    scan = case()
    check = check_maps(predict, scan, output(scan, TOKEN, 6.0))[0]
    assert check.status == "passed"
    assert words_of(check) == ""
    # The patch has 64 voxels of which the map's peak covers most: 2 x 3 falls towards 0.
    assert check.moved is not None
    assert 3.0 < check.moved < 6.5
    assert check.random_moved is not None
    assert check.moved > 5 * check.random_moved


def test_a_map_claims_for_its_strongest_voxels_what_its_cells_hold_there() -> None:
    scan = case()
    coarse = output(scan, TOKEN, 6.0)
    shares = torch.zeros(1, 1, 64, CELLS)
    shares[..., 3] = 1.0
    fine = replace(coarse, shares=shares)
    # Between two voxels of a cell its value falls to 3/4 and 1/4 along each axis: a quarter of the
    # peak or more is held by 8 voxels of (3/4)^3 and 24 of (3/4)^2 / 4, in all 27/32 of the cell.
    for of in (
        lambda said: check_maps(predict, scan, said)[0].claimed,
        lambda said: claims_of(scan, said)[0],
    ):
        assert of(fine) == pytest.approx(6.0 * 27 / 32, rel=0.01)
        assert of(coarse) < 4.5
    assert check_maps(predict, scan, fine)[0].n_voxels == 8 + 24


def test_a_region_is_what_holds_a_quarter_of_the_peak_and_three_percent_at_most() -> None:
    scan, scanned = case(), 16**3
    narrow, wide = np.zeros(scanned), np.arange(scanned, dtype=float)
    narrow[[100, 200, 300, 400]] = 8.0, 2.0, 1.9, -9.0
    assert strongest_region(scan, narrow, SHAPE)[0].ravel().nonzero()[0].tolist() == [100, 200]
    assert strongest_region(scan, narrow, SHAPE)[1] == pytest.approx(10.0)
    three_percent = round(0.03 * scanned)
    assert strongest_region(scan, wide, SHAPE)[0].sum() == three_percent
    assert strongest_region(scan, narrow, SHAPE, of_peak=0.0)[0].sum() == three_percent
    assert strongest_region(scan, -(narrow**2), SHAPE)[1] == 0.0


def test_random_patches_are_as_large_as_the_largest_region() -> None:
    small, large = np.zeros((2, *SHAPE), bool)
    small[0, 0, :2] = large[8:10, 8:10] = True
    patches = patches_beside(case(), [small, large])
    assert {int(patch.sum()) for patch in patches} == {64}
    assert not any((patch & (small | large)).any() for patch in patches)


def test_a_map_that_points_elsewhere_fails_and_says_so() -> None:
    scan = case()
    check = check_maps(predict, scan, output(scan, 63, 6.0))[0]
    assert check.status == "failed"
    assert "failed its own test" in words_of(check)


def test_what_lowers_the_logit_is_not_tested_by_painting_it_over() -> None:
    scan = case(bright=-BRIGHT)
    check = check_maps(predict, scan, output(scan, TOKEN, -6.0))[0]
    assert check.status == "nothing_to_delete"


@pytest.mark.parametrize("addition", [0.0, 0.09, -0.09])
def test_a_map_that_claims_next_to_nothing_is_neither_proved_nor_refused(addition: float) -> None:
    scan = case()

    def never(_inputs: Sequence[ModelInput]) -> ModelOutput:
        raise AssertionError

    check = check_maps(never, scan, output(scan, TOKEN, addition))[0]
    assert check.status == "nothing_to_delete"
    assert words_of(check) == ""


def test_a_map_that_claims_less_than_scans_without_the_finding_points_at_nothing() -> None:
    scan = case()
    claimed = check_maps(predict, scan, output(scan, TOKEN, 6.0))[0].claimed
    below, above = (
        check_maps(predict, scan, output(scan, TOKEN, 6.0), [claimed + step])[0]
        for step in (-0.01, 0.01)
    )
    assert (below.status, above.status) == ("passed", "passed")
    assert (below.points, above.points) == (True, False)
    assert above.least == pytest.approx(claimed + 0.01)
    assert above.claimed == claimed


def test_a_level_map_claims_nothing_however_much_it_adds() -> None:
    scan = case()
    level = said(predict([scan]).logits, torch.full((1, 1, 64), 1.0))
    assert check_maps(predict, scan, level)[0].status == "nothing_to_delete"


def test_a_network_that_answers_no_number_passes_no_map() -> None:
    scan = case()

    def broken(inputs: Sequence[ModelInput]) -> ModelOutput:
        found = predict(inputs)
        return replace(found, logits=found.logits * torch.nan)

    assert check_maps(broken, scan, output(scan, TOKEN, 6.0))[0].status == "failed"


def test_an_image_of_which_nothing_was_scanned_has_nothing_to_delete() -> None:
    scan = case(scanned=False)
    check = check_maps(predict, scan, output(scan, TOKEN, 0.0))[0]
    assert (check.status, check.n_voxels, check.moved) == ("nothing_to_delete", 0, None)


def test_the_same_case_gives_the_same_answer() -> None:
    scan = case()
    found = output(scan, TOKEN, 6.0)
    assert check_maps(predict, scan, found) == check_maps(predict, scan, found)


def test_only_the_region_is_painted_over_and_it_takes_its_surroundings_value() -> None:
    scan = case()
    region = np.zeros(SHAPE, bool)
    region[PATCH[1:]] = True
    filled = painted(scan, region).image.voxels[0].numpy()
    before = scan.image.voxels[0].numpy()
    assert np.array_equal(filled[~region], before[~region])
    # Noise of 0.3 around 0, averaged over many voxels.
    assert np.abs(filled[region]).max() < 0.3


def test_the_fill_is_the_mean_of_what_was_kept_with_gaussian_weights() -> None:
    scan = case()
    region = np.zeros(SHAPE, bool)
    region[5, 9, 6] = region[12:14, 2, 15] = True
    kept = (~region).astype(np.float32)
    voxels = scan.image.voxels[0].numpy()
    mean = gaussian_filter(voxels * kept, 2.0) / gaussian_filter(kept, 2.0)
    filled = painted(scan, region).image.voxels[0].numpy()
    assert filled[region] == pytest.approx(mean[region], abs=1e-6)


def test_a_hole_too_deep_for_the_first_blur_is_filled_from_further_away() -> None:
    scan = case()
    voxels = scan.image.voxels[0].numpy()
    region = np.zeros(SHAPE, bool)
    region[:10, 3:16, 2:14] = True  # up to the border, where what is there counts mirrored
    kept = (~region).astype(np.float32)
    expected = np.full(SHAPE, np.nan, np.float32)
    for width in (16.0, 8.0, 4.0, 2.0):
        weight = gaussian_filter(kept, width)
        mean = gaussian_filter(voxels * kept, width) / np.maximum(weight, 1e-9)
        expected = np.where(weight > 0.05, mean, expected)
    filled = painted(scan, region).image.voxels[0].numpy()
    nearest = gaussian_filter(kept, 2.0) > 0.05
    assert 0 < (region & ~nearest).sum() < region.sum()
    assert filled[region] == pytest.approx(expected[region], abs=1e-5)


def test_patches_hold_as_many_voxels_and_none_that_is_avoided() -> None:
    avoid = np.zeros(SHAPE, bool)
    avoid[:8] = True
    patches = random_patches(case(), avoid, 100, 5, seed=3)
    assert [int(patch.sum()) for patch in patches] == [100] * 5
    assert not any((patch & avoid).any() for patch in patches)
    assert random_patches(case(), ~np.zeros(SHAPE, bool), 100, 5, seed=3) == []


def test_patches_lie_in_the_picture_and_not_in_the_air() -> None:
    scan = case()
    # The window that measures detail reaches two voxels into the air.
    scan.image.voxels[:, :, :, 6:] = -1.0
    patches = random_patches(scan, np.zeros(SHAPE, bool), 1, 50, seed=3)
    assert all(np.argwhere(patch)[0, 2] < 8 for patch in patches)


def test_only_maps_that_claim_something_are_painted_over() -> None:
    scan = case()
    image = torch.zeros(1, 3, 64)
    image[0, 1, TOKEN] = 6.0

    def three(inputs: Sequence[ModelInput]) -> ModelOutput:
        found = predict(inputs)
        asked.append(len(inputs))
        return replace(found, logits=found.logits.expand(-1, 3))

    asked: list[int] = []
    before = said(predict([scan]).logits.expand(-1, 3), image)
    checks = check_maps(three, scan, before)
    assert [check.status for check in checks] == [
        "nothing_to_delete",
        "passed",
        "nothing_to_delete",
    ]
    assert asked == [1 + checks[1].n_random]
    assert checks[1] == check_maps(predict, scan, output(scan, TOKEN, 6.0))[0]

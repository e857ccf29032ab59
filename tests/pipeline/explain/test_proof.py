"""The network here is a known function: every bright token adds what it is brighter than 0.5."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from pipeline.cells import CELLS
from pipeline.explain import Predict, ProofCase, prove, refusal
from pipeline.explain.occlusion import correlated, occluded
from pipeline.explain.paint import blurred, put_back, shifted
from pipeline.explain.proof import _to_occlude
from pipeline.geometry import Geometry
from pipeline.tensors import ImageInput, ModelInput, ModelOutput
from schemas.maps import MapProof, MapProofs

SHAPE, TOKENS = (16, 24, 32), (4, 6, 8)
N_TOKENS = 192
SPACING_MM = 4.0
N_CASES = 10
BRIGHT = 3.0

Change = Callable[[int, Sequence[ModelInput], ModelOutput], ModelOutput]


def scan(seed: int) -> ModelInput:
    """Noise, and one token of the inner ones that is bright."""
    random = np.random.default_rng(seed)
    voxels = random.normal(0, 0.3, (1, *SHAPE)).astype(np.float32)
    start = 4 * np.array([random.integers(1, size - 1) for size in TOKENS])
    voxels[(0, *(slice(low, low + 4) for low in start))] += BRIGHT
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    image = ImageInput(
        torch.from_numpy(voxels), torch.ones(1, *SHAPE, dtype=torch.bool), Geometry(affine, SHAPE)
    )
    return ModelInput(image, None, None)


def additions(inputs: Sequence[ModelInput]) -> Tensor:
    means = avg_pool3d(torch.stack([one.image.voxels for one in inputs]), 4).flatten(2)
    return 2.0 * (means - 0.5).clamp(min=0.0)


def said(image: Tensor, logits: Tensor | None = None) -> ModelOutput:
    """What a network says whose bias makes good what the parts lack."""
    logits = image.sum(-1) if logits is None else logits
    nothing = torch.zeros(len(image), 1, 0)
    return ModelOutput(
        logits=logits, bias=(logits - image.sum(-1))[0], image=image, text=nothing, table=nothing,
        presence=image, cuts=torch.zeros(1, 0), image_alone=logits, attention=(),
        token_grid=TOKENS, summary=nothing, history_summary=nothing, embedding=nothing,
    )  # fmt: skip


def other_weights(inputs: Sequence[ModelInput]) -> ModelOutput:
    drawn = torch.from_numpy(np.random.default_rng(5).normal(size=N_TOKENS)).float()
    return said(drawn.expand(len(inputs), 1, -1))


def honest(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    return output


def another_cases(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    theirs = additions([scan((number + 1) % N_CASES)]).expand(len(inputs), -1, -1)
    return said(theirs, output.logits)


def the_same_for_all(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    mean = additions([scan(seed) for seed in range(N_CASES)]).mean(0, keepdim=True)
    return said(mean.expand(len(inputs), -1, -1), output.logits)


def unsummed(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    return replace(output, image=1.1 * output.image)


def restless(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    """The map of an image that is not wholly scanned, as a moved one is, lies elsewhere."""
    if all(bool(one.image.scanned.all()) for one in inputs):
        return output
    return said(output.image.flip(-1), output.logits)


def in_one_cell(number: int, inputs: Sequence[ModelInput], output: ModelOutput) -> ModelOutput:
    """Each token adds all in its first cell, or in its last where not all was scanned."""
    whole = all(bool(one.image.scanned.all()) for one in inputs)
    shares = torch.zeros(*output.image.shape, CELLS)
    shares[..., 0 if whole else -1] = 1.0
    return replace(output, shares=shares)


def proof(
    change: Change = honest, redrawn: Predict | None = other_weights, n: int = N_CASES
) -> MapProof:
    def asking(number: int) -> Predict:
        return lambda inputs: change(number, inputs, said(additions(inputs)))

    cases = [
        ProofCase(scan(number), asking(number), redrawn or asking(number)) for number in range(n)
    ]
    (found,) = prove(cases, ["lesion"], seed=3).tasks
    return found


def failing(found: MapProof) -> set[str]:
    return {figure.name for figure in found.figures if not figure.holds}


def test_maps_that_show_what_the_network_reads_pass_with_the_figures_they_must_have() -> None:
    found = proof()
    assert (found.status, found.reasons, found.n_tested) == ("passed", (), N_CASES)
    value = {figure.name: figure.value for figure in found.figures}
    assert value["deleted"] == value["inserted"] == value["own_over_average"] == 1.0
    assert value["inserted_over_average"] == 1.0
    assert value["gap"] == pytest.approx(0.0, abs=1e-6)
    # The bright token stays the brightest, so that the peak, moved back, is one voxel off.
    assert value["peak_moved_mm"] == pytest.approx(SPACING_MM)
    assert refusal(MapProofs(seed=3, tasks=(found,)), "lesion") == ""


def test_maps_are_proved_as_finely_as_they_are_drawn() -> None:
    tokens, cells = (
        {figure.name: figure.value for figure in proof(change).figures}
        for change in (honest, in_one_cell)
    )
    # Two voxels along each axis, one less along that by which the image was moved.
    assert cells["peak_moved_mm"] == pytest.approx(SPACING_MM * 3.0)
    assert cells["shifted"] < tokens["shifted"]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        pytest.param(
            another_cases,
            {"deleted", "inserted", "own_over_average", "inserted_over_average"},
            id="permuted",
        ),
        pytest.param(
            the_same_for_all, {"own_over_average", "inserted_over_average"}, id="constant"
        ),
        pytest.param(unsummed, {"gap"}, id="unsummed"),
        pytest.param(restless, {"shifted", "peak_moved_mm"}, id="restless"),
    ],
)
def test_planted_maps_are_refused_for_what_is_wrong_with_them(
    change: Change, fails: set[str]
) -> None:
    found = proof(change)
    assert found.status == "failed"
    assert fails <= failing(found)
    if change is unsummed:
        assert failing(found) == fails
    assert "are not proved" in refusal(MapProofs(seed=3, tasks=(found,)), "lesion")


def test_maps_that_do_not_hang_on_the_weights_are_refused() -> None:
    found = proof(redrawn=None)
    assert failing(found) == {"redrawn"}
    assert found.status == "failed"


def test_few_cases_prove_nothing() -> None:
    found = proof(n=5)
    assert found.status == "too_few"
    assert "only 5 test cases" in found.reasons[0]
    assert "8 are needed" in refusal(MapProofs(seed=3, tasks=(found,)), "lesion")


def test_no_case_at_all_proves_nothing_and_fails_nothing() -> None:
    found = prove([], ["lesion"], seed=3).tasks[0]
    assert (found.status, found.n_cases) == ("too_few", 0)
    assert all(figure.value is None for figure in found.figures)


def test_a_bundle_that_was_never_proved_is_not_refused_but_a_task_that_a_proof_forgets_is() -> None:
    assert refusal(None, "lesion") == ""
    assert "says nothing" in refusal(MapProofs(seed=3, tasks=()), "lesion")


def test_an_honest_map_ranks_the_block_that_is_missed_most_first_and_a_reversed_one_last() -> None:
    case = scan(1)

    def predict(inputs: Sequence[ModelInput]) -> ModelOutput:
        return said(additions(inputs))

    output = predict([case])
    assert float(occluded(predict, case, output)[0]) == 1.0
    reversed_ = replace(output, image=-output.image)
    assert float(occluded(predict, case, reversed_)[0]) == 0.0


def test_where_no_block_is_missed_there_is_no_rank() -> None:
    case = scan(1)

    def deaf(inputs: Sequence[ModelInput]) -> ModelOutput:
        return said(torch.ones(len(inputs), 1, N_TOKENS))

    assert np.isnan(occluded(deaf, case, deaf([case]))[0])


def test_a_blurred_image_holds_no_finding_and_what_is_put_back_is_as_it_was() -> None:
    case = scan(1)
    bare = blurred(case)
    assert bare.image.voxels.abs().max() < 0.3
    region = np.zeros(SHAPE, bool)
    region[4:8, 4:12] = True
    again = put_back(case, bare, region).image.voxels[0].numpy()
    assert np.array_equal(again[region], case.image.voxels[0].numpy()[region])
    assert np.array_equal(again[~region], bare.image.voxels[0].numpy()[~region])


def test_a_moved_image_is_the_same_a_voxel_on_and_what_came_in_was_not_scanned() -> None:
    case = scan(1)
    moved = shifted(case, (0, 1, 0)).image
    assert torch.equal(moved.voxels[:, :, 1:], case.image.voxels[:, :, :-1])
    assert not moved.scanned[:, :, 0].any()
    assert moved.scanned[:, :, 1:].all()


def test_correlation_is_pearsons_and_undefined_for_a_constant() -> None:
    one, other = np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 5.0])
    assert correlated(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert np.isnan(correlated(one, np.ones(3)))


def test_cases_to_occlude_are_chosen_so_that_no_task_goes_without() -> None:
    def one(*numbers: int) -> Any:
        return SimpleNamespace(is_tested=lambda number: number in numbers)

    # Twenty cases of the first task alone, then some of the others, one of none.
    cases = [*[one(0)] * 20, one(), *[one(0, 2)] * 2, *[one(1)] * 3]
    assert _to_occlude(cases, 3) == [21, 22, 0, 1, 23, 24, 25]
    assert _to_occlude([one()], 3) == []
    assert _to_occlude([], 2) == []

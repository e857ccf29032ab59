from dataclasses import replace
from typing import get_args

import pytest
import torch

from pipeline.geometry import Geometry
from pipeline.model.collate import collate
from pipeline.model.image_encoder import token_positions
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import image_input
from pipeline.tensors import FLAGS, Batch, ModelInput, ModelOutput, TableInput, TextInput
from pipeline.volume import Volume
from schemas.protocol import Protocol
from schemas.settings import Fusion, ImageEncoderName
from schemas.task import Task

TEXT_WIDTH = 12


def new_network(protocol: Protocol, n_table_features: int) -> FusedNetwork:
    return FusedNetwork(
        protocol,
        n_table_features,
        torch.randn(2, TEXT_WIDTH),
        text_mean=torch.zeros(TEXT_WIDTH),
        text_scale=torch.ones(TEXT_WIDTH),
    )


@pytest.fixture
def network(protocol: Protocol) -> FusedNetwork:
    torch.manual_seed(0)
    network = new_network(protocol, 2)
    for parameter in network.parameters():  # so that no part is zero by its initialisation
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def text(n_tokens: int) -> TextInput:
    random = torch.Generator().manual_seed(n_tokens)
    return TextInput(
        features=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        kinds=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        age_days=torch.full((n_tokens,), 3.0),
        flags=torch.randint(2, (n_tokens, len(FLAGS)), generator=random).float(),
        sentences=(),
    )


@pytest.fixture
def whole(volume: Volume, protocol: Protocol) -> ModelInput:
    table = TableInput(
        torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.tensor([True, True, False]), 0
    )
    return ModelInput(image_input([volume], protocol), text(7), table)


def score(network: FusedNetwork, protocol: Protocol, *cases: ModelInput) -> ModelOutput:
    batch = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)
    with torch.inference_mode():
        output: ModelOutput = network(batch)
    return output


def test_the_parts_sum_to_the_logit(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)
    for part in (output.image, output.text, output.table):
        assert part.abs().sum() > 1e-4


def test_padding_changes_no_score(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    alone = score(network, protocol, whole)
    longer = replace(whole, text=text(50))
    beside = score(network, protocol, whole, longer)
    assert torch.allclose(alone.logits[0], beside.logits[0], atol=1e-5)
    assert (beside.text[0, :, 7:] == 0).all()


def test_flags_move_a_score_by_their_weights_alone(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.text is not None
    plain = replace(whole, text=replace(whole.text, flags=torch.zeros_like(whole.text.flags)))
    logits = [score(network, protocol, case).logits for case in (whole, plain)]
    assert (logits[0] - logits[1]).abs().max() > 1e-4
    network.text.flags.data.zero_()
    logits = [score(network, protocol, case).logits for case in (whole, plain)]
    assert torch.equal(*logits)


def test_flags_weigh_nothing_before_training(protocol: Protocol) -> None:
    assert (new_network(protocol, 2).text.flags == 0).all()


def test_a_batch_pads_flags_with_zeros(protocol: Protocol, whole: ModelInput) -> None:
    cases = [replace(whole, text=text(9)), whole, replace(whole, text=None)]
    flags = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)["flags"]
    assert whole.text is not None
    assert flags.shape == (3, 9, len(FLAGS))
    assert torch.equal(flags[1, :7], whole.text.flags)
    assert (flags[1, 7:] == 0).all()
    assert (flags[2] == 0).all()


def test_without_its_evidence_the_image_leaves_the_historys_own_logit(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    blind = score(network, protocol, replace(whole, image=None))
    assert torch.allclose(output.logits - output.image.sum(-1), blind.logits, atol=1e-5)
    assert (blind.image == 0).all()


@pytest.mark.parametrize("part", ["image", "text", "table"])
def test_an_absent_modality_adds_exactly_nothing(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput, part: str
) -> None:
    output = score(network, protocol, replace(whole, **{part: None}))
    assert (getattr(output, part) == 0).all()
    assert output.logits.isfinite().all()


def test_a_case_with_nothing_is_left_with_the_bias(
    network: FusedNetwork, protocol: Protocol
) -> None:
    output = score(network, protocol, ModelInput(None, None, None))
    assert torch.equal(output.logits[0], output.bias)


def test_tokens_that_were_not_scanned_add_nothing(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.image is not None
    scanned = torch.zeros_like(whole.image.scanned)
    scanned[:, :8] = True
    output = score(network, protocol, replace(whole, image=replace(whole.image, scanned=scanned)))
    image = output.image[0].reshape(2, *output.token_grid)
    assert (image[:, 2:] == 0).all()
    assert (image[:, :2] != 0).any()


def test_what_the_image_adds_depends_on_the_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output = score(network, protocol, whole)
    other = score(network, protocol, replace(whole, text=text(9)))
    assert not torch.allclose(output.image, other.image, atol=1e-6)


def test_token_positions_are_the_centres_of_their_voxels_in_mm() -> None:
    shape, spacing = (16, 24, 32), (4.0, 3.0, 2.0)
    affine = torch.tensor([[0, 0, 2.0, 0], [0, 3.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]]).numpy()
    grid = Geometry(affine, shape)
    # The first token covers voxels 0 to 3, so its centre is at index 1.5 on each axis.
    first = grid.to_mm([1.5, 1.5, 1.5]) - grid.centre_mm
    positions = token_positions(shape, spacing)
    assert positions.shape == (4 * 6 * 8, 3)
    assert torch.allclose(positions[0], torch.tensor(first[::-1].copy(), dtype=torch.float32))
    assert torch.allclose(positions.mean(0), torch.zeros(3), atol=1e-4)


@pytest.mark.parametrize("name", get_args(ImageEncoderName))
def test_every_named_encoder_gives_the_token_grid(
    protocol: Protocol, whole: ModelInput, name: str
) -> None:
    settings = protocol.model.model_copy(update={"image_encoder": name, "image_channels": 8})
    other = protocol.model_copy(update={"model": settings})
    network = new_network(other, 2).eval()
    output = score(network, other, whole)
    assert output.token_grid == (4, 6, 8)
    assert output.image.shape == (1, 2, 4 * 6 * 8)


def test_absent_images_do_not_enter_batch_statistics(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    def mean_after(*cases: ModelInput) -> torch.Tensor:
        norm = network.image_encoder.norm
        norm.reset_running_stats()
        batch: Batch = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)
        network.train()(batch)
        return norm.running_mean.clone()

    blind = replace(whole, image=None)
    assert torch.allclose(mean_after(whole), mean_after(whole, blind), atol=1e-6)


def with_model(protocol: Protocol, **changes: object) -> Protocol:
    return protocol.model_copy(update={"model": protocol.model.model_copy(update=changes)})


def shaken(protocol: Protocol) -> FusedNetwork:
    """A network none of whose parts is zero by its initialisation."""
    torch.manual_seed(0)
    network = new_network(protocol, 2)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_in_every_fusion_the_parts_sum_and_the_history_is_left_without_the_image(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output = score(network, other, whole, replace(whole, text=text(20)))
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)
    blind = score(
        network, other, replace(whole, image=None), replace(whole, text=text(20), image=None)
    )
    assert torch.allclose(output.history_alone, blind.logits, atol=1e-6)


@pytest.mark.parametrize(
    ("fusion", "silent"), [("image_only", ("text", "table")), ("history_only", ("image",))]
)
def test_what_a_fusion_must_not_read_adds_nothing_and_changes_nothing(
    protocol: Protocol, whole: ModelInput, fusion: str, silent: tuple[str, ...]
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output = score(network, other, whole)
    for part in silent:
        assert (getattr(output, part) == 0).all()
    without = score(network, other, replace(whole, **dict.fromkeys(silent)))
    assert torch.equal(output.logits, without.logits)


@pytest.mark.parametrize("fusion", ["late", "concat", "projection", "cross"])
def test_only_some_fusions_let_the_history_move_the_images_evidence(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    output, changed = (score(network, other, replace(whole, text=text(n))) for n in (7, 9))
    same = torch.allclose(output.image, changed.image, atol=1e-6)
    assert same == (fusion in ("late", "concat"))


def test_presence_does_not_depend_on_the_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    output, changed = (score(network, protocol, replace(whole, text=text(n))) for n in (7, 9))
    assert torch.equal(output.presence, changed.presence)


def test_the_order_of_the_notes_changes_no_score(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.text is not None
    order = torch.tensor([3, 0, 6, 5, 1, 2, 4])
    shuffled = replace(
        whole.text, features=whole.text.features[order], kinds=whole.text.kinds[order],
        flags=whole.text.flags[order],
    )  # fmt: skip
    output = score(network, protocol, whole)
    other = score(network, protocol, replace(whole, text=shuffled))
    assert torch.allclose(output.logits, other.logits, atol=1e-5)
    assert torch.allclose(output.text[..., order], other.text, atol=1e-5)


def test_a_text_without_a_sentence_scores_like_no_text(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    empty = score(network, protocol, replace(whole, text=text(0)))
    none = score(network, protocol, replace(whole, text=None))
    assert torch.equal(empty.logits, none.logits)


def test_cases_score_the_same_alone_and_in_a_batch(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    cases = [
        whole, replace(whole, image=None), replace(whole, text=text(30)),
        replace(whole, table=None), replace(whole, text=None),
    ]  # fmt: skip
    together = score(network, protocol, *cases).logits
    alone = torch.cat([score(network, protocol, case).logits for case in cases])
    assert torch.allclose(together, alone, atol=1e-5)


def test_tokens_kept_from_before_score_like_the_voxels_they_came_from(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    assert whole.image is not None
    batch = collate([whole], protocol, text_width=TEXT_WIDTH, table_width=2)
    tokens, _ = network.see(batch)
    nothing = torch.zeros_like(whole.image.voxels)
    kept = replace(whole.image, voxels=nothing, tokens=tokens[0])
    output = score(network, protocol, whole, replace(whole, image=None))
    again = score(network, protocol, replace(whole, image=kept), replace(whole, image=None))
    assert torch.allclose(output.logits, again.logits, atol=1e-6)


@pytest.fixture
def two_series(protocol: Protocol) -> Protocol:
    rules = tuple(protocol.series[0].model_copy(update={"name": name}) for name in ("t1", "flair"))
    return protocol.model_copy(update={"series": rules})


def pair(whole: ModelInput, *there: bool) -> ModelInput:
    """The image and its negative as two series, of which some may be missing."""
    assert whole.image is not None
    voxels = torch.cat([whole.image.voxels, -whole.image.voxels])
    scanned = whole.image.scanned & torch.tensor(there)[:, None, None, None]
    return replace(whole, image=replace(whole.image, voxels=voxels, scanned=scanned))


def test_a_missing_series_counts_for_nothing(two_series: Protocol, whole: ModelInput) -> None:
    network = shaken(two_series)
    case = pair(whole, True, False)
    assert case.image is not None
    output = score(network, two_series, case)
    voxels = case.image.voxels.clone()
    voxels[1] = 7.0
    other = replace(case, image=replace(case.image, voxels=voxels))
    assert torch.equal(output.logits, score(network, two_series, other).logits)
    assert output.logits.isfinite().all()
    both = score(network, two_series, pair(whole, True, True))
    assert not torch.allclose(output.logits, both.logits, atol=1e-5)


def test_each_series_has_a_mark_of_its_own(two_series: Protocol, whole: ModelInput) -> None:
    network = shaken(two_series)
    case = pair(whole, True, True)
    assert case.image is not None
    swapped = replace(case, image=replace(case.image, voxels=case.image.voxels.flip(0)))
    output, other = score(network, two_series, case), score(network, two_series, swapped)
    assert not torch.allclose(output.logits, other.logits, atol=1e-5)


def test_a_multiclass_task_has_evidence_for_each_class(
    protocol: Protocol, whole: ModelInput
) -> None:
    kind = Task(
        name="kind", kind="multiclass", question="Which kind is it?", classes=("a", "b", "c")
    )
    other = protocol.model_copy(update={"tasks": (protocol.tasks[0], kind)})
    output = score(shaken(other), other, whole)
    assert output.logits.shape == (1, 4)
    assert output.image.shape[1] == output.table.shape[1] == output.text.shape[1] == 4
    parts = output.image.sum(-1) + output.text.sum(-1) + output.table.sum(-1) + output.bias
    assert torch.allclose(parts, output.logits, atol=1e-5)


def test_image_and_history_lie_on_the_unit_sphere_of_one_space_or_at_its_centre(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    blind = replace(whole, image=None)
    embedding = score(network, protocol, whole, blind).embedding
    assert embedding.shape == (2, 2, protocol.model.embedding)
    assert embedding.norm(dim=-1).tolist() == [
        pytest.approx([1.0, 1.0], abs=1e-5), pytest.approx([0.0, 1.0], abs=1e-5)
    ]  # fmt: skip


def test_the_history_moves_only_the_tokens_of_highest_presence(
    protocol: Protocol, whole: ModelInput
) -> None:
    other = with_model(protocol, looked_at=5)
    network = shaken(other)
    output, changed = (score(network, other, replace(whole, text=text(n))) for n in (7, 9))
    # Finding nothing is spread evenly over all tokens that were scanned: take that off.
    moved = changed.image[0] - output.image[0]
    moved = moved - moved.median(-1, keepdim=True).values
    scanned = output.image[0].abs().sum(0) > 0
    touched = (moved.abs().sum(0) > 1e-6) & scanned
    assert 1 <= touched.sum() <= 5
    highest = output.presence[0].amax(0).where(scanned, torch.tensor(-torch.inf))
    assert set(touched.nonzero()[:, 0].tolist()) <= set(highest.topk(5).indices.tolist())


def test_a_missing_variable_has_no_effect_and_a_known_one_its_own(
    network: FusedNetwork, protocol: Protocol
) -> None:
    values = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])
    effects = network.effects(values, torch.tensor([[True, True, False]]))
    weight = network.effects.weight
    torch.testing.assert_close(effects[0, :, 0], weight[:, 0, 0] + weight[:, 0, 2])
    torch.testing.assert_close(effects[0, :, 1], weight[:, 1, 1] + weight[:, 1, 2])
    assert (effects[0, :, 2] == 0).all()


@pytest.mark.parametrize("fusion", ["cross", "concat", "projection"])
def test_cases_that_share_an_image_encode_it_once_and_score_as_if_they_did_not(
    protocol: Protocol, whole: ModelInput, fusion: str
) -> None:
    assert whole.image is not None
    other = with_model(protocol, fusion=fusion)
    network = shaken(other)
    encoded = []
    network.image_encoder.stages.register_forward_pre_hook(
        lambda _, given: encoded.append(len(given[0]))
    )
    second = replace(whole.image, voxels=whole.image.voxels.flip(1))
    cases = [
        whole, replace(whole, text=text(3)), replace(whole, image=None),
        replace(whole, image=second), replace(whole, table=None),
    ]  # fmt: skip
    together = score(network, other, *cases)
    assert encoded == [2]
    alone = [score(network, other, case) for case in cases]
    for name in ("logits", "image", "presence", "summary", "embedding", "image_alone"):
        apart = torch.cat([getattr(one, name) for one in alone])
        assert torch.allclose(getattr(together, name), apart, atol=1e-5), name


def test_the_historys_summary_does_not_depend_on_padding_or_image_and_is_0_without_a_history(
    network: FusedNetwork, protocol: Protocol, whole: ModelInput
) -> None:
    alone = score(network, protocol, replace(whole, image=None)).history_summary
    longer = replace(whole, text=text(9))
    bare = replace(whole, text=None, table=None)
    together = score(network, protocol, whole, longer, bare).history_summary
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert not torch.allclose(together[1], alone[0], atol=1e-3)
    assert (together[2] == 0).all()

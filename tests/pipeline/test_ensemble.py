import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import MANIFEST, Bundle, load_bundle, making_of, save_bundle, weights_file
from pipeline.errors import CheckpointError, UsageError
from pipeline.geometry import Geometry
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform
from pipeline.settle import settled
from pipeline.tensors import ImageInput, ModelInput, TableInput
from pipeline.train import ensemble
from pipeline.train.checkpoints import Work
from pipeline.train.ensemble import fit_members, patient_bootstrap, require_trainable
from pipeline.train.examples import Example
from pipeline.train.scores import score_with_hidden
from schemas.protocol import Protocol
from tests.pipeline.train.test_fit import example

SHIPPED = Path(__file__).parents[2] / "data_samples" / "bundles" / "brain_mr"
TRANSFORM: TableTransform = None  # type: ignore[assignment]


def asked(protocol: Protocol, n_members: int) -> Protocol:
    training = protocol.training.model_copy(update={"ensemble": n_members})
    return protocol.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def pair() -> Bundle:
    """The shipped network beside one of the same form whose weights are otherwise."""
    bundle = load_bundle(SHIPPED)
    first = bundle.networks[0]
    other = FusedNetwork(
        bundle.protocol, bundle.table_transform.width, first.questions,
        text_mean=first.text.mean, text_scale=first.text.scale,
    )  # fmt: skip
    torch.manual_seed(5)
    moved = {
        name: value + 0.1 * torch.randn_like(value) if value.is_floating_point() else value
        for name, value in first.state_dict().items()
    }
    fixed = ("questions", "places", "text.mean", "text.scale", "running_var")
    kept = {name: v for name, v in first.state_dict().items() if name.endswith(fixed)}
    other.load_state_dict(moved | kept)
    other.eval().requires_grad_(requires_grad=False)
    return replace(bundle, protocol=asked(bundle.protocol, 2), networks=(first, other))


@pytest.fixture(scope="module")
def saved(pair: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    save_bundle(folder, pair, "card", making_of(SHIPPED))
    return folder


def case(bundle: Bundle) -> ModelInput:
    n, width = bundle.protocol.n_variables, bundle.table_transform.width
    values = torch.linspace(-1.0, 1.0, n * width).reshape(n, width)
    n_concepts = len(bundle.protocol.concepts)
    return ModelInput(None, None, TableInput(values, torch.ones(n, dtype=torch.bool), n_concepts))


def test_a_bundle_of_two_comes_back_as_two_and_answers_with_their_mean(
    pair: Bundle, saved: Path
) -> None:
    read = load_bundle(saved)
    output = read.predict([case(read)])
    singles = [replace(pair, networks=(one,)).predict([case(read)]) for one in pair.networks]
    assert output.member_logits is not None
    assert output.member_logits.shape[0] == 2
    for said, alone in zip(output.member_logits, singles, strict=True):
        torch.testing.assert_close(said, alone.logits)
    assert not torch.allclose(singles[0].logits, singles[1].logits, atol=1e-3)
    torch.testing.assert_close(output.logits, (singles[0].logits + singles[1].logits) / 2)
    torch.testing.assert_close(output.table, (singles[0].table + singles[1].table) / 2)


def test_the_parts_of_an_ensemble_sum_to_its_logit(pair: Bundle) -> None:
    output = pair.predict([case(pair)])
    parts = output.history_alone + output.image.sum(-1)
    torch.testing.assert_close(parts, output.logits, rtol=0.0, atol=1e-5)


def test_the_bundle_of_one_network_is_that_network(pair: Bundle) -> None:
    output = replace(pair, networks=pair.networks[:1]).predict([case(pair)])
    assert output.member_logits is not None
    assert torch.equal(output.member_logits[0], output.logits)


def with_image(bundle: Bundle, seed: int) -> ModelInput:
    size = bundle.protocol.grid.size[::-1]
    voxels = torch.rand(1, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    scanned = torch.ones(1, *size, dtype=torch.bool)
    image = ImageInput(voxels, scanned, Geometry(np.diag([1.0, 1, -1, 1]), size))
    return replace(case(bundle), image=image)


def left_of(one: ModelInput, subset: tuple[str, ...]) -> ModelInput:
    return one if subset == one.present else one.only(subset)


def test_what_subsets_of_many_cases_say_is_what_each_says_by_itself_with_each_image_encoded_once(
    pair: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [with_image(pair, 1), case(pair), replace(with_image(pair, 2), table=None)]
    subsets = (("image", "table"), ("image",), ("table",), ())
    alone = {
        subset: [
            pair.unsettled([left_of(one, subset)]).logits[0].double().numpy()
            if set(subset) <= set(one.present)
            else np.full(len(pair.protocol.tasks), np.nan)
            for one in cases
        ]
        for subset in subsets
    }
    encoder, n_encoded = pair.networks[0].image_encoder, 0
    forward = encoder.forward

    def counting(voxels: torch.Tensor, looked: torch.Tensor) -> torch.Tensor:
        nonlocal n_encoded
        n_encoded += int((looked > 0).flatten(1).any(1).sum())
        return forward(voxels, looked)

    monkeypatch.setattr(encoder, "forward", counting)
    scores, together = score_with_hidden(pair, cases)
    assert n_encoded == 2
    for subset in subsets:
        np.testing.assert_allclose(together[subset], alone[subset], rtol=0, atol=1e-4)
    assert np.isnan(together["image",][1]).all()
    assert not np.isnan(together[()]).any()
    whole = pair.unsettled(cases)
    assert scores.present == tuple(one.present for one in cases)
    for own, expected in (
        (scores.logits, whole.logits), (scores.members, whole.each_member),
        (scores.summaries, whole.summary[[0, 2]]), (scores.histories, whole.history_summary),
    ):  # fmt: skip
        np.testing.assert_allclose(own, expected.numpy(), rtol=0, atol=1e-4)


def test_cells_are_worked_out_only_where_maps_are_asked_for(pair: Bundle) -> None:
    asked, plain = pair.predict([with_image(pair, 1)]), pair.unsettled([with_image(pair, 1)])
    assert asked.shares is not None
    torch.testing.assert_close(asked.shares.sum(-1), torch.ones_like(asked.image))
    assert plain.shares is None
    assert torch.equal(plain.logits, asked.logits)


def test_an_encoded_image_is_not_encoded_again_and_changes_no_answer(
    pair: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = with_image(pair, 3)
    variants = [whole, whole.only(("table",)), whole.only(("image",))]
    before = pair.predict(variants)
    read = pair.encoded(whole)
    again = [read, read.only(("table",)), read.only(("image",))]

    def never(*_: object) -> None:
        pytest.fail("an image was encoded again")

    for network in pair.networks:
        monkeypatch.setattr(network.image_encoder, "forward", never)
    after = pair.predict(again)
    torch.testing.assert_close(after.each_member, before.each_member, rtol=0.0, atol=1e-5)
    torch.testing.assert_close(after.image, before.image, rtol=0.0, atol=1e-5)
    assert not torch.allclose(before.each_member[0], before.each_member[1], atol=1e-3)
    raw = pair.unsettled(again)
    assert torch.equal(raw.logits, after.logits)
    torch.testing.assert_close(settled(raw.image), after.image)
    assert not torch.allclose(raw.image, after.image, atol=1e-3)
    assert pair.encoded(read) is read
    assert pair.encoded(case(pair)).image is None
    with pytest.raises(ValueError, match="are not of 1 networks"):
        replace(pair, networks=pair.networks[:1]).unsettled([read])
    monkeypatch.undo()
    mixed = pair.predict([read, with_image(pair, 4)])
    torch.testing.assert_close(mixed.logits[0], before.logits[0], rtol=0.0, atol=1e-5)
    assert not torch.allclose(mixed.logits[1], before.logits[0], atol=1e-3)


def test_a_member_that_was_altered_or_taken_away_is_refused(saved: Path) -> None:
    member = saved / weights_file(1)
    whole = member.read_bytes()
    try:
        member.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CheckpointError, match=r"model_1\.safetensors differs"):
            load_bundle(saved)
        member.unlink()
        with pytest.raises(CheckpointError, match=r"model_1\.safetensors differs"):
            load_bundle(saved)
        # Even where the manifest was made to fit, the protocol asks for two.
        manifest = json.loads((saved / MANIFEST).read_text())
        del manifest["files"][weights_file(1)]
        before = (saved / MANIFEST).read_text()
        (saved / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_bundle(saved)
        (saved / MANIFEST).write_text(before)
    finally:
        member.write_bytes(whole)
    assert hashlib.sha256(member.read_bytes()).digest() == hashlib.sha256(whole).digest()


def test_a_bootstrap_draws_patients_each_with_all_studies() -> None:
    cases = [replace(example(n), patient_id=f"p{n // 2}") for n in range(40)]
    drawn = patient_bootstrap(cases, seed=3)
    counts = {
        uid: sum(one.study_uid == uid for one in drawn) for uid in {c.study_uid for c in cases}
    }
    for first in range(0, 40, 2):
        assert counts[f"1.{first}"] == counts[f"1.{first + 1}"]
    assert len(drawn) == 40
    # Of 20 draws with replacement about 1 - 1/e of the patients appear; all of them hardly ever.
    assert 6 <= len({one.patient_id for one in drawn}) <= 18
    again = [one.study_uid for one in patient_bootstrap(cases[::-1], seed=3)]
    assert sorted(again) == sorted(one.study_uid for one in drawn)


def test_members_differ_in_seed_and_draw_and_share_the_validation_part(
    monkeypatch: pytest.MonkeyPatch, tiny_protocol: Protocol
) -> None:
    seen: list[tuple[int, list[str], int]] = []
    names: list[str] = []

    def fit(
        network: object, train: list[Example], validation: list[Example], _: object,
        protocol: Protocol, progress: object, *, work: Work | None,
    ) -> object:  # fmt: skip
        seen.append((protocol.training.seed, [c.study_uid for c in train], len(validation)))
        progress("training", 1, 1)  # type: ignore[operator]
        return network

    monkeypatch.setattr(ensemble, "fit", fit)
    parts = {"train": [example(n) for n in range(20)], "validation": [example(99)]}

    def run(n_members: int) -> list[tuple[int, list[str], int]]:
        seen.clear()
        fit_members(
            lambda _: object(),  # type: ignore[arg-type,return-value]
            parts, TRANSFORM, asked(tiny_protocol, n_members),  # type: ignore[arg-type]
            lambda what, *_: names.append(what),
        )  # fmt: skip
        return list(seen)

    whole = [case.study_uid for case in parts["train"]]
    assert run(1) == [(0, whole, 1)]
    two = run(2)
    assert [seed for seed, _, _ in two] == [0, 1]
    assert all(len(set(drawn)) < len(whole) for _, drawn, _ in two)
    assert two[0][1] != two[1][1]
    assert np.all([n == 1 for _, _, n in two])
    assert names == ["training", "member 1 of 2: training", "member 2 of 2: training"]


def test_a_frozen_image_branch_must_have_been_taught(tiny_protocol: Protocol) -> None:
    def frozen(weights: str = "", **training: object) -> Protocol:
        alone = asked(tiny_protocol, 1)
        return alone.model_copy(
            update={
                "training": alone.training.model_copy(update={"freeze_image": True, **training}),
                "model": alone.model.model_copy(update={"image_weights": weights}),
            }
        )

    with pytest.raises(UsageError, match="nothing has taught it"):
        require_trainable(frozen())
    require_trainable(frozen(image_epochs=1))
    require_trainable(frozen(weights="of_others.safetensors"))
    require_trainable(frozen(freeze_image=False))


def test_an_ensemble_that_would_tune_many_berts_is_refused(tiny_protocol: Protocol) -> None:
    model = tiny_protocol.model.model_copy(update={"text_tuning": "lora"})
    with pytest.raises(UsageError, match="text_tuning"):
        require_trainable(asked(tiny_protocol, 2).model_copy(update={"model": model}))
    require_trainable(asked(tiny_protocol, 1).model_copy(update={"model": model}))

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import similar
from pipeline.bundle import Bundle, load_bundle
from pipeline.cohort import Cohort
from pipeline.errors import UsageError
from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.preprocess import TableTransform, fit_table_transform
from pipeline.progress import silent
from pipeline.similar import Place, Question, check_space, find_similar, similarities
from pipeline.train.examples import Example
from pipeline.train.loop import fit
from schemas.history import TableValue
from schemas.issue import IssueCode
from schemas.protocol import Protocol
from schemas.series import Inventory, Study
from schemas.similar import ComparedBy, LeftOut, SimilarCases
from tests.pipeline.model.networks import TEXT_WIDTH, new_network
from tests.pipeline.train.test_fit import example

SHIPPED = Path(__file__).parents[2] / "data_samples" / "bundles" / "brain_mr"
NOWHERE = (0.0, 0.0)


def unit(degrees: float) -> tuple[float, float]:
    return float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The shipped one as if it had been trained with the contrast."""
    return with_training(load_bundle(SHIPPED), contrast_weight=0.1)


def with_training(bundle: Bundle, **changes: object) -> Bundle:
    training = bundle.protocol.training.model_copy(update=changes)
    return replace(bundle, protocol=bundle.protocol.model_copy(update={"training": training}))


# Of each study its patient, and where its image and its history lie.
PLACES = {
    "1.0": ("p0", unit(0), unit(90)),
    "1.1": ("P-0", unit(1), unit(89)),
    "1.2": ("p2", unit(60), unit(90)),
    "1.3": ("p3", unit(90), unit(150)),
    "1.4": ("p4", unit(60), NOWHERE),
    "1.5": ("p5", NOWHERE, unit(100)),
    "1.6": ("", unit(180), unit(270)),
}
LOST = LeftOut(study_uid="1.9", status="refused", reasons=(IssueCode.PIXELS_UNREADABLE,))

Ask = Callable[..., SimilarCases]


@pytest.fixture
def ask(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask about studies that lie where ``PLACES`` says."""
    studies = tuple(
        Study(study_uid=uid, patient_id=patient, series=(), content_sha256="")
        for uid, (patient, *_) in (PLACES | {"1.9": ("p9",)}).items()
    )

    def put(_cohort: object, _bundle: object, study: Study) -> Place | LeftOut:
        if study.study_uid == LOST.study_uid:
            return LOST
        _, *vectors = PLACES[study.study_uid]
        return Place(study, np.array(vectors), study.study_uid == "1.3")

    monkeypatch.setattr(similar, "place", put)
    cohort = Cohort(Path(), Path(), Inventory(studies=studies), None, bundle.protocol)  # type: ignore[arg-type]

    def answer(uid: str, by: ComparedBy = "both", **more: object) -> SimilarCases:
        return find_similar(cohort, bundle, Question(uid, by, **more))  # type: ignore[arg-type]

    return answer


def named(found: SimilarCases) -> list[str]:
    return [one.study_uid for one in found.neighbours]


def test_cosines_are_those_of_the_parts_that_both_have() -> None:
    case = np.array([unit(0), unit(90)])
    others = np.array([[unit(60), unit(90)], [unit(180), NOWHERE], [NOWHERE, NOWHERE]])
    cosines, compared = similarities(case, others, "both")
    assert compared == ["image", "history"]
    expected = [[0.5, 1.0], [-1.0, np.nan], [np.nan, np.nan]]
    np.testing.assert_allclose(cosines, expected, atol=1e-12)
    for by, column in (
        ("image", [0.5, -1.0, np.nan]), ("history", [1.0, np.nan, np.nan]),
        ("image-to-history", [0.0, np.nan, np.nan]),
        ("history-to-image", [np.sqrt(0.75), 0.0, np.nan]),
    ):  # fmt: skip
        cosines, compared = similarities(case, others, by)  # type: ignore[arg-type]
        assert compared == [by]
        np.testing.assert_allclose(cosines[:, 0], column, atol=1e-12)


def test_the_nearest_come_first_each_by_what_it_has(ask: Ask) -> None:
    found = ask("1.0")
    # Means of the cosines of 60 and 0, 90 and 60, 180 and 180 degrees; 1.4 and 1.5 have one part.
    assert named(found) == ["1.5", "1.2", "1.4", "1.3", "1.6"]
    values = [one.similarity for one in found.neighbours]
    assert values == pytest.approx([np.cos(np.deg2rad(10)), 0.75, 0.5, 0.25, -1.0])
    assert found.neighbours[0].compared == ("history",)
    assert found.neighbours[1].compared == ("image", "history")
    assert [one.is_unlike_training for one in found.neighbours] == [False] * 3 + [True, False]
    assert (found.n_compared, found.n_nothing_in_common, found.n_same_patient) == (5, 0, 1)
    assert found.left_out == (LOST,)


def test_of_a_case_its_other_studies_are_listed_only_where_they_are_wanted(ask: Ask) -> None:
    assert "1.1" not in named(ask("1.0"))
    found = ask("1.0", same_patient=True)
    assert named(found)[0] == "1.1"
    assert found.n_same_patient == 0
    assert "1.0" not in named(found)
    # Studies without a Patient ID are nobody's twin.
    assert ask("1.6").n_same_patient == 0


def test_only_what_was_asked_for_is_compared_and_counted(ask: Ask) -> None:
    found = ask("1.0", "image", n=2)
    assert named(found) == ["1.2", "1.4"]  # equal ones by UID
    assert (found.n_compared, found.n_nothing_in_common) == (4, 1)
    assert named(ask("1.0", "image-to-history"))[0] == "1.2"
    assert named(ask("1.5", "history-to-image"))[0] == "1.3"


def test_a_case_that_cannot_be_compared_is_refused_in_words(ask: Ask) -> None:
    with pytest.raises(UsageError, match=r"no study 7\.7"):
        ask("7.7")
    with pytest.raises(UsageError, match=r"1\.9 is refused \(pixels-unreadable\)"):
        ask("1.9")
    with pytest.raises(UsageError, match="has no history to compare: ask by its image"):
        ask("1.4", "history-to-image")
    with pytest.raises(UsageError, match="has no image to compare: ask by its history"):
        ask("1.5", "image")
    assert ask("1.5").neighbours


def test_a_random_space_is_refused_with_the_setting_that_makes_a_better_one(
    ask: Ask, bundle: Bundle
) -> None:
    del ask
    cohort: Cohort = None  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"training\.contrast_weight 0, so .* random"):
        find_similar(cohort, with_training(bundle, contrast_weight=0.0), Question("1.0"))
    model = bundle.protocol.model.model_copy(update={"fusion": "image_only"})
    blind = replace(bundle, protocol=bundle.protocol.model_copy(update={"model": model}))
    with pytest.raises(UsageError, match=r"model\.fusion is image_only"):
        find_similar(cohort, blind, Question("1.0"))


def test_the_check_of_a_space_counts_pairs_of_two_patients() -> None:
    far = np.array([[unit(n * 90), unit(n * 90)] for n in range(4)])
    whole = check_space(far, ["a", "b", "c", "d"])
    assert whole is not None
    assert (whole.n_cases, whole.own_nearer) == (4, 1.0)
    turned = check_space(far[:, ::-1] * [[[1.0], [-1.0]]], ["a", "b", "c", "d"])
    assert turned is not None
    assert turned.own_nearer == 0.0
    one_point = check_space(np.broadcast_to(unit(0), (3, 2, 2)), ["a", "b", ""])
    assert one_point is not None
    assert one_point.own_nearer == 0.5
    assert check_space(far, ["a"] * 4) is None
    assert check_space(np.concatenate([far[:1], far[1:] * 0.0]), ["a", "b", "c", "d"]) is None


def shared(number: int) -> Example:
    """A case whose image is as bright as its patient is old."""
    case = example(number)
    assert case.image is not None
    old = float(np.random.default_rng(number).uniform())
    history = case.history.model_copy(
        update={"values": (TableValue(name="age", value=20.0 + 60.0 * old),
                           *case.history.values[1:])}
    )  # fmt: skip
    voxels = case.image.voxels + 1.5 * old
    return replace(case, image=replace(case.image, voxels=voxels), history=history)


def worth(
    network: FusedNetwork, cases: list[Example], transform: TableTransform, protocol: Protocol
) -> float:
    inputs = [case.model_input(transform) for case in cases]
    batch = collate(inputs, protocol, text_width=TEXT_WIDTH, table_width=transform.width)
    with torch.inference_mode():
        vectors = network.eval()(batch).embedding.double().numpy()
    found = check_space(vectors, [case.patient_id for case in cases])
    assert found is not None
    return found.own_nearer


def test_training_brings_an_image_to_its_own_history(tiny_protocol: Protocol) -> None:
    training = tiny_protocol.training.model_copy(
        update={
            "epochs": 4, "batch_size": 16, "learning_rate": 5e-3, "modality_dropout": 0.0,
            "contrast_weight": 2.0,
        }
    )  # fmt: skip
    protocol = tiny_protocol.model_copy(update={"training": training})
    cases, fresh = ([shared(n) for n in range(a, b)] for a, b in ((0, 128), (1000, 1064)))
    transform = fit_table_transform([case.history for case in cases], protocol.table)
    torch.manual_seed(0)
    network = new_network(protocol, transform.width)
    before = worth(network, fresh, transform, protocol)
    fit(network, cases[:96], cases[96:], transform, protocol, silent)
    after = worth(network, fresh, transform, protocol)
    assert abs(before - 0.5) < 0.2
    assert after > 0.7
    # Each image beside the history of another: nothing that belongs together is left.
    mixed = [
        replace(case, history=other.history)
        for case, other in zip(fresh, fresh[1:] + fresh[:1], strict=True)
    ]
    assert abs(worth(network, mixed, transform, protocol) - 0.5) < 0.15

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle, load_bundle
from pipeline.progress import silent
from pipeline.tensors import ModelInput
from pipeline.train import shares
from pipeline.train.scores import Scores, score, score_with_hidden
from pipeline.train.shares import score_in_shares, score_with_hidden_in_shares
from tests.pipeline.test_ensemble import case, with_image

SHIPPED = Path(__file__).parents[3] / "data_samples" / "bundles" / "brain_mr"


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(shares, "LEAST_EACH", 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    whole = load_bundle(SHIPPED)
    return replace(whole, networks=whole.networks[:2])


@pytest.fixture(scope="module")
def cases(bundle: Bundle) -> list[ModelInput]:
    return [with_image(bundle, 1), case(bundle), replace(with_image(bundle, 2), table=None),
            with_image(bundle, 3), with_image(bundle, 4)]  # fmt: skip


def assert_same(found: Scores, expected: Scores) -> None:
    assert found.present == expected.present
    for name in shares.ARRAYS:
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_shares_by_several_processes_say_what_one_says(
    bundle: Bundle, cases: list[ModelInput]
) -> None:
    told: set[str] = set()
    found, hidden = score_with_hidden_in_shares(
        bundle, cases, lambda what, *_: told.add(what), "scoring"
    )
    expected, expected_hidden = score_with_hidden(bundle, cases)
    assert told == {"share 1 of 2: scoring", "share 2 of 2: scoring"}
    assert_same(found, expected)
    assert hidden.keys() == expected_hidden.keys()
    for subset, values in hidden.items():
        np.testing.assert_allclose(values, expected_hidden[subset], rtol=0, atol=1e-4)
    assert_same(score_in_shares(bundle, cases, silent), score(bundle, cases))


def test_a_share_whose_process_was_killed_is_scored_here(
    bundle: Bundle, cases: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_second(jobs: list[object], progress: object) -> None:
        jobs[1](progress)  # type: ignore[operator]

    monkeypatch.setattr(shares, "run_beside", only_the_second)
    assert_same(score_in_shares(bundle, cases, silent), score(bundle, cases))


def test_what_cannot_be_scored_fails_as_it_would_in_one_process(
    bundle: Bundle, cases: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(cases[0].image, tokens=torch.zeros(7, 3, 2))  # type: ignore[type-var]
    monkeypatch.setattr(shares, "run_beside", lambda *_: None)
    with pytest.raises(ValueError, match="are not of 2 networks"):
        score_in_shares(bundle, [replace(one, image=wrong) for one in cases], silent)


def test_few_cases_are_scored_by_one_process(
    bundle: Bundle, cases: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "run_beside", lambda *_: pytest.fail("a process was started"))
    assert_same(score_in_shares(bundle, cases[:3], silent), score(bundle, cases[:3]))

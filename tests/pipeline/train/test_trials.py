import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.errors import LeakError, UsageError
from pipeline.flags import flags_of
from pipeline.model.text_encoder import TextEncoder, encode_notes, load_text_encoder
from pipeline.progress import silent
from pipeline.protocol import read_protocol
from pipeline.train import trial as trials
from pipeline.train.examples import Example
from pipeline.train.loop import OnValidated
from pipeline.train.space import DEFAULT_SPACE, read_space, settings_of, with_settings
from pipeline.train.train import divide
from pipeline.train.trial import ground_of
from pipeline.train.tune import Search, tune_on
from schemas.history import Note
from schemas.protocol import Protocol
from schemas.search import SearchRecord, SearchSpace
from tests.pipeline.train.test_fit import example

N_CASES = 130
SPACE = SearchSpace.model_validate(
    {
        "model": {"layers": {"low": 1, "high": 2}},
        "training": {
            "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
            "modality_dropout": {"low": 0.0, "high": 0.5},
        },
    }
)
BEST_RATE = 3e-3

Run = Callable[..., SearchRecord]


@pytest.fixture(scope="module")
def encoder(tiny_protocol: Protocol) -> TextEncoder:
    return load_text_encoder(tiny_protocol.model)


@pytest.fixture(scope="module")
def asked(tiny_protocol: Protocol) -> Protocol:
    """One epoch, and parts that a hundred cases can fill."""
    shares = {"train": 0.4, "validation": 0.2, "calibration": 0.2, "conformal": 0.0}
    training = {"epochs": 1, "splits": {"by": "hash", **shares}}
    return Protocol.model_validate(tiny_protocol.model_dump() | {"training": training})


@pytest.fixture(scope="module")
def examples(encoder: TextEncoder) -> list[Example]:
    found = [example(number) for number in range(N_CASES)]
    at = found[0].history.at
    assert at is not None
    notes = [Note(written_at=at, kind="clinic", text="Well.")]
    text = encode_notes(encoder, notes, at, flags_of(notes))
    return [replace(case, text=text) for case in found]


@pytest.fixture
def run(examples: list[Example], asked: Protocol, encoder: TextEncoder, tmp_path: Path) -> Run:
    def search(n_trials: int, out: str = "search", **changes: object) -> SearchRecord:
        wanted = {"space": SPACE, "n_trials": n_trials, **changes}
        protocol = wanted.pop("protocol", asked)
        cases = wanted.pop("examples", examples)
        return tune_on(cases, protocol, encoder, tmp_path / out, Search(**wanted))

    return search


def told(record: SearchRecord) -> list[dict[str, object]]:
    """All trials without their times."""
    return [trial.model_dump(exclude={"seconds"}) for trial in record.trials]


def play(monkeypatch: pytest.MonkeyPatch, losses: Callable[[Protocol], list[float]]) -> None:
    """Let a trial be over at once, with losses that follow from its settings alone."""

    def fit(*arguments: object, on_validated: OnValidated) -> None:
        protocol = arguments[4]
        assert isinstance(protocol, Protocol)
        for loss in losses(protocol):
            on_validated(loss)

    monkeypatch.setattr(trials, "fit", fit)
    monkeypatch.setattr(trials, "new_network", lambda *_: None)


def bowl(protocol: Protocol) -> list[float]:
    """One epoch whose loss hangs on the learning rate alone."""
    return [1.0 + math.log(protocol.training.learning_rate / BEST_RATE) ** 2]


def test_a_search_keeps_all_trials_and_a_protocol_that_trains_as_its_best_trial_did(
    run: Run, examples: list[Example], asked: Protocol, encoder: TextEncoder, tmp_path: Path
) -> None:
    record = run(2)
    assert [trial.number for trial in record.trials] == [0, 1]
    assert {trial.state for trial in record.trials} == {"complete"}
    assert record.trials[0].settings == settings_of(asked, SPACE)
    assert SPACE.holds(record.trials[1].settings)
    assert record.trials[0].loss != record.trials[1].loss
    kept = SearchRecord.model_validate_json((tmp_path / "search" / "trials.json").read_text())
    assert kept == record
    best = record.ranking()[0]
    assert best.loss == min(trial.loss for trial in record.trials if trial.loss is not None)
    protocol = read_protocol(tmp_path / "search" / "best.yaml")
    assert protocol == with_settings(asked, best.settings)
    parts, _ = divide(examples, protocol)
    losses: list[float] = []
    ground_of(parts, protocol, encoder).run({}, losses.append, silent)
    assert tuple(losses) == best.losses


def test_trials_see_the_parts_that_training_would_train_and_stop_on_and_no_other(
    run: Run, examples: list[Example], asked: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []

    def fit(*arguments: list[Example], on_validated: OnValidated) -> None:
        train, validation = arguments[1:3]
        seen.append(({one.study_uid for one in train}, {one.study_uid for one in validation}))
        on_validated(1.0)

    monkeypatch.setattr(trials, "fit", fit)
    monkeypatch.setattr(trials, "new_network", lambda *_: None)
    record = run(2)
    parts, _ = divide(examples, asked)
    train, validation = ({one.study_uid for one in parts[p]} for p in ("train", "validation"))
    assert seen == [(train, validation)] * 2
    assert (record.n_train, record.n_validation) == (len(train), len(validation))
    # Labels of the other parts may be anything: nothing of the search changes.
    used = train | validation
    turned = [
        one if one.study_uid in used else replace(one, labels=1.0 - one.labels) for one in examples
    ]
    assert told(run(2, "other", examples=turned)) == told(record)
    assert len(examples) > len(used) + 40


def test_one_seed_is_one_search_and_a_killed_one_goes_on_as_if_it_had_not_been(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, bowl)
    whole = run(12)
    assert told(run(2, "other", seed=1))[1] != told(whole)[1]

    def killed(protocol: Protocol) -> list[float]:
        if protocol.training.learning_rate == whole.trials[11].settings["training.learning_rate"]:
            raise KeyboardInterrupt
        return bowl(protocol)

    play(monkeypatch, killed)
    with pytest.raises(KeyboardInterrupt):
        run(12, "killed")
    play(monkeypatch, bowl)
    resumed = run(12, "killed")
    assert told(resumed) == told(whole)
    assert resumed.importance == whole.importance


def test_the_search_finds_what_matters_and_where_it_is_best(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, bowl)
    record = run(30)
    best = record.ranking()[0]
    assert best.settings["training.learning_rate"] == pytest.approx(BEST_RATE, rel=0.1)
    assert record.importance[0].setting == "training.learning_rate"
    assert record.importance[0].share > 0.8
    away = [abs(math.log(float(t.settings["training.learning_rate"]) / BEST_RATE))
             for t in record.trials]  # fmt: skip
    assert sum(away[20:]) < sum(away[1:11])


def test_a_trial_that_does_worse_than_most_is_stopped_early(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(protocol: Protocol) -> list[float]:
        level = 1.0 if protocol.training.modality_dropout < 0.4 else 2.0
        return [level - 0.01 * epoch for epoch in range(5)]

    play(monkeypatch, losses)
    record = run(30)
    high = [float(t.settings["training.modality_dropout"]) >= 0.4 for t in record.trials]
    assert any(high[8:])
    for trial, is_high in zip(record.trials, high, strict=True):
        if not is_high:
            assert trial.state == "complete"
        elif trial.number >= 8:
            assert trial.state == "pruned"
            assert trial.losses == pytest.approx((2.0, 1.99, 1.98))
            assert trial.loss == pytest.approx(1.98)
    assert all(trial.state == "complete" for trial in record.ranking())


def test_a_trial_that_fails_is_kept_with_its_reason_and_the_search_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SearchSpace.model_validate({"model": {"width": {"choices": [16, 18]}}})
    faults = iter([RuntimeError("of NOBODY^AT^ALL"), None, math.nan])

    def losses(_: Protocol) -> list[float]:
        fault = next(faults, None)
        if isinstance(fault, Exception):
            raise fault
        return [1.0] if fault is None else [1.0, fault]

    play(monkeypatch, losses)
    record = run(12, space=space)
    first = record.trials[0]
    assert (first.state, first.loss) == ("failed", None)
    assert re.fullmatch(r"RuntimeError at test_trials\.py, line \d+", first.reason)
    (gone,) = [trial for trial in record.trials if "no number" in trial.reason]
    assert gone.reason == "the validation loss is no number after epoch 2"
    wide = [trial for trial in record.trials if trial.settings["model.width"] == 18]
    assert wide
    assert {trial.reason for trial in wide} == {"model: width 18 must be a multiple of heads 4"}
    assert {trial.settings["model.width"] for trial in record.ranking()} == {16}


def test_a_search_in_which_nothing_ends_well_says_why(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(monkeypatch, lambda _: [math.inf])
    with pytest.raises(UsageError, match=r"none of 2 trials ended well; .* after epoch 1"):
        run(2)
    assert not (tmp_path / "search" / "best.yaml").exists()
    assert (tmp_path / "search" / "trials.json").exists()


def test_no_further_trial_is_begun_when_the_time_is_over(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, bowl)
    assert len(run(9, minutes=0.0).trials) == 1
    assert len(run(9, minutes=0.0).trials) == 2
    assert len(run(9, minutes=60.0).trials) == 9
    assert len(run(4).trials) == 9


def test_a_folder_that_holds_another_search_or_anything_else_is_left_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, asked: Protocol, examples: list[Example],
    tmp_path: Path,
) -> None:  # fmt: skip
    play(monkeypatch, bowl)
    run(1)
    path = tmp_path / "search" / "trials.json"
    before = path.read_bytes()
    fewer = SearchSpace(training=SPACE.training)
    with pytest.raises(UsageError, match="other seed"):
        run(2, seed=5)
    with pytest.raises(UsageError, match="other ranges"):
        run(2, space=fewer)
    with pytest.raises(UsageError, match="other settings in the protocol"):
        run(2, protocol=asked.model_copy(update={"look_back_days": 3}))
    with pytest.raises(UsageError, match="other cases or labels"):
        run(2, examples=[replace(one, labels=one.labels * 0.0) for one in examples])
    assert path.read_bytes() == before
    path.write_text("{}")
    with pytest.raises(UsageError, match="no record of a search"):
        run(2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.csv").write_text("a")
    with pytest.raises(UsageError, match="holds no search"):
        run(1, "full")


def test_a_cohort_that_leaks_is_not_searched(
    run: Run, asked: Protocol, examples: list[Example], tmp_path: Path
) -> None:
    lesion = asked.tasks[0].model_copy(update={"label_words": ("a lesion was confirmed",)})
    history = examples[0].history
    assert history.at is not None
    note = Note(written_at=history.at, kind="clinic", text="A lesion was confirmed.")
    told = replace(examples[0], history=history.model_copy(update={"notes": (note,)}))
    with pytest.raises(LeakError):
        run(
            1, protocol=asked.model_copy(update={"tasks": (lesion, *asked.tasks[1:])}),
            examples=[told, *examples[1:]],
        )  # fmt: skip
    assert (tmp_path / "search_leaks.json").exists()
    assert not (tmp_path / "search").exists()


def test_a_space_comes_from_a_file_and_the_default_is_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("training: {learning_rate: {low: 1e-3, high: 1e-2, log: true}}\n")
    (named,) = read_space(path).ranges()
    assert named[0] == "training.learning_rate"
    assert named[1].low == 1e-3
    path.write_text("training: {splits: {choices: [1, 2]}}\n")
    with pytest.raises(UsageError, match=r"space\.yaml: training\.splits: cannot be varied"):
        read_space(path)
    with pytest.raises(UsageError, match="no search file"):
        read_space(tmp_path / "no.yaml")
    page = (Path(__file__).parents[3] / "docs" / "tuning.md").read_text()
    (block,) = re.findall(r"```yaml\n(model:.*?)```", page, flags=re.DOTALL)
    assert SearchSpace.model_validate(yaml.safe_load(block)) == DEFAULT_SPACE

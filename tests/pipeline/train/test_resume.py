import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Trainer

from pipeline.errors import UsageError
from pipeline.model.text_encoder import TextEncoder
from pipeline.progress import silent
from pipeline.tensors import FLAGS, TextInput
from pipeline.train.beside import one_thread
from pipeline.train.checkpoints import Work, last_checkpoint
from pipeline.train.work import Keeping, remove_work, training_key, work_beside, work_folder
from schemas.protocol import Protocol
from tests.pipeline.train.killed_training import train
from tests.pipeline.train.test_fit import example

ROOT = Path(__file__).parents[3]
ENCODER = TextEncoder("none", "0" * 64, None, None, 16)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _in_turn() -> Iterator[None]:
    """One thread, so that networks are trained one after the other."""
    with one_thread():
        yield


def asked(protocol: Protocol, **changes: object) -> Protocol:
    training = protocol.training.model_copy(update=changes)
    return protocol.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Two networks, each first its image branch and then the whole; much is left to chance."""
    tiny: Protocol = request.getfixturevalue("tiny_protocol")
    return asked(
        tiny, epochs=2, image_epochs=1, batch_size=16, learning_rate=5e-3, patience=2, ensemble=2,
        learned_task_weights=True,
    )  # fmt: skip


def same(networks: tuple[torch.nn.Module, ...], others: tuple[torch.nn.Module, ...]) -> bool:
    states = [
        (one.state_dict(), two.state_dict()) for one, two in zip(networks, others, strict=True)
    ]
    return all(torch.equal(mine[name], yours[name]) for mine, yours in states for name in mine)


def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol.json").write_text(protocol.model_dump_json())
    # Two steps an epoch: it dies in the second epoch of the second network.
    module = "tests.pipeline.train.killed_training"
    command = [sys.executable, "-m", module, str(tmp_path), "2", "3"]
    done = subprocess.run(command, cwd=ROOT, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    work = tmp_path / "work"
    assert (work / "member_0" / "fused.safetensors").is_file()
    assert (work / "member_1" / "image.safetensors").is_file()
    assert not (work / "member_1" / "fused.safetensors").is_file()

    load, is_safe = torch.load, []

    def watched(*arguments: object, **named: object) -> object:
        is_safe.append(named.get("weights_only"))
        return load(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "load", watched)
    told: list[str] = []
    steps: list[tuple[str, int]] = []
    resumed = train(
        protocol, lambda what, done, _: steps.append((what, done)), Work(work, told.append)
    )
    assert is_safe
    assert all(is_safe), "a pickle was loaded"
    assert "going on with the fused phase after its step 2" in told
    # Neither the first network nor the second's first phase and first epochs are trained again.
    assert steps[0] == ("member 2 of 2: training", 3)
    assert same(resumed, train(protocol, silent))


def test_a_training_that_had_stopped_early_is_not_trained_further(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = asked(protocol, ensemble=1, image_epochs=0, epochs=30, patience=1, learning_rate=0.1)
    work = Work(tmp_path)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_finalize_training", die)
        with pytest.raises(KeyboardInterrupt):
            train(short, silent, work)
    checkpoint = last_checkpoint(work.checkpoints("fused"))
    assert checkpoint is not None
    assert int(checkpoint.name.split("-")[1]) < 60, "it was to stop before its last epoch"
    monkeypatch.setattr(Trainer, "train", lambda *_, **__: pytest.fail("trained"))
    resumed = train(short, silent, work)
    monkeypatch.undo()
    assert same(resumed, train(short, silent))


def test_patience_is_remembered_over_a_kill(protocol: Protocol, tmp_path: Path) -> None:
    # The rate is so high that nothing gets better after the first epochs.
    short = asked(protocol, ensemble=1, image_epochs=0, epochs=30, patience=3, learning_rate=0.1)
    whole: list[int] = []
    expected = train(short, lambda _, done, __: whole.append(done))
    last = whole[-2]  # the very last call says that all is done

    def interrupt(_what: str, done: int, _total: int) -> None:
        if done == last - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(short, interrupt, Work(tmp_path))
    seen: list[int] = []
    resumed = train(short, lambda _, done, __: seen.append(done), Work(tmp_path))
    assert seen[:-1] == [last - 1, last]
    assert same(resumed, expected)


def test_a_checkpoint_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    def checkpoint(step: int, state: str) -> Path:
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
        return folder

    control = '"stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": false}}}'
    best = f'"best_model_checkpoint": "{tmp_path / "checkpoint-9"}"'
    whole = checkpoint(9, "{" + f"{best}, {control}" + "}")
    half = checkpoint(10, '{"best_model_che')
    assert last_checkpoint(tmp_path) == whole
    assert not half.exists()
    away = best.replace("checkpoint-9", "elsewhere")
    (whole / "trainer_state.json").write_text("{" + f"{away}, {control}" + "}")
    assert last_checkpoint(tmp_path) is None


def test_other_cases_another_protocol_or_another_bert_have_another_key(protocol: Protocol) -> None:
    cases = [example(number) for number in range(4)]
    assert cases[0].image is not None

    def key(asked_for: Protocol = protocol, bert: TextEncoder = ENCODER, **of_first: object) -> str:
        first = replace(cases[0], **of_first)  # type: ignore[arg-type]
        return training_key(
            {"train": [first, *cases[1:3]], "validation": cases[3:]}, asked_for, bert
        )

    image = replace(cases[0].image, voxels=cases[0].image.voxels + 1e-6)
    history = cases[0].history.model_copy(update={"values": cases[1].history.values})
    text = TextInput(
        torch.ones(1, 4), torch.ones(1, 4), torch.ones(1), torch.zeros(1, len(FLAGS)), ()
    )
    others = [
        key(text=text),
        key(text=replace(text, flags=1 - text.flags)),
        key(asked(protocol, learning_rate=1e-3)),
        key(bert=replace(ENCODER, sha256="1" * 64)),
        key(image=image),
        key(image=None),
        key(labels=1 - cases[0].labels),
        key(history=history),
        key(masks=np.zeros_like(cases[0].masks)),
    ]
    assert key() == key()
    assert len({key(), *others}) == 10


def test_work_of_the_same_key_is_kept_and_of_another_removed(tmp_path: Path) -> None:
    told: list[str] = []
    out, keeping = tmp_path / "bundle", Keeping(tell=told.append)
    with work_beside(out, "a", keeping) as work:
        work.folder.joinpath("fused").mkdir()
        with (
            pytest.raises(UsageError, match="another training"),
            work_beside(out, "a", Keeping(tell=told.append)),
        ):
            pass
    with work_beside(out, "a", keeping) as work:
        assert (work.folder / "fused").is_dir()
    assert not told
    with work_beside(out, "b", keeping) as work:
        assert not (work.folder / "fused").exists()
    assert len(told) == 1
    remove_work(out)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    own = work_folder(out) / "thesis.txt"
    own.parent.mkdir()
    own.write_text("years of work")
    with pytest.raises(UsageError, match="move it away"), work_beside(out, "a", Keeping()):
        pass
    assert own.read_text() == "years of work"

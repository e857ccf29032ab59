import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from pipeline.progress import silent
from pipeline.train.beside import is_worth_it, run_beside
from pipeline.train.checkpoints import Work
from schemas.protocol import Protocol
from tests.pipeline.train.killed_training import train
from tests.pipeline.train.test_resume import asked, same

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_networks_trained_beside_each_other_are_those_trained_in_turn_with_a_thread(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    protocol = asked(tiny_protocol, epochs=2, image_epochs=1, batch_size=16, ensemble=2)
    assert is_worth_it(2)
    told: list[str] = []
    steps: set[str] = set()
    beside = train(protocol, lambda what, *_: steps.add(what), Work(tmp_path, told.append))
    torch.set_num_threads(1)
    assert not is_worth_it(2)
    assert same(beside, train(protocol, silent))
    assert not same(beside[:1], beside[1:])
    assert {f"member {number} of 2: training" for number in (1, 2)} <= steps
    assert not told, "nothing of an earlier run was there to go on from"


def test_a_job_that_fails_is_named_and_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        os._exit(3)

    told: list[tuple[str, int, int]] = []
    jobs = [
        lambda progress: (progress("first", 1, 2), (tmp_path / "first").touch()),
        fail,
        lambda _: (tmp_path / "third").touch(),
    ]
    with caplog.at_level(logging.WARNING):
        run_beside(jobs, lambda *step: told.append(step))
    assert {path.name for path in tmp_path.iterdir()} == {"first", "third"}
    assert told == [("first", 1, 2)]
    assert "ended with 3" in caplog.text


def test_what_fails_beside_others_fails_by_itself_too(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    protocol = asked(tiny_protocol, epochs=1, image_epochs=0, batch_size=16, ensemble=2)
    (tmp_path / "member_1").touch()  # where its checkpoints should lie
    with pytest.raises(OSError, match="member_1"):
        train(protocol, silent, Work(tmp_path))


def test_jobs_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from pipeline.train.beside import run_beside\n"
        "def job(progress):\n"
        "    Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "    progress('job', 0, 1)\n"
        "    time.sleep(600)\n"
        "run_beside([job], lambda *_: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(started)], cwd=ROOT, check=False)
    child = int(started.read_text())
    deadline = time.monotonic() + 60
    while _is_running(child):
        assert time.monotonic() < deadline, "an orphan went on"
        time.sleep(0.2)


def _is_running(process: int) -> bool:
    """Say so of a process that is there and no zombie."""
    status = Path(f"/proc/{process}/stat")
    return status.is_file() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_trees_grow_beside_others_after_trees_that_grew_here(tmp_path: Path) -> None:
    """OpenMP hangs in a fork that asks for several threads after its parent had them."""
    random = np.random.default_rng(0)
    seen, truth = random.normal(size=(500, 8)), random.integers(2, size=500)

    def grow(_: object = None) -> None:
        HistGradientBoostingClassifier(max_iter=20).fit(seen, truth)
        (tmp_path / "grown").touch()

    grow()
    (tmp_path / "grown").unlink()
    child = threading.Thread(target=run_beside, args=([grow], lambda *_: None), daemon=True)
    child.start()
    child.join(120)
    assert not child.is_alive(), "it hangs"
    assert (tmp_path / "grown").is_file()

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app, main
from pipeline.errors import UsageError
from pipeline.protocol import read_protocol

PROTOCOL = Path(__file__).parents[2] / "data_samples" / "protocols" / "brain_mr.yaml"
SYNOPT = Path(sys.executable).parent / "synopt"


def complaint(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


@pytest.fixture
def mistakes(tmp_path: Path, cohort: Path, bundle: Path) -> dict[str, tuple[list[str], str]]:
    """Each with the arguments, and words of the line that it should give."""
    out = str(tmp_path / "out")
    wrong = tmp_path / "wrong.yaml"
    content = yaml.safe_load(PROTOCOL.read_text())
    wrong.write_text(yaml.safe_dump(content | {"look_bakc_days": 3}))
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(content | {"look_back_days": 3}))
    empty = tmp_path / "empty"
    empty.mkdir()
    nameless = tmp_path / "nameless"
    shutil.copytree(cohort, nameless)
    (nameless / "tabular.csv").write_text("id,recorded_at,age_years\n1,,3\n")
    not_a_bundle = [str(cohort), "--bundle", str(cohort), "--out", out]
    assess, train = ["assess", str(cohort), "--bundle", str(bundle)], ["train", str(cohort)]
    return {
        "missing folder": (["assess", "nowhere", *assess[2:], "--out", out], "nowhere"),
        "missing bundle": (["assess", str(cohort), "--bundle", "no", "--out", out], "folder no"),
        "not a bundle": (["assess", *not_a_bundle], "not a bundle"),
        "wrong field": ([*train, "--protocol", str(wrong), "--out", out], "look_bakc_days"),
        "no protocol": ([*train, "--protocol", "no.yaml", "--out", out], "no.yaml"),
        "no labels": ([*train, "--protocol", str(PROTOCOL), "--out", out], "labels.csv"),
        "other protocol": ([*assess, "--protocol", str(other), "--out", out], "another protocol"),
        "csv without patient_id": (
            ["assess", str(nameless), *assess[2:], "--out", out], "patient_id",
        ),
        "empty cohort": (["assess", str(empty), *assess[2:], "--out", out], "no CT or MR study"),
        "no permission": ([*assess, "--out", "/proc/synopt"], "cannot"),
        "phantom into a full folder": (
            ["phantom", str(cohort), "--world", "brain_mr", "--cases", "1"], "not empty",
        ),
        "not a schedule": (
            ["serve", str(cohort), *assess[2:], "--out", out, "--cron", "at night"], "at night",
        ),
    }  # fmt: skip


MISTAKES = [
    "missing folder", "missing bundle", "not a bundle", "wrong field", "no protocol", "no labels",
    "other protocol", "csv without patient_id", "empty cohort", "no permission",
    "phantom into a full folder", "not a schedule",
]  # fmt: skip


@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_clear_line_and_leaves_nothing(
    mistake: str,
    mistakes: dict[str, tuple[list[str], str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, words = mistakes[mistake]
    before = sorted(tmp_path.rglob("*"))
    line = complaint(arguments, monkeypatch, capsys)
    assert line.count("\n") == 1
    assert line.startswith("synopt: ")
    assert words in line
    assert sorted(tmp_path.rglob("*")) == before


def test_evaluate_is_told_the_sites_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {}

    def judge(*_: object, **options: object) -> None:
        told.update(options)
        raise UsageError("enough")

    monkeypatch.setattr("pipeline.train.evaluate.evaluate", judge)
    protocol = tmp_path / "site.yaml"
    content = yaml.safe_load(PROTOCOL.read_text())
    protocol.write_text(yaml.safe_dump(content | {"timezone": "Europe/Berlin"}))
    arguments = ["evaluate", str(tmp_path), "--bundle", str(tmp_path), "--out", str(tmp_path / "o")]
    CliRunner().invoke(app, [*arguments, "--protocol", str(protocol)])
    assert told["protocol"] == read_protocol(protocol)
    CliRunner().invoke(app, arguments)
    assert told["protocol"] is None


COMMANDS = ["demo", "phantom", "ingest", "train", "tune", "assess", "similar", "serve"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "--out" in shown.output or command == "phantom"


def test_torchrun_finds_the_commands_as_a_module() -> None:
    command = [sys.executable, "-m", "flows.cli", "train", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "--tensorboard" in shown.stdout


def on_a_terminal(arguments: list[str]) -> str:
    """Run the command with a terminal as its error output, and return what that shows."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [SYNOPT, *arguments], stdout=subprocess.DEVNULL, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        while process.poll() is None or select.select([leader], [], [], 0.1)[0]:
            try:
                shown += os.read(leader, 4096) if select.select([leader], [], [], 0.1)[0] else b""
            except OSError:  # the terminal's other side was closed
                break
    os.close(leader)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def test_a_terminal_shows_how_far_the_work_is(tmp_path: Path) -> None:
    arguments = ["phantom", str(tmp_path / "c"), "--world", "brain_mr", "--cases", "2"]
    shown = on_a_terminal(arguments)
    assert "simulating" in shown
    assert "2/2" in shown


def test_quiet_shows_nothing_on_a_terminal(tmp_path: Path) -> None:
    arguments = ["phantom", str(tmp_path / "c"), "--world", "brain_mr", "--cases", "1", "--quiet"]
    assert on_a_terminal(arguments) == ""


@pytest.mark.flow
def test_an_assessment_shows_its_stages_on_a_terminal_and_no_noise(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    arguments = ["assess", str(cohort), "--bundle", str(bundle), "--out", str(tmp_path / "out")]
    shown = on_a_terminal(arguments)
    assert "reading headers" in shown
    assert "assessing" in shown
    assert "3/3" in shown
    for noise in ("prefect", "Prefect", "Traceback", "Warning", "server", "Loading weights"):
        assert noise not in shown

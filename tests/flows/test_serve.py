import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed
from typer.testing import CliRunner

from flows import serve as serving
from flows.assess import assess_cohort, tell_of_failure
from flows.cli import app
from pipeline.errors import UsageError

SYNOPT = Path(sys.executable).parent / "synopt"
WAIT_S = 500


def _heed_interrupts() -> None:
    """A shell's background job ignores SIGINT, and all that it starts would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.flow
def test_a_watched_folder_is_assessed_on_schedule(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    index = tmp_path / "out" / "index.html"
    arguments = ["serve", str(cohort), "--bundle", str(bundle), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [SYNOPT, *arguments, "--cron", "* * * * *"], stdout=subprocess.PIPE, text=True,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  sets one signal and nothing else
    ) as server:  # fmt: skip
        try:
            deadline = time.monotonic() + WAIT_S
            while not index.exists() and time.monotonic() < deadline and server.poll() is None:
                time.sleep(1.0)
        finally:
            server.send_signal(signal.SIGINT)
            shown, _ = server.communicate(timeout=180)
    assert index.exists(), shown
    assert "Watching" in shown
    assert "Prefect" not in shown
    assert len(list((tmp_path / "out").glob("studies/*/report.html"))) == 3


class _Recorder:
    """Stands in the flow's place and keeps what it would be served with."""

    def __init__(self) -> None:
        self.options: dict[str, object] = {}

    def serve(self, **options: object) -> None:
        self.options = options


def test_the_sites_protocol_is_checked_at_once_and_goes_with_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[object] = []
    flow = _Recorder()
    monkeypatch.setattr(serving, "prepare", lambda *given: prepared.append(given[3]))
    monkeypatch.setattr(serving, "prefect_api", nullcontext)
    monkeypatch.setattr(serving, "assess_cohort", flow)
    monkeypatch.chdir(tmp_path)
    arguments = ["serve", str(tmp_path), "--bundle", str(tmp_path), "--out", "out"]
    assert CliRunner().invoke(app, [*arguments, "--protocol", "site.yaml"]).exit_code == 0
    assert prepared == [Path("site.yaml")]
    assert flow.options["parameters"] == {
        "cohort": str(tmp_path), "bundle": str(tmp_path), "out": str(tmp_path / "out"),
        "quiet": False, "protocol": str(tmp_path / "site.yaml"),
    }  # fmt: skip
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert prepared[1:] == [None]
    assert "protocol" not in flow.options["parameters"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (UsageError("the bundle is gone"), "failed: the bundle is gone"),
        (KeyError("Doe^Jane"), "failed: it stopped on KeyError"),
    ],
)
def test_a_scheduled_run_that_fails_says_why_and_no_more(
    fault: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_of_failure in assess_cohort.on_failure_hooks
    scheduled, by_hand = (
        FlowRun(flow_id=uuid4(), deployment_id=deployment) for deployment in (uuid4(), None)
    )
    tell_of_failure(assess_cohort, scheduled, Failed(data=fault))
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Doe" not in shown.err + shown.out
    tell_of_failure(assess_cohort, by_hand, Failed(data=fault))
    assert capsys.readouterr().err == ""

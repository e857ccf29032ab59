import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SYNOPT = Path(sys.executable).parent / "synopt"
WAIT_S = 200


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.flow
def test_a_watched_folder_is_assessed_on_schedule(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    index = tmp_path / "out" / "index.html"
    arguments = ["serve", str(cohort), "--bundle", str(bundle), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [SYNOPT, *arguments, "--cron", "* * * * *"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            deadline = time.monotonic() + WAIT_S
            while not index.exists() and time.monotonic() < deadline and server.poll() is None:
                time.sleep(1.0)
        finally:
            server.send_signal(signal.SIGINT)
            shown, _ = server.communicate(timeout=60)
    assert index.exists(), shown
    assert "Watching" in shown
    assert "Prefect" not in shown
    assert len(list((tmp_path / "out").glob("studies/*/report.html"))) == 3

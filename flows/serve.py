"""The same flow on Prefect's own schedule, on one machine with nothing else installed."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from prefect.client.schemas.schedules import CronSchedule
from prefect.schedules import Cron, Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError
from tzlocal import get_localzone_name

from flows.assess import assess_cohort, prepare
from pipeline.errors import UsageError
from pipeline.progress import silent

START_TIMEOUT_S = 90.0


def cron_schedule(cron: str, timezone: str = "") -> Schedule:
    """Return a schedule in the machine's own time zone, unless another is named.

    Raises
    ------
    UsageError
        If either is not valid.
    """
    zone = timezone or get_localzone_name() or "UTC"
    try:
        CronSchedule(cron=cron, timezone=zone)
    except ValidationError as error:
        msg = f"not a cron expression and time zone: {cron!r} {timezone}".rstrip()
        raise UsageError(msg) from error
    return Cron(cron, timezone=zone)


def serve_assessment(
    cohort: Path,
    bundle: Path,
    out: Path,
    schedule: Schedule,
    *,
    protocol: Path | None,
    quiet: bool,
) -> None:
    """Run the assessment on a schedule until interrupted.

    Raises
    ------
    PipelineError
        If bundle, cohort, protocol or output folder cannot be used as they are now.
    """
    prepare(cohort, bundle, out, protocol, silent)
    parameters: dict[str, str | bool] = {
        "cohort": str(cohort.absolute()),
        "bundle": str(bundle.absolute()),
        "out": str(out.absolute()),
        "quiet": quiet,
    }
    if protocol is not None:
        parameters["protocol"] = str(protocol.absolute())
    with prefect_api():
        assess_cohort.serve(
            name=_name(parameters), schedule=schedule, parameters=parameters, limit=1,
            print_starting_message=False, pause_on_shutdown=False,
        )  # fmt: skip


def _name(parameters: dict[str, str | bool]) -> str:
    """Return a name of one's own for each watched folder: Prefect replaces what has the same."""
    folders = json.dumps(parameters, sort_keys=True)
    return f"scheduled-{hashlib.sha256(folders.encode()).hexdigest()[:12]}"


@contextmanager
def prefect_api() -> Iterator[None]:
    """Use the Prefect server that the user names in PREFECT_API_URL, else one of our own."""
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    server = subprocess.Popen(  # noqa: S603
        [*command, "--port", str(port), "--no-ui"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(f"{url}/health", server)
        # Flow runs are processes of their own; they find the server by this variable.
        os.environ["PREFECT_API_URL"] = url
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2.0):  # noqa: S310
                return
        except (URLError, OSError):
            time.sleep(0.2)
    msg = "Prefect's server did not start; run 'prefect server start' to see why"
    raise UsageError(msg)

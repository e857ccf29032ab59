"""Nothing phones home: no process of a run opens a connection but to this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SYNOPT = Path(sys.executable).parent / "synopt"

# Python imports this at the start of every process of the run, Prefect's server included.
WATCH = """
import ipaddress, os, sys

def _note(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "unix"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "unix", "localhost"):
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    with open(os.environ["SYNOPT_TEST_CALLS"], "a") as log:
        log.write(f"{event} {host} {sys.argv}\\n")

sys.addaudithook(_note)
open(os.environ["SYNOPT_TEST_CALLS"], "a").close()
"""


def calls_of(command: list[str], folder: Path) -> str:
    (folder / "sitecustomize.py").write_text(WATCH)
    log = folder / "calls.log"
    # Prefect keeps quiet where it believes to be in CI; a user's machine is what is tested.
    hidden = ("CI", "DO_NOT_TRACK", "PREFECT_", "HF_", "GITHUB_", "SYNOPT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"PYTHONPATH": str(folder), "SYNOPT_TEST_CALLS": str(log)}
    environment |= {"XDG_DATA_HOME": str(folder / "data"), "HOME": str(folder)}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=240)
    return log.read_text()


def test_the_watch_sees_a_connection_outward(tmp_path: Path) -> None:
    code = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    code += "s.connect(('192.0.2.1', 9))"  # a documentation address; a datagram is never sent
    assert "192.0.2.1" in calls_of([sys.executable, "-c", code], tmp_path)


@pytest.mark.flow
def test_an_assessment_connects_to_nothing_but_this_machine(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    watch = tmp_path / "watch"
    watch.mkdir()
    command = ["assess", str(cohort), "--bundle", str(bundle), "--out", str(tmp_path / "out")]
    assert calls_of([str(SYNOPT), *command], watch) == ""
    assert (tmp_path / "out" / "index.html").is_file()

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

START_TIMEOUT_S = 60.0


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL, with its password, of a PostgreSQL server of the tests' own on a private socket."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    # PostgreSQL refuses to run as root. The socket's path must be short.
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    password, who = secrets.token_hex(12), {"user": user} if os.getuid() == 0 else {}
    (folder / "password").write_text(password)
    if who:
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
    options = ["-D", str(folder / "data"), "-U", "reader", "-A", "scram-sha-256", "--no-sync"]
    options += [f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C"]
    subprocess.run(
        [programs / "initdb", *options], check=True, capture_output=True, cwd=folder, **who
    )
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=",
         "-c", "fsync=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who,
    )  # fmt: skip
    url = f"postgresql+psycopg://reader:{password}@/postgres?host={folder}"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown, whoever is connected
        server.wait(timeout=START_TIMEOUT_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            time.sleep(0.1)
    pytest.fail("the PostgreSQL server did not start")

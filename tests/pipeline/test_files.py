import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files import make_folder, only_run, whole_file, whole_folder, write_text


def test_a_file_appears_only_once_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="stop"), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), whole_folder(tmp_path / "out") as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"), whole_folder(tmp_path):
        pass


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "sub")


def test_a_folder_is_written_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        only_run(tmp_path, "another run"),
        pytest.raises(UsageError, match="another run is writing to"),
        only_run(tmp_path, "another run"),
    ):
        pass
    with only_run(tmp_path, "another run"):
        pass


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from pipeline.files import *\n"
        "out = Path(sys.argv[1])\n"
        "with only_run(out, 'x'), whole_folder(out / 'a') as a, whole_file(out / 'b') as b:\n"
        "    (a / 'half').touch(); b.touch(); (out / 'mine').touch(); os.abort()\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode < 0
    assert len(list(tmp_path.glob(".partial-*"))) == 2
    with only_run(tmp_path, "x"):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "mine"]

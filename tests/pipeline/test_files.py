from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files import make_folder, whole_file, whole_folder, write_text


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

"""Nothing outside the folder is opened, by whatever name."""

from pathlib import Path

import pytest

from pipeline.errors import IngestError
from pipeline.ingest.store import FileStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, a link inside it, and links out of it; beside it what is secret."""
    for folder in ("in/a/b", "out"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "out" / "s").write_bytes(b"secret")
    (tmp_path / "in" / "a" / "b" / "x").write_bytes(b"own")
    (tmp_path / "in" / "a" / "link_out").symlink_to("../../out")
    (tmp_path / "in" / "link_in").symlink_to("a/b")
    (tmp_path / "in" / "file_out").symlink_to("../out/s")
    return tmp_path / "in"


def read(store: FileStore, name: str) -> bytes:
    with store.open(name) as found:
        return found.stream.read()


@pytest.mark.parametrize("name", ["a/b/x", "link_in/x", "a/./b/x", "a/b/../b/x", "a//b/x"])
def test_what_lies_inside_is_opened_by_any_path_to_it(root: Path, name: str) -> None:
    with FileStore(root) as store:
        assert read(store, name) == b"own"
        assert store.size(name) == 3


@pytest.mark.parametrize(
    "name",
    [
        "a/link_out/s",
        "a/b/../link_out/s",
        "../out/s",
        "a/../../out/s",
        "file_out",
        r"a\x2f..\x2f../out/s",
        r"..\x2fout/s",
    ],
)
def test_what_lies_outside_is_refused_by_any_path_to_it(root: Path, name: str) -> None:
    with FileStore(root) as store:
        read(store, "a/b/x")
        for _ in range(2):  # the second time its folder might be known
            with pytest.raises(IngestError, match="outside the folder"):
                read(store, name)
            with pytest.raises(IngestError, match="outside the folder"):
                store.size(name)


def test_a_folder_that_comes_later_as_a_link_out_is_not_taken_for_the_one_that_was_missing(
    root: Path,
) -> None:
    with FileStore(root) as store:
        with pytest.raises(FileNotFoundError):
            read(store, "later/s")
        (root / "later").symlink_to("../out")
        with pytest.raises(IngestError, match="outside the folder"):
            read(store, "later/s")

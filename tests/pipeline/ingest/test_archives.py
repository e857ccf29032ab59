"""Images in zip archives are read like files; what an archive must not do is named."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import IngestError
from pipeline.ingest import archive as archive_module
from pipeline.ingest import discover, load_volume
from schemas.issue import IssueCode
from schemas.series import Inventory
from tests.factories import ball, grid, write_ball, write_enhanced


def reasons(inventory: Inventory) -> dict[str, tuple[IssueCode, str]]:
    return {item.file: (item.issue.code, item.issue.message) for item in inventory.skipped}


def zipped(target: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


@pytest.fixture
def slices(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in write_ball(tmp_path / "plain")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def is_the_ball(folder: Path) -> bool:
    (study,) = discover(folder).studies
    (series,) = study.series
    return np.array_equal(load_volume(folder, series).array, ball(grid()))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_series_in_an_archive_is_the_same_volume(
    folder: Path, slices: dict[str, bytes], method: int
) -> None:
    zipped(folder / "any name", {f"a/{name}": content for name, content in slices.items()}, method)
    (series,) = discover(folder).studies[0].series
    assert series.frames[0].file == "any name!/a/IM0001.dcm"
    assert is_the_ball(folder)


def test_a_series_may_lie_partly_in_archives_inside_archives(
    folder: Path, slices: dict[str, bytes]
) -> None:
    names = sorted(slices)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names[4:8]:
            archive.writestr(name, slices[name])
    outer = {name: slices[name] for name in names[8:]} | {"inner.bin": inner.getvalue()}
    zipped(folder / "outer.zip", outer)
    for name in names[:4]:
        (folder / name).write_bytes(slices[name])
    (series,) = discover(folder).studies[0].series
    assert "outer.zip!/inner.bin!/IM0005.dcm" in {frame.file for frame in series.frames}
    assert is_the_ball(folder)


def test_a_multi_frame_image_in_an_archive_is_read(tmp_path: Path, folder: Path) -> None:
    enhanced = write_enhanced(write_ball(tmp_path / "classic"), tmp_path / "one")
    zipped(folder / "a.zip", {"one": enhanced.read_bytes()})
    assert is_the_ball(folder)


def test_the_same_image_in_a_file_and_in_an_archive_is_read_once(
    folder: Path, slices: dict[str, bytes]
) -> None:
    zipped(folder / "a.zip", slices)
    (folder / "IM0001.dcm").write_bytes(slices["IM0001.dcm"])
    assert is_the_ball(folder)
    assert {code for code, _ in reasons(discover(folder)).values()} == {IssueCode.FILE_DUPLICATE}


def test_an_archive_without_dicom_is_one_line(folder: Path) -> None:
    zipped(folder / "letter.docx", {"a": b"0" * 1000, "b/c": b"1"})
    assert reasons(discover(folder)) == {
        "letter.docx": (IssueCode.FILE_NOT_DICOM, "an archive of 2 files, none of them DICOM")
    }


def nested(content: bytes, levels: int) -> bytes:
    for level in range(levels):
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"level{level}", content)
        content = whole.getvalue()
    return content


def test_archives_are_opened_three_levels_deep(folder: Path, slices: dict[str, bytes]) -> None:
    image = slices["IM0001.dcm"]
    (folder / "deep").write_bytes(nested(image, 3))
    (folder / "deeper").write_bytes(nested(image + b"\0\0", 4))
    inventory = discover(folder)
    assert [study.series[0].n_frames for study in inventory.studies] == [1]
    code, message = reasons(inventory)["deeper!/level3!/level2!/level1"]
    assert code is IssueCode.ARCHIVE_REFUSED
    assert "inside 3 others" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [("../evil.dcm", "leads out"), ("/etc/evil", "leads out"), ("a\\..\\..\\evil", "leads out")],
)
def test_a_member_whose_name_leads_out_is_not_read(
    folder: Path, slices: dict[str, bytes], name: str, words: str
) -> None:
    zipped(folder / "slip.zip", slices | {name: slices["IM0001.dcm"] + b"\0\0"})
    before = sorted(folder.parent.rglob("*"))
    inventory = discover(folder)
    assert is_the_ball(folder)
    ((code, message),) = reasons(inventory).values()
    assert code is IssueCode.ARCHIVE_REFUSED
    assert words in message
    assert sorted(folder.parent.rglob("*")) == before


def test_a_member_named_twice_is_read_once_and_named(
    folder: Path, slices: dict[str, bytes]
) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for name, content in slices.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("IM0003.dcm", b"other")
    assert is_the_ball(folder)
    ((code, message),) = reasons(discover(folder)).values()
    assert code is IssueCode.ARCHIVE_REFUSED
    assert "same name" in message


def flagged(content: bytes, offset_local: int, offset_central: int, value: int) -> bytes:
    """Set a 16-bit field of every member's local header and directory entry."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", offset_local), (b"PK\x01\x02", offset_central)):
        at = content.find(signature)
        while at >= 0:
            struct.pack_into("<H", changed, at + offset, value)
            at = content.find(signature, at + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda content: flagged(content, 6, 8, 1), "encrypted", id="encrypted"),
        pytest.param(lambda content: flagged(content, 8, 10, 14), "method", id="lzma"),
        pytest.param(lambda content: content[:-30], "damaged", id="no directory"),
        pytest.param(lambda content: content[: len(content) // 2], "damaged", id="half"),
        pytest.param(
            lambda content: content.replace(b"PK\x01\x02", b"PK\x01\x00"), "damaged", id="directory"
        ),
    ],
)
def test_an_archive_that_cannot_be_opened_is_named(
    folder: Path, slices: dict[str, bytes], change: Callable[[bytes], bytes], words: str
) -> None:
    path = zipped(folder / "a.zip", {"IM0001.dcm": slices["IM0001.dcm"]})
    path.write_bytes(change(path.read_bytes()))
    inventory = discover(folder)
    assert inventory.studies == ()
    ((code, message),) = reasons(inventory).values()
    assert code is IssueCode.ARCHIVE_UNREADABLE
    assert words in message


def test_a_member_with_damaged_bytes_is_named(folder: Path, slices: dict[str, bytes]) -> None:
    path = zipped(folder / "a.zip", {"IM0001.dcm": slices["IM0001.dcm"]}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF
    path.write_bytes(content)
    ((code, _),) = reasons(discover(folder)).values()
    assert code is IssueCode.ARCHIVE_UNREADABLE


def test_an_archive_that_unpacks_to_too_much_is_not_read(
    folder: Path, slices: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_ALWAYS_ALLOWED_BYTES", 10_000_000)
    image = slices["IM0001.dcm"]
    zipped(folder / "bomb.zip", {f"{n}": image + bytes(600_000) for n in range(20)})
    inner = zipped(folder.parent / "x", {f"{n}": bytes(600_000) for n in range(15)}).read_bytes()
    zipped(folder / "nested.zip", {"a": inner, "b": inner})
    found = reasons(discover(folder))
    assert found["bomb.zip"][0] is IssueCode.ARCHIVE_REFUSED
    assert found["nested.zip!/b"][0] is IssueCode.ARCHIVE_REFUSED
    assert "more than 10000000" in found["nested.zip!/b"][1]


def test_an_archive_that_claims_too_many_members_is_not_listed(folder: Path) -> None:
    path = zipped(folder / "a.zip", {"a": b"1"})
    content = path.read_bytes()
    at = content.rindex(b"PK\x05\x06")
    changed = bytearray(content)
    struct.pack_into("<L", changed, at + 12, 2**27)
    path.write_bytes(changed)
    ((code, _),) = reasons(discover(folder)).values()
    assert code is IssueCode.ARCHIVE_REFUSED


def test_more_archives_than_stay_open_are_read(folder: Path, slices: dict[str, bytes]) -> None:
    for name, content in slices.items():
        zipped(folder / f"{name}.zip", {name: content})
    assert is_the_ball(folder)


def test_an_archive_that_is_gone_is_one_sentence(folder: Path, slices: dict[str, bytes]) -> None:
    path = zipped(folder / "a.zip", slices)
    (series,) = discover(folder).studies[0].series
    path.unlink()
    with pytest.raises(IngestError, match=r"^file 1 of 12 of the series cannot be opened"):
        load_volume(folder, series)


def test_progress_counts_the_members_too(folder: Path, slices: dict[str, bytes]) -> None:
    zipped(folder / "a.zip", slices)
    seen: list[tuple[int, int]] = []
    discover(folder, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n + 1, len(slices) + 1) for n in range(len(slices) + 1)]

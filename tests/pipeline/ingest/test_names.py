import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ingest.names import archive_of, leads_out, member_name, raw_name, shown_name

PATHS = st.binary(min_size=1).filter(lambda raw: b"\0" not in raw)


@given(PATHS)
@example(rb"a!/b")
@example(rb"\x21/")
@example(b"\\x5cx21")
@example("Müller/ü\u00a0x".encode())
def test_every_path_is_one_printable_line_and_comes_back(raw: bytes) -> None:
    shown = shown_name(raw)
    assert shown.isprintable()
    assert raw_name(shown) == raw
    assert os.fsencode(os.fsdecode(raw_name(shown))) == raw


@given(PATHS, PATHS)
def test_an_archive_and_its_member_are_told_apart(archive: bytes, member: bytes) -> None:
    archive_name, member_text = shown_name(archive), shown_name(member.lstrip(b"/") or b"m")
    assert archive_of(member_name(archive_name, member_text)) == (archive_name, member_text)


def test_a_file_in_no_archive_has_none() -> None:
    assert archive_of("a!b/c") == ("", "a!b/c")


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "C:\\a", r"a\..\b", "", r"\a"])
def test_a_name_that_leads_out_is_seen(name: str) -> None:
    assert leads_out(name)


@pytest.mark.parametrize("name", ["a", "a/b", "..a/b..", "a/./b", "ab:c/d"])
def test_a_name_that_stays_inside_is_seen(name: str) -> None:
    assert not leads_out(name)

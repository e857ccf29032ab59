"""The short walk through a header keeps what pydicom would."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.ingest import discover, header, load_volume, parse
from pipeline.ingest.header import FileFacts, describe, read_elements
from pipeline.ingest.header_walk import UnusualError
from pipeline.ingest.instance import Instance, Unread
from pipeline.ingest.layout import Layouts
from pipeline.ingest.quiet import quiet
from schemas.issue import IssueCode
from tests.factories import ball, edit, grid, write_ball


def described(content: bytes) -> Instance | Unread | str:
    try:
        with quiet():
            dataset, pixels = read_elements(content)
            return describe(dataset, pixels, FileFacts("file", len(content), "hash"))
    except Exception as error:  # what it raises must be the same, too
        return type(error).__name__


def by_pydicom(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Instance | Unread | str:
    """Describe a file of which pydicom has read every element, also those that are not wanted."""

    def refuse(*_arguments: object) -> None:
        raise UnusualError

    def read_all(stream: BinaryIO, *, specific_tags: object, **options: Any) -> Dataset:
        return pydicom.dcmread(stream, **options)

    with monkeypatch.context() as patch:
        patch.setattr(parse, "_LAYOUTS", Layouts())
        patch.setattr(parse, "_walked", refuse)
        patch.setattr(parse, "dcmread", read_all)
        return described(content)


# What the package itself brings along; its own functions would also ask the network for more.
SHIPPED = Path(pydicom.data.__file__).parent / "test_files"
TEST_FILES = sorted(path for path in SHIPPED.glob("*.dcm") if path.stat().st_size < 2**20)


def test_pydicoms_test_files_are_there() -> None:
    assert len(TEST_FILES) > 40


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_a_file_is_described_as_pydicom_reads_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = path.read_bytes()
    assert described(content) == by_pydicom(content, monkeypatch)


# Another value for an element of each representation than the written series has.
OTHER = {
    **dict.fromkeys(("CS", "LO", "SH"), "OTHER"),
    **dict.fromkeys(("DS", "IS"), "7"),
    **{"US": 7, "FD": 7.0, "UI": "1.2.3", "DA": "20011231", "TM": "010203", "DT": "20011231010203"},
}
# Changed so, these alone say nothing that is kept of a series of CT.
SAYS_NOTHING = {
    *("ComplexImageComponent", "LossyImageCompression", "PatientSex", "PixelRepresentation"),
    *("SeriesDate", "SpecificCharacterSet", "TimezoneOffsetFromUTC"),
}
PLAIN = sorted({word for word in header._KEYWORDS if dictionary_VR(word) in OTHER})


@pytest.mark.parametrize("keyword", PLAIN)
def test_what_one_file_says_is_never_taken_from_another(
    keyword: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_ball(tmp_path)[0]
    before = described(path.read_bytes())
    with quiet():
        edit(path, lambda dataset: setattr(dataset, keyword, OTHER[dictionary_VR(keyword)]))
    content = path.read_bytes()
    found = described(content)
    assert found == by_pydicom(content, monkeypatch)
    assert described(content) == found  # what is kept is the same as what was made
    assert before != found or keyword in SAYS_NOTHING


def test_a_value_too_long_to_be_kept_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_ball(tmp_path)[0]
    with quiet():
        edit(path, lambda dataset: setattr(dataset, "SeriesDescription", "z" * 1000))
    content = path.read_bytes()
    found = described(content)
    assert isinstance(found, Instance)
    assert found.description == "z" * 128
    assert found == by_pydicom(content, monkeypatch)


def with_sequences(dataset: Dataset, *, is_undefined: bool) -> None:
    inner, outer = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.CodeMeaning = "x"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, Dataset()])
    outer.PurposeOfReferenceCodeSequence.is_undefined_length = is_undefined
    outer.ReferencedSOPClassUID = "1.2"
    dataset.ReferencedImageSequence = Sequence([outer, Dataset()])
    dataset["ReferencedImageSequence"].is_undefined_length = is_undefined
    for item in (inner, outer):
        item.is_undefined_length_sequence_item = is_undefined
    dataset.add_new(0x00091001, "OB", b"1234")
    dataset.PatientComments = "y" * 3000


@pytest.fixture(scope="module", params=["explicit", "implicit", "undefined", "deflated"])
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_ball(tmp_path_factory.mktemp("parse"))[3]
    edit(path, lambda item: with_sequences(item, is_undefined=request.param == "undefined"))
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SeriesDescription = "Schädel"
    if request.param == "implicit":
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    if request.param == "deflated":
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=request.param == "implicit", little_endian=True)
    return path.read_bytes()


def test_sequences_that_are_not_wanted_are_walked_over(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = described(content)
    assert isinstance(found, Instance)
    assert found.description == "Schädel"
    assert found.frames[0].faults == ()
    assert found == by_pydicom(content, monkeypatch)
    monkeypatch.setattr(parse, "_by_pydicom", None)  # the short walk alone reads all of these
    assert described(content) == found


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(data=st.data())
def test_a_damaged_header_is_described_as_pydicom_reads_it(
    content: bytes, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = content.index(b"\xe0\x7f\x10\x00") if b"\xe0\x7f\x10\x00" in content else 600
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, header + 11))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(100, len(changed)))])
    found, expected = described(cut), by_pydicom(cut, monkeypatch)
    if isinstance(found, Instance) and isinstance(expected, Instance):
        assert found == expected
    else:
        # Damage may be seen at another place; it is seen by both.
        assert isinstance(found, Instance) == isinstance(expected, Instance)


def test_a_header_cut_in_the_head_of_an_element_is_described_as_pydicom_reads_it(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = content.find(b"\xe0\x7f\x10\x00")
    for end in range(pixels, pixels + 13) if pixels > 0 else range(600, 613):
        cut = content[:end]
        assert described(cut) == by_pydicom(cut, monkeypatch)


def test_a_deflated_file_inflates_no_further_than_it_may() -> None:
    path = SHIPPED / "image_dfl.dcm"
    content = path.read_bytes()
    whole = parse.inflated(content, 10**9)
    assert len(parse.inflated(content, 10_000)) < 10_000 + 1000 < len(whole)
    assert pydicom.dcmread(path).PixelData in whole


def test_a_header_longer_than_a_mebibyte_is_read(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    edit(paths[2], lambda dataset: dataset.add_new(0x00091001, "OB", bytes(3 * 2**20)))
    (series,) = discover(tmp_path).studies[0].series
    assert np.array_equal(load_volume(tmp_path, series).array, ball(grid()))


def test_more_than_64_mebibytes_before_the_pixels_is_a_fault_by_name(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    edit(paths[2], lambda dataset: dataset.add_new(0x00091001, "OB", bytes(65 * 2**20)))
    (series,) = discover(tmp_path).studies[0].series
    assert IssueCode.PIXELS_UNREADABLE in {issue.code for issue in series.issues}

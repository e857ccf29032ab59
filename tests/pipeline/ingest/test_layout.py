"""What is read by the layout of an earlier file is what a walk through the file itself finds."""

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipeline.ingest import parse
from pipeline.ingest.header import _WANTED, read_elements
from pipeline.ingest.layout import _MAX_LAYOUTS, Layout, Layouts
from pipeline.ingest.quiet import quiet
from tests.factories import edit, write_ball
from tests.pipeline.ingest.test_parse import TEST_FILES


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> Layouts:
    fresh = Layouts()
    monkeypatch.setattr(parse, "_LAYOUTS", fresh)
    return fresh


def read(content: bytes) -> object:
    """Return all that is read of a header, or the kind of what is raised."""
    try:
        with quiet():
            header, pixels = read_elements(content)
            return header.raw, header.charset, pixels, str(header.dataset)
    except Exception as error:
        return type(error).__name__


def read_by_itself(content: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(parse, "_LAYOUTS", Layouts())
        return read(content)


def known(layouts: Layouts, content: bytes) -> Layout | None:
    return layouts.find(content, _WANTED)


@pytest.fixture(params=["explicit", "implicit", "undefined"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A header with sequences in it."""
    path = write_ball(tmp_path)[3]

    def change(dataset: Dataset) -> None:
        inner, outer = Dataset(), Dataset()
        inner.CodeMeaning = "x"
        outer.PurposeOfReferenceCodeSequence = Sequence([inner, Dataset()])
        outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
        dataset.ReferencedImageSequence = Sequence([outer, Dataset()])
        for item in (inner, outer):
            item.is_undefined_length_sequence_item = request.param == "undefined"
        dataset["ReferencedImageSequence"].is_undefined_length = request.param == "undefined"
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.add_new(0x00091001, "OB", b"1234")

    edit(path, change)
    if request.param == "implicit":
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True)
    return path.read_bytes()


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_a_file_is_read_the_same_a_second_time(path: Path, layouts: Layouts) -> None:
    content = path.read_bytes()
    first = read(content)
    assert read(content) == first


def test_a_file_with_other_values_is_read_by_the_layout_of_the_first(
    tmp_path: Path, layouts: Layouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (path.read_bytes() for path in write_ball(tmp_path)[3:5])
    read(first)
    assert first != second
    assert known(layouts, second) is known(layouts, first) is not None
    found = read(second)
    assert found == read_by_itself(second, monkeypatch) != read(first)


def test_a_change_of_a_byte_is_read_as_a_walk_reads_it(
    content: bytes, layouts: Layouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(content)
    layout = known(layouts, content)
    assert layout is not None
    n_fitting = 0
    for place in range(128, layout.pixels.offset or 0, 3):
        changed = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        n_fitting += layout.fits(changed)
        assert read(changed) == read_by_itself(changed, monkeypatch), place
    assert n_fitting > 100  # the values


def test_a_header_that_is_cut_fits_no_layout(
    content: bytes, layouts: Layouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(content)
    layout = known(layouts, content)
    assert layout is not None
    for end in range(132, layout.pixels.offset or 0, 7):
        assert known(layouts, content[:end]) is None
        assert read(content[:end]) == read_by_itself(content[:end], monkeypatch)


def test_a_header_without_pixel_data_has_no_layout(content: bytes, layouts: Layouts) -> None:
    cut = content[: content.index(b"\xe0\x7f\x10\x00")]
    read(cut)
    assert known(layouts, cut) is None


def test_a_long_value_stays_with_its_file(tmp_path: Path, layouts: Layouts) -> None:
    path = write_ball(tmp_path)[3]
    with quiet():
        edit(path, lambda dataset: setattr(dataset, "SeriesDescription", "z" * 1000))
    content = path.read_bytes()
    read(content)
    layout = known(layouts, content)
    assert layout is not None
    assert {0x0008103E} == set(layout.long_tags)
    assert 0x0008103E not in layout.common.tags


def test_no_more_layouts_are_kept_than_may_be(content: bytes, layouts: Layouts) -> None:
    read(content)
    layout = known(layouts, content)
    assert layout is not None
    for number in range(1, _MAX_LAYOUTS + 1):
        layouts.keep(bytes(number) + content, _WANTED, layout)
    assert known(layouts, content) is None
    assert len(layouts._layouts) == _MAX_LAYOUTS

"""What is no image is named in plain words, and what a DICOMDIR lists must be there."""

import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from pipeline.ingest import discover
from schemas.issue import IssueCode, Severity
from tests.factories import copy_as, put, write_ball


@pytest.mark.parametrize(
    ("sop_class", "words", "has_pixels"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "a report", False),
        ("1.2.840.10008.5.1.4.1.1.88.67", "a dose sheet", False),
        ("1.2.840.10008.5.1.4.1.1.66", "raw data", True),
        ("1.2.840.10008.5.1.4.1.1.11.1", "a presentation state", False),
        ("1.2.840.10008.5.1.4.1.1.66.4", "a segmentation", True),
        ("1.2.840.10008.5.1.4.1.1.104.1", "an encapsulated PDF", False),
        ("1.2.840.10008.5.1.4.1.1.88.59", "a list of key images", False),
        ("1.2.840.10008.5.1.4.1.1.481.3", "a radiotherapy object", False),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "a waveform", False),
        ("1.2.840.10008.5.1.4.1.1.4.2", "spectroscopy", False),
    ],
)
def test_an_object_without_slices_is_skipped_and_named(
    tmp_path: Path, sop_class: str, words: str, has_pixels: bool
) -> None:
    paths = write_ball(tmp_path)
    other = copy_as(paths[0], tmp_path / "other", SOPClassUID=sop_class)
    if not has_pixels:
        put(other, PixelData=None, Rows=None)
    inventory = discover(tmp_path)
    ((file, issue),) = [(item.file, item.issue) for item in inventory.skipped]
    assert (file, issue.code, issue.severity) == (
        "other",
        IssueCode.FILE_NOT_IMAGE,
        Severity.INFO,
    )
    assert issue.message.startswith(f"no image: {words}, ")
    assert [series.is_usable for series in inventory.studies[0].series] == [True]


def test_an_object_of_an_unknown_class_is_a_doubt(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    other = copy_as(paths[0], tmp_path / "other", SOPClassUID="1.2.3.4")
    put(other, PixelData=None, Rows=None)
    ((code, severity),) = [(s.issue.code, s.issue.severity) for s in discover(tmp_path).skipped]
    assert (code, severity) == (IssueCode.FILE_NOT_IMAGE, Severity.WARNING)


def write_dicomdir(path: Path, file_ids: list[list[str]]) -> None:
    """As few elements as name the files."""
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.DirectoryRecordSequence = [Dataset() for _ in file_ids]
    for record, file_id in zip(directory.DirectoryRecordSequence, file_ids, strict=True):
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = file_id
    pydicom.dcmwrite(path, directory, enforce_file_format=True)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A folder as copied from a disc: a DICOMDIR and the files that it lists, in lower case."""
    folder = tmp_path / "medium"
    paths = write_ball(folder / "pt000000")
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"im{number:06d}"))
    names = [["PT000000", f"IM{number:06d}"] for number in range(len(paths))]
    with pydicom.config.disable_value_validation():
        write_dicomdir(folder / "DICOMDIR", [*names, ["..", "OUT"]])
    return folder


def test_a_dicomdir_that_is_complete_is_only_skipped(medium: Path) -> None:
    inventory = discover(medium)
    assert [(item.file, item.issue.code) for item in inventory.skipped] == [
        ("DICOMDIR", IssueCode.FILE_NOT_IMAGE)
    ]
    assert "directory" in inventory.skipped[0].issue.message
    assert inventory.studies[0].series[0].is_usable


def test_what_a_dicomdir_lists_and_is_gone_is_named(medium: Path) -> None:
    images = sorted(
        path for path in medium.rglob("*") if path.is_file() and path.name != "DICOMDIR"
    )
    images[-1].unlink()
    gone = images[-1].relative_to(medium).as_posix()
    missing = [
        item for item in discover(medium).skipped if item.issue.code is IssueCode.FILE_MISSING
    ]
    assert [item.file.lower() for item in missing] == [gone]
    assert missing[0].issue.severity is Severity.WARNING


def test_a_dicomdir_counts_inside_its_own_archive(medium: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.make_archive(str(tmp_path / "in" / "disc"), "zip", medium)
    inventory = discover(tmp_path / "in")
    assert [item.issue.code for item in inventory.skipped] == [IssueCode.FILE_NOT_IMAGE]
    shutil.copy(medium / "DICOMDIR", tmp_path / "in" / "DICOMDIR")
    codes = [item.issue.code for item in discover(tmp_path / "in").skipped]
    assert codes.count(IssueCode.FILE_MISSING) == 12

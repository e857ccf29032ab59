import gc
import logging
import os
import shutil
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from pipeline.errors import IngestError, UsageError
from pipeline.ingest import discover, load_volume
from pipeline.ingest.uids import is_uid
from pipeline.phantom.dicom import uid_from
from schemas.issue import IssueCode
from schemas.series import Inventory
from tests.factories import SHAPE, ball, copy_as, edit, grid, put, write_ball


def skipped(inventory: Inventory) -> dict[str, IssueCode]:
    return {item.file: item.issue.code for item in inventory.skipped}


def test_what_is_no_image_is_listed_with_the_reason(tmp_path: Path) -> None:
    paths = write_ball(tmp_path / "images")
    (tmp_path / "empty").touch()
    (tmp_path / "notes.dcm").write_text("not an image", encoding="utf-8")
    (tmp_path / "random").write_bytes(np.random.default_rng(1).bytes(4000))
    (tmp_path / "prefix").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    copy_as(paths[0], tmp_path / "report", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    put(tmp_path / "report", PixelData=None, Rows=None)
    shutil.copy(paths[3], tmp_path / "twin")
    inventory = discover(tmp_path)
    assert skipped(inventory) == {
        "empty": IssueCode.FILE_NOT_DICOM,
        "notes.dcm": IssueCode.FILE_NOT_DICOM,
        "random": IssueCode.FILE_NOT_DICOM,
        "prefix": IssueCode.FILE_UNREADABLE,
        "report": IssueCode.FILE_NOT_IMAGE,
        "twin": IssueCode.FILE_DUPLICATE,
    }
    (study,) = inventory.studies
    assert [item.is_usable for item in study.series] == [True]


def test_a_file_without_preamble_is_found(tmp_path: Path) -> None:
    for path in write_ball(tmp_path):
        path.write_bytes(path.read_bytes()[132:])
    (study,) = discover(tmp_path).studies
    assert load_volume(tmp_path, study.series[0]).array.shape == SHAPE


def test_the_content_hash_does_not_depend_on_names_or_order(tmp_path: Path) -> None:
    paths = write_ball(tmp_path / "a")
    for number, path in enumerate(reversed(paths)):
        target = tmp_path / "b" / str(number % 2) / str(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    first, second = (discover(tmp_path / name).studies[0] for name in "ab")
    assert first.content_sha256 == second.content_sha256
    put(paths[0], WindowCenter="1")
    assert discover(tmp_path / "a").studies[0].content_sha256 != first.content_sha256


def test_empty_uids_are_derived_from_the_content_and_folders_stay_apart(tmp_path: Path) -> None:
    for folder, description in (("a", "one"), ("b", "two")):
        paths = write_ball(tmp_path / folder, description=description)
        empty = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "PatientID"), "")
        put(paths, SOPInstanceUID="", SOPClassUID="", **empty)
    first, second = discover(tmp_path).studies
    assert first.study_uid != second.study_uid
    again = discover(tmp_path / "a").studies[0]
    assert again.study_uid in (first.study_uid, second.study_uid)
    assert is_uid(again.study_uid)
    assert is_uid(again.series[0].series_uid)
    assert {issue.code for issue in again.issues} == {
        IssueCode.UID_MISSING,
        IssueCode.PATIENT_UNKNOWN,
    }
    assert load_volume(tmp_path / "a", again.series[0]).array.shape == SHAPE


@pytest.mark.parametrize(
    "uid",
    ["../../etc/passwd", "1.2.NOBODY", "1..2", ".1", "1." + "2" * 70, "1/2"],
)
def test_a_malformed_uid_never_becomes_a_name(tmp_path: Path, uid: str) -> None:
    paths = write_ball(tmp_path)
    with pydicom.config.disable_value_validation():
        put(paths, StudyInstanceUID=uid, SeriesInstanceUID=uid)
    (study,) = discover(tmp_path).studies
    assert is_uid(study.study_uid)
    assert study.study_uid.startswith("2.25.")
    assert IssueCode.UID_MISSING in {issue.code for issue in study.issues}
    assert is_uid(study.series[0].series_uid)
    assert study.series[0].is_usable


def test_digits_of_other_scripts_are_no_uid() -> None:
    assert not is_uid("\u0661.2")
    assert not is_uid("1.2\n")
    assert is_uid("1.02.3")


def test_one_study_of_two_patients_is_refused_as_a_whole(tmp_path: Path) -> None:
    write_ball(tmp_path / "a")
    write_ball(tmp_path / "b", patient_id="P0002", series_uid=uid_from("other"))
    (study,) = discover(tmp_path).studies
    assert IssueCode.IDENTITY_CONFLICT in {issue.code for issue in study.issues}
    assert study.patient_id == ""
    assert not any(series.is_usable for series in study.series)


def test_one_series_in_two_studies_is_refused_in_both(tmp_path: Path) -> None:
    write_ball(tmp_path / "a")
    paths = write_ball(tmp_path / "b", study_uid=uid_from("other"))
    for path in paths:
        copy_as(path, path)
    inventory = discover(tmp_path)
    assert len(inventory.studies) == 2
    for study in inventory.studies:
        assert not study.series[0].is_usable
        assert IssueCode.IDENTITY_CONFLICT in {issue.code for issue in study.series[0].issues}


NONE = {
    f"{event}{part}": None
    for event in ("Acquisition", "Series", "Study", "Content")
    for part in ("Date", "Time")
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            {"AcquisitionDateTime": "20210102030405.678900+0100"},
            datetime(2021, 1, 2, 3, 4, 5, 678900),
            id="datetime-with-zone",
        ),
        pytest.param(
            {"AcquisitionDateTime": "2021", "SeriesDate": "20210103", "SeriesTime": "040506.25"},
            datetime(2021, 1, 3, 4, 5, 6, 250000),
            id="series-where-acquisition-is-cut",
        ),
        pytest.param(
            {"AcquisitionDate": "20211399", "StudyDate": "20210104", "StudyTime": "0506"},
            datetime(2021, 1, 4, 5, 6),
            id="study-where-acquisition-is-invalid",
        ),
        pytest.param(
            {
                "StudyDate": "20210104",
                "StudyTime": "0506",
                "SeriesDate": "20210104",
                "SeriesTime": "1700",
            },
            datetime(2021, 1, 4, 5, 6),
            id="study-where-series-is-later",
        ),
        pytest.param(
            {
                "StudyDate": "20210104",
                "StudyTime": "0506",
                "SeriesDate": "20210104",
                "SeriesTime": "0400",
            },
            datetime(2021, 1, 4, 4),
            id="series-where-study-is-later",
        ),
        pytest.param(
            {"StudyDate": "20210104", "SeriesDate": "20210105", "SeriesTime": "0400"},
            datetime(2021, 1, 4),
            id="an-earlier-day-without-a-time",
        ),
        pytest.param(
            {"AcquisitionDate": "20210104", "SeriesDate": "20210104", "SeriesTime": "1700"},
            datetime(2021, 1, 4, 17),
            id="a-time-of-the-same-day",
        ),
        pytest.param(
            {
                "AcquisitionDate": "20210104",
                "AcquisitionTime": "0506",
                "StudyDate": "20210104",
                "StudyTime": "0400",
            },
            datetime(2021, 1, 4, 5, 6),
            id="acquisition-though-study-is-earlier",
        ),
        pytest.param({"StudyDate": "20210105"}, datetime(2021, 1, 5), id="day-alone"),
        pytest.param(
            {"StudyDate": "2021.01.06", "StudyTime": "07:08:09"},
            datetime(2021, 1, 6, 7, 8, 9),
            id="old-form",
        ),
        pytest.param({"ContentDate": "20210107", "ContentTime": "0809"}, None, id="content-never"),
        pytest.param({"StudyDate": "yesterday", "StudyTime": "noon"}, None, id="nonsense"),
    ],
)
def test_the_acquisition_time_is_the_acquisitions_or_the_earliest_known(
    tmp_path: Path, values: dict[str, str], expected: datetime | None
) -> None:
    paths = write_ball(tmp_path)
    put(paths, **NONE)
    with pydicom.config.disable_value_validation():
        put(paths, **values)
    (study,) = discover(tmp_path).studies
    assert study.acquired_at == expected
    unknown = IssueCode.TIME_UNKNOWN in {issue.code for issue in study.issues}
    assert unknown == (expected is None)


def test_links_and_pipes_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    write_ball(tmp_path / "in")
    outside = write_ball(tmp_path / "out", study_uid=uid_from("other"))
    (tmp_path / "in" / "file").symlink_to(outside[0])
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out", target_is_directory=True)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "gone").symlink_to(tmp_path / "nowhere")
    inventory = discover(tmp_path / "in")
    assert len(inventory.studies) == 1
    assert set(skipped(inventory)) == {"file", "folder", "loop", "gone"}


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    for name, path in zip((b"\xff.dcm", b"a\nb", b"\\x41"), paths, strict=False):
        path.rename(tmp_path / os.fsdecode(name))
    inventory = discover(tmp_path)
    (series,) = inventory.studies[0].series
    assert {frame.file for frame in series.frames} > {r"\xff.dcm", r"a\x0ab", r"\x5cx41"}
    assert np.array_equal(load_volume(tmp_path, series).array, ball(grid()))
    assert inventory.model_dump_json().isascii()


def test_text_that_cannot_be_printed_does_no_harm(tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        put(write_ball(tmp_path), SeriesDescription="a\x1b[2Jb\nc", PatientID="\x00P\x07")
    (study,) = discover(tmp_path).studies
    assert study.series[0].description == "a [2Jb c"
    assert study.patient_id == "P"


def test_threads_leave_warnings_and_loggers_as_they_were(tmp_path: Path) -> None:
    write_ball(tmp_path)
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(discover, [tmp_path] * 8))
    assert len({inventory.model_dump_json() for inventory in found}) == 1
    assert warnings.filters == before
    assert logging.getLogger("pydicom").propagate


def test_a_missing_folder_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        discover(tmp_path / "nowhere")


def test_progress_counts_to_the_number_of_files(tmp_path: Path) -> None:
    write_ball(tmp_path)
    seen: list[tuple[int, int]] = []
    discover(tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, SHAPE[0]) for n in range(1, SHAPE[0] + 1)]


def test_the_same_folder_gives_the_same_inventory(tmp_path: Path) -> None:
    write_ball(tmp_path)
    first, second = discover(tmp_path), discover(tmp_path)
    assert first.model_dump_json() == second.model_dump_json()


def damaged(content: bytes, rng: np.random.Generator, *, is_cut: bool) -> bytes:
    changed = bytearray(content[: int(rng.integers(1, len(content)))] if is_cut else content)
    for place in rng.integers(0, min(len(changed), 1400), 6):
        changed[place] = rng.integers(0, 256)
    return bytes(changed)


def load_all(folder: Path) -> str:
    """Read whatever can be read; return all that was said on the way."""
    inventory = discover(folder)
    said = [repr(inventory), inventory.model_dump_json(include={"skipped"})]
    for series in (series for study in inventory.studies for series in study.series):
        assert series.is_usable or series.issues
        try:
            load_volume(folder, series)
        except IngestError as error:
            said.append(str(error))
    return "\n".join(said)


def test_damaged_files_are_listed_or_refused_and_say_nothing_of_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    rng = np.random.default_rng(7)
    paths = write_ball(tmp_path / "good")
    edit(paths[1], lambda dataset: dataset.compress(RLELossless))
    edit(paths[2], lambda dataset: dataset.compress(JPEG2000Lossless))
    contents = [path.read_bytes() for path in paths]
    for number in range(120):
        kind = number % 3
        path = tmp_path / f"bad{number}" / "file"
        path.parent.mkdir()
        for index, content in enumerate(contents[3:7]):
            path.with_name(str(index)).write_bytes(content)
        path.write_bytes(damaged(contents[kind], rng, is_cut=number % 2 == 0))
        assert "NOBODY" not in load_all(path.parent)
    assert "NOBODY" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_an_element_of_four_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    path = write_ball(tmp_path)[0]
    content = path.read_bytes()
    huge = b"\x08\x00\x00\x00OB\0\0\xfe\xff\xff\xff"
    path.write_bytes(content[:132] + huge + content[132:])
    inventory = discover(tmp_path)
    assert len(inventory.skipped) == 1
    assert inventory.skipped[0].file == path.name


def test_nothing_about_the_patient_is_shown(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    cut = paths[4].read_bytes()
    paths[4].write_bytes(cut[:600])
    text = repr(discover(tmp_path))
    assert "P0001" not in text
    assert "NOBODY" not in text
    assert "ball" not in text


def test_the_scanner_is_named_unless_files_differ(tmp_path: Path) -> None:
    files = write_ball(tmp_path)
    put(files, Manufacturer="ACME", ManufacturerModelName="One")
    assert discover(tmp_path).studies[0].scanner == "ACME One"
    put(files[0], ManufacturerModelName="Two")
    assert discover(tmp_path).studies[0].scanner == ""


class _Cycle:
    """Refers to itself, so that only the collector can take it away."""

    def __init__(self) -> None:
        self.own = self


def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path) -> None:
    write_ball(tmp_path / "images")
    gc.unfreeze()
    dead = weakref.ref(_Cycle())
    discover(tmp_path)
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert dead() is None
    gc.freeze()  # as a server does before it forks
    try:
        before, dead = gc.get_freeze_count(), weakref.ref(_Cycle())
        discover(tmp_path)
        assert 0 < gc.get_freeze_count() <= before  # some are freed, none is added
        gc.collect()
        assert dead() is None
    finally:
        gc.unfreeze()

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML
from typer.testing import CliRunner, Result

from flows.cli import app, main
from pipeline.geometry import Geometry
from pipeline.ingest import discover, load_volume
from pipeline.ingest.convert import report_schema_text
from pipeline.nifti import load_nifti
from pipeline.phantom.dicom import uid_from
from schemas.ingest import IngestReport
from schemas.issue import IssueCode
from tests.factories import PLANES, ball, copy_as, edit, grid, put, write_ball

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "series.schema.json"


def ingest(folder: Path, out: Path) -> tuple[Result, IngestReport]:
    result = CliRunner().invoke(app, ["ingest", str(folder), "--out", str(out)])
    return result, IngestReport.model_validate_json((out / "series.json").read_text())


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    """Two good series, a localizer, and a file that is nothing."""
    folder = tmp_path / "heap"
    write_ball(folder / "a", "sagittal", is_oblique=True)
    write_ball(folder / "b", series_uid=uid_from("b"), modality="MR")
    localizer = write_ball(folder / "c", series_uid=uid_from("c"))
    put(localizer, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (folder / "notes.txt").write_text("no image")
    return folder


def test_good_series_are_written_and_all_are_listed(heap: Path, tmp_path: Path) -> None:
    result, report = ingest(heap, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(item.status for item in report.series) == ["read", "read", "set aside"]
    assert [item.issue.code for item in report.skipped] == [IssueCode.FILE_NOT_DICOM]
    for item in report.series:
        assert len(item.files) == item.n_frames == 12
        assert (item.volume is None) == (item.status != "read")
    written = {f"volumes/{path.name}" for path in (tmp_path / "out" / "volumes").iterdir()}
    assert written == {item.volume for item in report.series} - {None}


def test_a_written_volume_is_the_loaded_one_where_it_was(heap: Path, tmp_path: Path) -> None:
    _, report = ingest(heap, tmp_path / "out")
    found = {series.series_uid: series for series in discover(heap).studies[0].series}
    for item in report.series:
        if item.volume is None or item.geometry is None:
            continue
        volume = load_volume(heap, found[item.series_uid])
        array, geometry = load_nifti(tmp_path / "out" / item.volume)
        assert np.array_equal(array, volume.array)
        placed = Geometry(geometry.affine, geometry.shape, item.geometry.frame_of_reference_uid)
        assert placed.matches(volume.geometry)
        assert np.allclose(np.array(item.geometry.affine_lps), volume.geometry.affine)
        assert item.slices == volume.sources


def test_the_same_files_give_the_same_bytes(heap: Path, tmp_path: Path) -> None:
    shutil.copytree(heap, tmp_path / "elsewhere")
    ingest(heap, tmp_path / "first")
    ingest(tmp_path / "elsewhere", tmp_path / "second")
    names = sorted(path.relative_to(tmp_path / "first") for path in tmp_path.glob("first/**/*.*"))
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_series_refused_for_a_fault_gives_exit_code_1(heap: Path, tmp_path: Path) -> None:
    (heap / "b" / "IM0004.dcm").unlink()
    result, report = ingest(heap, tmp_path / "out")
    assert result.exit_code == 1
    (refused,) = [item for item in report.series if item.status == "refused"]
    assert refused.codes == (IssueCode.GEOMETRY_IRREGULAR,)
    assert len(refused.files) == 11
    assert "geometry-irregular" in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("values", "status", "exit_code"),
    [
        ({"HighBit": 13}, "refused", 1),
        ({"SOPClassUID": "1.2.3.4"}, "refused", 1),
        ({"Modality": ""}, "refused", 1),
        ({"PhotometricInterpretation": ""}, "refused", 1),
        ({"NumberOfFrames": 2}, "refused", 1),
        ({"NumberOfFrames": 2, "ImageType": ["DERIVED", "SECONDARY"]}, "set aside", 0),
        ({"Modality": "PT"}, "set aside", 0),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}, "set aside", 0),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "set aside", 0),
        ({"SamplesPerPixel": 3}, "set aside", 0),
    ],
    ids=str,
)
def test_what_cannot_be_read_of_ct_or_mr_is_refused_and_other_kinds_are_set_aside(
    heap: Path, tmp_path: Path, values: dict[str, object], status: str, exit_code: int
) -> None:
    put(sorted((heap / "b").iterdir()), **values)
    result, report = ingest(heap, tmp_path / "out")
    (entry,) = [item for item in report.series if item.files[0].startswith("b/")]
    assert (entry.status, result.exit_code) == (status, exit_code), entry.issues
    assert (IssueCode.SERIES_UNREADABLE in entry.codes) == (status == "refused")


def test_an_unread_transfer_syntax_refuses_its_series(heap: Path, tmp_path: Path) -> None:
    for path in (heap / "b").iterdir():
        dataset = dcmread(path)
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.save_as(path)
    result, report = ingest(heap, tmp_path / "out")
    (entry,) = [item for item in report.series if item.files[0].startswith("b/")]
    assert (entry.status, result.exit_code) == ("refused", 1)
    assert IssueCode.SERIES_UNREADABLE in entry.codes


def test_pixels_that_cannot_be_decoded_refuse_their_series_alone(
    heap: Path, tmp_path: Path
) -> None:
    edit(
        sorted((heap / "b").iterdir())[5],
        lambda item: item.__setattr__("PixelData", item.PixelData[:-2] + b"\xff\xff"),
    )
    put(sorted((heap / "b").iterdir())[5], BitsStored=12, HighBit=11)
    result, report = ingest(heap, tmp_path / "out")
    assert result.exit_code == 1
    codes = {item.status: item.codes for item in report.series}
    assert codes["refused"] == (IssueCode.PIXELS_UNREADABLE,)
    assert codes["read"] == ()


@pytest.mark.parametrize("plane", PLANES)
def test_every_plane_is_written_where_it_lies(plane: str, tmp_path: Path) -> None:
    write_ball(tmp_path / "in", plane)
    _, report = ingest(tmp_path / "in", tmp_path / "out")
    assert report.series[0].volume is not None
    array, geometry = load_nifti(tmp_path / "out" / report.series[0].volume)
    assert np.array_equal(array, ball(grid(plane)))
    assert np.allclose(geometry.affine, grid(plane).affine, atol=1e-3)


def test_series_json_fits_its_published_schema(heap: Path, tmp_path: Path) -> None:
    renew = f"python -m pipeline.ingest docs/reference/{PUBLISHED.name}"
    assert PUBLISHED.read_text() == report_schema_text(), f"renew it: {renew}"
    copy_as(heap / "a" / "IM0001.dcm", heap / "stray", Rows=10)
    ingest(heap, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "series.json").read_text())
    Draft202012Validator(json.loads(PUBLISHED.read_text())).validate(content)


def test_no_patient_is_named(heap: Path, tmp_path: Path) -> None:
    result, _ = ingest(heap, tmp_path / "out")
    for text in (result.output, (tmp_path / "out" / "series.json").read_text()):
        assert "NOBODY" not in text
        assert "P0001" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--out", "new"], "nowhere is not a folder"),
        ([".", "--out", "."], "is not empty"),
    ],
)
def test_a_mistake_gives_exit_code_2_and_leaves_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "there").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["synopt", "ingest", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from pipeline.errors import IngestError
from pipeline.ingest import discover, load_volume, resample
from pipeline.phantom.dicom import uid_from
from pipeline.volume import Volume
from schemas.issue import IssueCode, Severity
from schemas.series import Series
from tests.factories import SHAPE, ball, edit, grid, move, put, write_ball, write_enhanced
from tests.series_factory.slices import Case, moved, save


def only_series(folder: Path) -> Series:
    (study,) = discover(folder).studies
    (series,) = study.series
    return series


def load(folder: Path) -> Volume:
    return load_volume(folder, only_series(folder))


def test_each_slice_is_rescaled_by_its_own_header(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    for number, path in enumerate(paths):
        put(path, RescaleSlope=str(number + 1), RescaleIntercept=str(-10 * number))
    stored = ball(grid()) + 1024
    factor = np.arange(1, SHAPE[0] + 1)[:, None, None]
    expected = stored * factor - 10 * (factor - 1)
    assert np.array_equal(load(tmp_path).array, expected)


def test_an_mr_image_without_rescale_keeps_what_is_stored(tmp_path: Path) -> None:
    write_ball(tmp_path, modality="MR")
    volume = load(tmp_path)
    assert volume.unit == "scanner"
    assert np.array_equal(volume.array, ball(grid()))


def test_values_that_go_by_a_table_are_refused_not_kept_as_stored(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [2, 0, 16], "US"
    table.LUTData = b"\0\0\x64\0"
    put(write_ball(tmp_path, modality="MR")[3], ModalityLUTSequence=[table])
    (issue,) = only_series(tmp_path).issues
    assert (issue.code, issue.severity) == (IssueCode.PIXELS_UNSCALED, Severity.ERROR)


def test_monochrome1_says_how_to_show_values_not_what_they_are(tmp_path: Path) -> None:
    put(write_ball(tmp_path / "ct"), PhotometricInterpretation="MONOCHROME1")
    put(write_ball(tmp_path / "mr", modality="MR"), PhotometricInterpretation="MONOCHROME1")
    assert only_series(tmp_path / "ct").issues == ()
    assert [issue.code for issue in only_series(tmp_path / "mr").issues] == [
        IssueCode.PIXELS_INVERTED
    ]
    for name in ("ct", "mr"):
        assert np.array_equal(load(tmp_path / name).array, ball(grid()))


def test_padding_values_stay_in_the_volume(tmp_path: Path) -> None:
    def pad(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        pixels = dataset.pixel_array.copy()
        pixels[0, 0] = -2000
        dataset.PixelData = pixels.tobytes()

    edit(write_ball(tmp_path), pad)
    assert (load(tmp_path).array[:, 0, 0] == -3024).all()


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(syntax, id=syntax.keyword)
        for syntax in (
            ImplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
            RLELossless,
            JPEG2000Lossless,
        )
    ],
)
def test_the_transfer_syntax_does_not_change_values(
    tmp_path: Path, syntax: pydicom.uid.UID
) -> None:
    paths = write_ball(tmp_path)
    for path in paths:
        dataset = pydicom.dcmread(path)
        if syntax.is_compressed and not syntax.is_deflated:
            dataset.compress(syntax)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
            dataset["PixelData"].VR = "OW"
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            path,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
    series = only_series(tmp_path)
    assert series.issues == ()
    assert np.array_equal(load(tmp_path).array, ball(grid()))


def test_an_enhanced_ct_is_the_same_volume_as_its_slices(tmp_path: Path) -> None:
    paths = write_ball(tmp_path / "classic", "sagittal", is_oblique=True)
    (tmp_path / "enhanced").mkdir()
    order = np.random.default_rng(3).permutation(len(paths))
    write_enhanced([paths[index] for index in order], tmp_path / "enhanced" / "one")
    first, second = load(tmp_path / "classic"), load(tmp_path / "enhanced")
    assert np.array_equal(first.array, second.array)
    assert first.geometry.matches(second.geometry)
    assert [source.frame for source in second.sources] == [
        int(np.flatnonzero(order == index)[0]) + 1 for index in range(len(paths))
    ]


def test_an_enhanced_ct_that_lacks_a_slice_is_refused(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    write_enhanced([*paths[:4], *paths[5:]], tmp_path / "one")
    for path in paths:
        path.unlink()
    codes = {issue.code for issue in only_series(tmp_path).issues}
    assert codes == {IssueCode.GEOMETRY_IRREGULAR}


def test_an_enhanced_ct_with_fewer_groups_than_frames_is_refused(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    target = write_enhanced(paths, tmp_path / "one")
    for path in paths:
        path.unlink()
    edit(target, lambda dataset: dataset.PerFrameFunctionalGroupsSequence.pop())
    assert {i.code for i in only_series(tmp_path).issues} == {IssueCode.SERIES_UNREADABLE}


def test_an_image_compressed_with_loss_is_read_with_a_warning(tmp_path: Path) -> None:
    put(
        write_ball(tmp_path),
        LossyImageCompression="01",
        ImageType=["DERIVED", "PRIMARY", "AXIAL"],
    )
    series = only_series(tmp_path)
    assert [(i.code, i.severity) for i in series.issues] == [
        (IssueCode.PIXELS_LOSSY, Severity.WARNING)
    ]
    assert load(tmp_path).array.shape == SHAPE


def test_twelve_bits_keep_their_sign_and_hold_nothing_else(tmp_path: Path) -> None:
    def narrow(dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = ((dataset.pixel_array - 1200) & 0x0FFF).astype("<u2").tobytes()

    paths = write_ball(tmp_path)
    edit(paths, narrow)
    assert np.array_equal(load(tmp_path).array, ball(grid()) - 1200)
    edit(
        paths[3],
        lambda dataset: setattr(
            dataset, "PixelData", (dataset.pixel_array.astype("<u2") ^ 0x5000).tobytes()
        ),
    )
    with pytest.raises(IngestError, match="more than the 12 bits"):
        load(tmp_path)


def test_a_slice_that_moved_since_it_was_found_is_a_mismatch(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    series = only_series(tmp_path)
    move(paths[5], [0.0, 0.02, 0.0])
    with pytest.raises(IngestError, match=r"geometry-mismatch: slice 5 lies 0\.020 mm"):
        load_volume(tmp_path, series)


def test_another_instance_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    series = only_series(tmp_path)
    put(paths[5], SOPInstanceUID=uid_from("new"))
    with pytest.raises(IngestError, match="another instance"):
        load_volume(tmp_path, series)


@pytest.mark.parametrize("values", [{"PatientID": "P2"}, {"PatientBirthDate": "19500101"}])
@pytest.mark.parametrize("is_enhanced", [False, True])
def test_a_file_of_another_patient_under_the_same_uid_is_noticed(
    tmp_path: Path, values: dict[str, object], is_enhanced: bool
) -> None:
    paths = write_ball(tmp_path)
    if is_enhanced:
        one = write_enhanced(paths, tmp_path / "one")
        for path in paths:
            path.unlink()
        paths = [one]
    series = only_series(tmp_path)
    assert load_volume(tmp_path, series).array.shape == SHAPE
    put(paths[-1], **values)
    with pytest.raises(IngestError, match="names another patient") as caught:
        load_volume(tmp_path, series)
    assert caught.value.code is IssueCode.IDENTITY_CONFLICT
    assert not any(str(value) in str(caught.value) for value in values.values())


def test_a_series_does_not_show_whose_it_is(tmp_path: Path) -> None:
    write_ball(tmp_path)
    series = only_series(tmp_path)
    assert series.patient_sha256
    assert series.patient_sha256 not in repr(series)


def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    series = only_series(tmp_path)
    paths[5].unlink()
    with pytest.raises(IngestError, match=r"^file 6 of 12 of the series cannot be opened"):
        load_volume(tmp_path, series)


def test_pixels_that_cannot_be_decoded_are_one_sentence_without_a_name(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    edit(paths, lambda dataset: dataset.compress(JPEG2000Lossless))
    content = paths[5].read_bytes()
    # The codestream begins with the markers SOC and SIZ.
    start = content.index(b"\xff\x4f\xff\x51")
    paths[5].write_bytes(content[:start] + b"\0" * 60 + content[start + 60 :])
    with pytest.raises(IngestError, match=r"^file 6 of 12 of the series: .*pixels") as caught:
        load(tmp_path)
    assert caught.value.__cause__ is None
    assert "NOBODY" not in str(caught.value)


def test_a_path_out_of_the_folder_is_not_opened(tmp_path: Path) -> None:
    write_ball(tmp_path / "in")
    series = only_series(tmp_path / "in")
    frame = series.frames[0].model_copy(update={"file": "../in/IM0001.dcm"})
    changed = series.model_copy(update={"frames": (frame, *series.frames[1:])})
    (tmp_path / "other").mkdir()
    with pytest.raises(IngestError, match="outside the folder"):
        load_volume(tmp_path / "other", changed)


def tilted_series(folder: Path) -> Series:
    slices = Case("oblique").slices()
    for index, one in enumerate(slices):
        moved(one, 0.9 * index * np.array(one.ImageOrientationPatient[3:], float))
    save(slices, folder)
    return only_series(folder)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("_moved", id="half a voxel along the rows or columns"),
        pytest.param("_slice_at", id="the neighbouring slice"),
        pytest.param("_put", id="never written"),
    ],
)
def test_a_resampling_that_goes_wrong_is_noticed_before_the_volume_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    series = tilted_series(tmp_path)
    assert load_volume(tmp_path, series).array.shape[0] == 9
    right = getattr(resample, part)
    wrong = {
        "_moved": lambda image, place, axis: right(image, np.clip(place - 0.5, 0, None), axis),
        "_slice_at": lambda array, places, place: right(array, places, max(place - 1.0, 0.0)),
        "_put": lambda target, image, corner: None,
    }
    monkeypatch.setattr(resample, part, wrong[part])
    with pytest.raises(IngestError, match="geometry-mismatch: a resampled voxel differs"):
        load_volume(tmp_path, series)


def test_a_tilted_slice_that_moved_since_it_was_found_is_a_mismatch(tmp_path: Path) -> None:
    series = tilted_series(tmp_path)
    path = next(tmp_path / one.file for one in series.frames[5:6])
    move(path, [0.0, 0.03, 0.0])
    with pytest.raises(IngestError, match=r"geometry-mismatch: slice 5 lies 0\.030 mm"):
        load_volume(tmp_path, series)

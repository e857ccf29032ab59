"""Every defect of a series has its code; none is read as if it were whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from pipeline.errors import IngestError
from pipeline.ingest import discover, load_volume
from pipeline.phantom.dicom import uid_from
from schemas.issue import IssueCode, Severity
from schemas.series import Series
from tests.factories import (
    BALL_MM,
    PLANES,
    SHAPE,
    ball,
    ball_centre_mm,
    copy_as,
    edit,
    grid,
    move,
    put,
    write_ball,
)

PLACES = [(plane, is_oblique) for plane in PLANES for is_oblique in (False, True)]
Defect = Callable[[list[Path]], object]


def the_series(folder: Path) -> tuple[Series, ...]:
    studies = discover(folder).studies
    assert len(studies) == 1
    return studies[0].series


def errors(series: Series) -> set[IssueCode]:
    return {issue.code for issue in series.issues if issue.severity is Severity.ERROR}


def one_missing(paths: list[Path]) -> None:
    paths[5].unlink()


def two_missing_side_by_side(paths: list[Path]) -> None:
    paths[5].unlink()
    paths[6].unlink()


def last_but_one_missing(paths: list[Path]) -> None:
    paths[-2].unlink()


def one_repeated(paths: list[Path]) -> None:
    copy_as(paths[5], paths[0].with_name("again"))


def other_frame_of_reference(paths: list[Path]) -> None:
    put(paths[-1], FrameOfReferenceUID=uid_from("other"))


def turned_in_plane(paths: list[Path]) -> None:
    cosines = pydicom.dcmread(paths[4]).ImageOrientationPatient
    put(paths[4], ImageOrientationPatient=[*cosines[3:], *(-float(v) for v in cosines[:3])])


def turned_around(paths: list[Path]) -> None:
    cosines = pydicom.dcmread(paths[-1]).ImageOrientationPatient
    put(paths[-1], ImageOrientationPatient=[*(-float(v) for v in cosines[:3]), *cosines[3:]])


def other_size(paths: list[Path]) -> None:
    def change(dataset: pydicom.Dataset) -> None:
        dataset.Rows -= 2
        dataset.PixelData = dataset.PixelData[: 2 * dataset.Rows * dataset.Columns]

    edit(paths[-1], change)


def moved_along(paths: list[Path]) -> None:
    affine = grid().affine
    move(paths[5], 0.3 * affine[:3, 0])


def uneven_at_the_end(paths: list[Path]) -> None:
    for path in paths[8:]:
        move(path, [0.9, 0.9, 0.9])


def moved_sideways(paths: list[Path]) -> None:
    step = np.cross([1.0, 2.0, 3.0], slice_direction(paths))
    move(paths[5], step / np.linalg.norm(step))


def tilted_ball(paths: list[Path]) -> None:
    cosines = np.array(pydicom.dcmread(paths[0]).ImageOrientationPatient, float)
    for index, path in enumerate(paths):
        move(path, 0.5 * index * cosines[3:])


def slice_direction(paths: list[Path]) -> np.ndarray:
    cosines = np.array(pydicom.dcmread(paths[0]).ImageOrientationPatient, float)
    return np.cross(cosines[:3], cosines[3:])


def cut_short(paths: list[Path]) -> None:
    content = paths[5].read_bytes()
    paths[5].write_bytes(content[:-200])


def compressed_and_cut_short(paths: list[Path]) -> None:
    edit(paths[5], lambda dataset: dataset.compress(RLELossless))
    cut_short(paths)


def without_pixels(paths: list[Path]) -> None:
    put(paths[5], PixelData=None)


def two_patients(paths: list[Path]) -> None:
    put(paths[5], PatientID="P0002")


def two_birth_dates(paths: list[Path]) -> None:
    put(paths[5], PatientBirthDate="19500101")


def same_uid_other_content(paths: list[Path]) -> None:
    target = paths[0].with_name("other")
    target.write_bytes(paths[5].read_bytes())
    put(target, WindowCenter="41")


DEFECTS = [
    (one_missing, IssueCode.GEOMETRY_IRREGULAR),
    (two_missing_side_by_side, IssueCode.GEOMETRY_IRREGULAR),
    (last_but_one_missing, IssueCode.GEOMETRY_IRREGULAR),
    (moved_along, IssueCode.GEOMETRY_IRREGULAR),
    (uneven_at_the_end, IssueCode.GEOMETRY_IRREGULAR),
    (moved_sideways, IssueCode.GEOMETRY_IRREGULAR),
    (tilted_ball, IssueCode.GEOMETRY_TILTED),
    (one_repeated, IssueCode.SERIES_AMBIGUOUS),
    (two_patients, IssueCode.IDENTITY_CONFLICT),
    (two_birth_dates, IssueCode.IDENTITY_CONFLICT),
    (other_frame_of_reference, IssueCode.IDENTITY_CONFLICT),
    (turned_in_plane, IssueCode.GEOMETRY_MIXED),
    (turned_around, IssueCode.GEOMETRY_MIXED),
    (other_size, IssueCode.GEOMETRY_MIXED),
    (lambda p: put(p[-1], PixelSpacing=["1.25", "0.8"]), IssueCode.GEOMETRY_MIXED),
    (lambda p: put(p[5], PixelSpacing=["0.75", "1.25"]), IssueCode.GEOMETRY_MIXED),
    (lambda p: put(p[5], ImagePositionPatient=None), IssueCode.GEOMETRY_MISSING),
    (lambda p: put(p[5], ImageOrientationPatient=None), IssueCode.GEOMETRY_MISSING),
    (lambda p: put(p, PixelSpacing=None), IssueCode.GEOMETRY_MISSING),
    (
        lambda p: put(p, ImageOrientationPatient=["1", "0", "0", "0.5", "1", "0"]),
        IssueCode.GEOMETRY_MISSING,
    ),
    (same_uid_other_content, IssueCode.INSTANCE_CONFLICT),
    (cut_short, IssueCode.PIXELS_UNREADABLE),
    (compressed_and_cut_short, IssueCode.PIXELS_UNREADABLE),
    (without_pixels, IssueCode.PIXELS_UNREADABLE),
    (lambda p: put(p, Rows=60000, Columns=60000), IssueCode.PIXELS_UNREADABLE),
    (lambda p: put(p, RescaleIntercept=None), IssueCode.PIXELS_UNSCALED),
    (lambda p: put(p, RescaleType="US"), IssueCode.PIXELS_UNSCALED),
    (lambda p: put(p[5], RescaleSlope="0"), IssueCode.PIXELS_UNSCALED),
    (lambda p: put(p, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), IssueCode.SERIES_LOCALIZER),
    (lambda p: put(p, ImageType=["DERIVED", "SECONDARY", "MPR"]), IssueCode.SERIES_DERIVED),
    (lambda p: put(p, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), IssueCode.SERIES_DERIVED),
    (lambda p: put(p, SamplesPerPixel=3), IssueCode.SERIES_UNSUPPORTED),
    (lambda p: put(p, PhotometricInterpretation="PALETTE COLOR"), IssueCode.SERIES_UNSUPPORTED),
    (lambda p: put(p, Modality="PT"), IssueCode.SERIES_UNSUPPORTED),
    (lambda p: put(p, HighBit=13), IssueCode.SERIES_UNSUPPORTED),
    (lambda p: [path.unlink() for path in p[2:]], IssueCode.SERIES_TOO_SHORT),
]


@pytest.mark.parametrize(("plane", "is_oblique"), [("axial", False), ("sagittal", True)])
@pytest.mark.parametrize(
    ("defect", "code"),
    [
        pytest.param(
            defect,
            code,
            id=f"{number}-{defect.__name__}-{code}".replace("<lambda>", "tag"),
        )
        for number, (defect, code) in enumerate(DEFECTS)
    ],
)
def test_a_defect_refuses_every_part_of_the_series_with_its_code(
    tmp_path: Path, defect: Defect, code: IssueCode, plane: str, is_oblique: bool
) -> None:
    defect(write_ball(tmp_path, plane, is_oblique=is_oblique))
    series = the_series(tmp_path)
    assert not any(item.is_usable for item in series)
    assert any(code in errors(item) for item in series)
    with pytest.raises(IngestError, match="refused"):
        load_volume(tmp_path, series[0])


@pytest.mark.parametrize(("plane", "is_oblique"), PLACES)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_ball_is_found_where_it_is(
    tmp_path: Path, plane: str, is_oblique: bool, modality: str
) -> None:
    write_ball(tmp_path, plane, modality=modality, is_oblique=is_oblique)
    (series,) = the_series(tmp_path)
    assert series.issues == ()
    volume = load_volume(tmp_path, series)
    geometry = grid(plane, is_oblique=is_oblique)
    assert np.abs(volume.geometry.affine - geometry.affine).max() < 1e-5
    assert np.array_equal(volume.array, ball(geometry))
    assert volume.unit == ("HU" if modality == "CT" else "scanner")
    # The ball's soft edge is 0.6 mm, a quarter of the slice spacing.
    assert np.abs(ball_centre_mm(volume) - BALL_MM).max() < 0.05


def test_names_and_numbers_of_files_do_not_matter(tmp_path: Path) -> None:
    paths = write_ball(tmp_path / "a", "coronal", is_oblique=True)
    expected = load_volume(tmp_path / "a", the_series(tmp_path / "a")[0])
    order = np.random.default_rng(5).permutation(len(paths))
    for number, index in enumerate(order):
        put(paths[index], InstanceNumber=number, SliceLocation="0", SliceThickness="9")
        target = tmp_path / "b" / f"d{number % 3}" / f"{number:03d}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        paths[index].rename(target)
    (series,) = the_series(tmp_path / "b")
    volume = load_volume(tmp_path / "b", series)
    assert np.array_equal(volume.array, expected.array)
    assert volume.geometry.matches(expected.geometry)
    assert [source.sop_instance_uid for source in volume.sources] == [
        source.sop_instance_uid for source in expected.sources
    ]


def test_a_localizer_inside_a_series_is_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    copy_as(
        paths[0],
        tmp_path / "scout",
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"],
    )
    series = {item.is_usable: item for item in the_series(tmp_path)}
    assert errors(series[False]) == {IssueCode.SERIES_LOCALIZER}
    assert series[True].series_uid == uid_from("test", "series")
    assert series[True].shape == SHAPE
    assert series[False].source_uid == uid_from("test", "series")


def test_two_acquisitions_at_the_same_positions_are_two_series(tmp_path: Path) -> None:
    paths = write_ball(tmp_path, is_oblique=True)
    for path in paths:
        copy_as(path, path.with_name(f"second-{path.name}"), AcquisitionNumber=2)
    first, second = the_series(tmp_path)
    assert first.is_usable
    assert second.is_usable
    assert first.shape == second.shape == SHAPE
    assert {first.part, second.part} == {"acquisition 1", "acquisition 2"}
    assert len({first.series_uid, second.series_uid, uid_from("test", "series")}) == 3


def test_echoes_and_phase_images_at_the_same_positions_are_told_apart(tmp_path: Path) -> None:
    for path in write_ball(tmp_path, modality="MR"):
        copy_as(path, path.with_name(f"e2-{path.name}"), EchoTime="30")
        kind = ["ORIGINAL", "PRIMARY", "P", "SE"]
        copy_as(path, path.with_name(f"p1-{path.name}"), ImageType=kind)
        copy_as(path, path.with_name(f"p2-{path.name}"), ImageType=kind, EchoTime="30")
    series = the_series(tmp_path)
    assert [item.shape for item in series] == [SHAPE] * 4
    assert sorted(item.component for item in series) == ["magnitude"] * 2 + ["phase"] * 2
    assert {"12", "30"} == {item.part.split()[-1] for item in series}


def test_a_trait_that_differs_from_slice_to_slice_divides_nothing(tmp_path: Path) -> None:
    for number, path in enumerate(write_ball(tmp_path, modality="MR")):
        put(path, TriggerTime=str(number))
        copy_as(path, path.with_name(f"2-{path.name}"), TriggerTime=str(number + 100))
    (series,) = the_series(tmp_path)
    assert errors(series) == {IssueCode.SERIES_AMBIGUOUS}


def test_packages_of_an_interleaved_scan_are_no_volumes(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    for number, path in enumerate(paths):
        put(path, AcquisitionNumber=number % 2 + 1)
    copy_as(paths[5], tmp_path / "again", AcquisitionNumber=1)
    (series,) = the_series(tmp_path)
    assert errors(series) == {IssueCode.SERIES_AMBIGUOUS}


def test_two_orientations_in_one_series_are_two_volumes_with_a_warning(tmp_path: Path) -> None:
    write_ball(tmp_path / "a", "axial")
    paths = write_ball(tmp_path / "b", "sagittal")
    for path in paths:
        copy_as(path, path)
    series = the_series(tmp_path)
    assert [item.shape for item in series] == [SHAPE] * 2
    assert all(IssueCode.GEOMETRY_MIXED in {i.code for i in item.issues} for item in series)


def test_small_jitter_is_read_with_a_warning(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    move(paths[5], [0.0, 0.0, 0.05])
    (series,) = the_series(tmp_path)
    assert [(i.code, i.severity) for i in series.issues] == [
        (IssueCode.GEOMETRY_IRREGULAR, Severity.WARNING)
    ]
    assert load_volume(tmp_path, series).geometry.shape == SHAPE


def test_jitter_within_a_hundredth_of_a_millimetre_is_no_issue(tmp_path: Path) -> None:
    paths = write_ball(tmp_path)
    move(paths[5], [0.0, 0.0, 0.005])
    assert the_series(tmp_path)[0].issues == ()

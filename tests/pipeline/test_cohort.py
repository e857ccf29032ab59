"""A study of several named series becomes one Case, and one image on one grid."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.assess import is_readable
from pipeline.case import Case as PatientCase
from pipeline.cohort import open_cohort, read_case, stated_body_parts
from pipeline.geometry import Geometry
from pipeline.inputs import main_volume, read_image
from pipeline.inspect.gather import inspect_studies
from pipeline.phantom.dicom import write_series
from schemas.issue import Issue, IssueCode, Severity
from schemas.protocol import Protocol
from schemas.series_rule import SeriesRule
from tests.factories import header
from tests.series_factory.slices import Case, field, moved, normal_of, put, save

OTHER_FRAME = "1.2.3.4"


@pytest.fixture
def two_series(tiny_protocol: Protocol) -> Protocol:
    rules = [
        {"name": "ax", "modality": "MR", "min_slices": 4, "orientation": "axial"},
        {"name": "sag", "modality": "MR", "min_slices": 4, "orientation": "sagittal"},
    ]
    grid = {"spacing_mm": [1, 1, 1], "size": [16, 16, 16]}
    intensity = {"kind": "window", "low": -500, "high": 500}
    changes = {"series": rules, "grid": grid, "intensity": intensity}
    return Protocol.model_validate(tiny_protocol.model_dump() | changes)


def write(folder: Path, orientation: str, uid: str, **values: object) -> None:
    slices = Case(orientation, "MR").slices()
    for one in slices:
        put(one, SeriesInstanceUID=uid, SOPInstanceUID=f"{uid}.{one.InstanceNumber}", **values)
    save(slices, folder / orientation)


def the_case(folder: Path, protocol: Protocol) -> PatientCase:
    cohort = open_cohort(folder, protocol)
    (study,) = cohort.inventory.studies
    return read_case(cohort, study)


def codes(case: PatientCase) -> dict[IssueCode, Severity]:
    return {issue.code: issue.severity for issue in case.issues}


def test_two_series_share_one_grid_by_their_millimetres(
    tmp_path: Path, two_series: Protocol
) -> None:
    write(tmp_path, "sagittal", "1.2.9")
    write(tmp_path, "axial", "1.2.8")
    case = the_case(tmp_path, two_series)
    assert list(case.volumes) == ["ax", "sag"]
    assert IssueCode.FRAMES_DIFFER not in codes(case)
    image = read_image(case, two_series)
    assert image is not None
    assert image.voxels.shape == image.scanned.shape == (2, 16, 16, 16)
    assert np.allclose(image.grid.centre_mm, case.volumes["ax"].geometry.centre_mm)
    index = np.stack(np.indices((16, 16, 16)), axis=-1)
    truth = field(image.grid.to_mm(index)) / 500.0
    for number in (0, 1):
        inside = image.scanned[number].numpy()
        off = np.abs(image.voxels[number].numpy() - truth)[inside]
        # A half voxel at the edge is held constant: up to 1.25 mm of 5 per mm, of 500.
        assert np.median(off) < 1e-3
        assert off.max() < 0.03


def test_a_study_without_one_of_two_series_is_read_with_the_other(
    tmp_path: Path, two_series: Protocol
) -> None:
    write(tmp_path, "sagittal", "1.2.9")
    case = the_case(tmp_path, two_series)
    assert codes(case)[IssueCode.SERIES_MISSING] is Severity.WARNING
    assert main_volume(case, two_series) is case.volumes["sag"]
    image = read_image(case, two_series)
    assert image is not None
    assert not image.scanned[0].any()
    assert image.scanned[1].any()


def test_series_of_two_frames_of_reference_are_a_doubt(
    tmp_path: Path, two_series: Protocol
) -> None:
    write(tmp_path, "sagittal", "1.2.9", FrameOfReferenceUID=OTHER_FRAME)
    write(tmp_path, "axial", "1.2.8")
    assert codes(the_case(tmp_path, two_series))[IssueCode.FRAMES_DIFFER] is Severity.WARNING


def test_a_protocol_may_bridge_a_missing_slice_and_the_case_says_so(
    tmp_path: Path, two_series: Protocol
) -> None:
    slices = Case("axial", "MR").slices()
    del slices[4]
    save(slices, tmp_path)
    strict = the_case(tmp_path, two_series)
    assert strict.volumes == {}
    assert IssueCode.SERIES_MISSING in codes(strict)
    rules = tuple(
        rule.model_copy(update={"irregular": "resample", "largest_gap_mm": 5.1})
        for rule in two_series.series
    )
    case = the_case(tmp_path, two_series.model_copy(update={"series": rules}))
    assert case.volumes["ax"].array.shape[0] == 9
    assert codes(case)[IssueCode.GEOMETRY_IRREGULAR] is Severity.WARNING
    (use,) = case.series
    assert use.name == "ax"
    assert use.shape == (9, 10, 14)
    assert "interpolated, since the protocol allows gaps" in use.issues[0].message


def test_a_study_is_readable_if_a_rule_admits_the_one_series_that_ingest_refused(
    tmp_path: Path, two_series: Protocol
) -> None:
    slices = Case("axial", "MR").slices()
    del slices[4]
    save(slices, tmp_path)
    rules = tuple(
        rule.model_copy(update={"irregular": "resample", "largest_gap_mm": 5.1})
        for rule in two_series.series
    )
    lenient = two_series.model_copy(update={"series": rules})
    (study,) = open_cohort(tmp_path, lenient).inventory.studies
    assert not any(series.is_usable for series in study.series)
    assert is_readable(study, the_case(tmp_path, lenient))
    assert not is_readable(study, the_case(tmp_path, two_series))
    doubt = Issue(code=IssueCode.IDENTITY_CONFLICT, severity=Severity.ERROR, message="two people")
    refused = study.model_copy(update={"issues": (doubt,)})
    assert not is_readable(refused, the_case(tmp_path, lenient))


def test_a_tilted_scan_is_read_and_the_case_says_so(tmp_path: Path, two_series: Protocol) -> None:
    slices = Case("axial", "MR").slices()
    for index, one in enumerate(slices):
        moved(one, 0.8 * index * np.cross(normal_of(one), [1.0, 0.0, 0.0]))
    save(slices, tmp_path)
    case = the_case(tmp_path, two_series)
    assert codes(case)[IssueCode.GEOMETRY_TILTED] is Severity.WARNING
    image = read_image(case, two_series)
    assert image is not None
    index = np.stack(np.indices((16, 16, 16)), axis=-1)
    truth = field(image.grid.to_mm(index)) / 500.0
    inside = image.scanned[0].numpy()
    assert inside.any()
    assert np.median(np.abs(image.voxels[0].numpy() - truth)[inside]) < 1e-3


def write_trunk(folder: Path, uid: str, n_slices: int, lung_hu: float) -> None:
    """Write a CT of a square body, 25 % of it at ``lung_hu``, in air; headers do not name lungs."""
    array = np.full((n_slices, 64, 64), -1000.0, np.float32)
    array[:, 8:56, 8:56] = 50.0
    array[:, 20:44, 20:44] = lung_hu
    affine = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    write_series(folder, array, Geometry(affine, array.shape), header("CT", series_uid=uid))


def test_an_inspection_chooses_the_series_that_an_assessment_reads(
    tmp_path: Path, two_series: Protocol
) -> None:
    write_trunk(tmp_path / "a", "1.2.8", 8, lung_hu=-850.0)
    write_trunk(tmp_path / "b", "1.2.9", 12, lung_hu=50.0)
    rule = SeriesRule(name="chest", modality="CT", min_slices=4, lungs="with")
    cohort = open_cohort(tmp_path, two_series.model_copy(update={"series": (rule,)}))
    (study,) = cohort.inventory.studies
    case = read_case(cohort, study)
    assert case.volumes["chest"].series_uid == "1.2.8"  # by size alone it would be the other
    (inspected,) = inspect_studies(cohort)
    assert inspected.uses == case.series
    assert inspected.issues == case.issues


def test_an_inspection_says_that_series_have_two_frames_of_reference(
    tmp_path: Path, two_series: Protocol
) -> None:
    write(tmp_path, "sagittal", "1.2.9", FrameOfReferenceUID=OTHER_FRAME)
    write(tmp_path, "axial", "1.2.8")
    (inspected,) = inspect_studies(open_cohort(tmp_path, two_series))
    assert IssueCode.FRAMES_DIFFER in {issue.code for issue in inspected.issues}


@pytest.mark.parametrize("fault", ["gone", "cut short", "led out"])
def test_what_a_case_says_of_a_file_does_not_hold_its_path(
    tmp_path: Path, two_series: Protocol, fault: str
) -> None:
    folder = tmp_path / "cohort" / "NOBODY^AT^ALL"
    save(Case("axial", "MR").slices(), folder)
    cohort = open_cohort(tmp_path / "cohort", two_series)
    (study,) = cohort.inventory.studies
    path = sorted(folder.iterdir())[4]
    content = path.read_bytes()
    path.unlink()
    if fault == "cut short":
        path.write_bytes(content[:-40])
    elif fault == "led out":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    case = read_case(cohort, study)
    assert case.volumes == {}
    (message,) = [one.message for one in case.issues if "could not be loaded" in one.message]
    assert message.startswith("series ax could not be loaded: file 5 of 9 of the series")
    assert not any("NOBODY" in one.message or path.name in one.message for one in case.issues)


@pytest.mark.parametrize(
    ("written", "stated"),
    [
        (" head ", ("HEAD",)),
        ("", ()),
        ("<b>neck</b> and   much more", ("<B>NECK</B> AND",)),
    ],
)
def test_the_body_part_is_that_of_the_chosen_series_as_one_short_word(
    tmp_path: Path, two_series: Protocol, written: str, stated: tuple[str, ...]
) -> None:
    write(tmp_path, "axial", "1.2.8")
    write(tmp_path, "coronal", "1.2.7")
    cohort = open_cohort(tmp_path, two_series)
    (study,) = cohort.inventory.studies
    case = read_case(cohort, study)
    assert list(case.volumes) == ["ax"]
    parts = {"1.2.8": written, "1.2.7": "CHEST"}
    series = tuple(
        one.model_copy(update={"body_part": parts[one.series_uid]}) for one in study.series
    )
    assert stated_body_parts(study.model_copy(update={"series": series}), case) == stated

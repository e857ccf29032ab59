"""Every defect of a series has its code, and no voxel is ever said to lie where it does not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import IngestError
from pipeline.geometry import Geometry
from pipeline.ingest import discover, load_volume
from schemas.issue import IssueCode, Severity
from tests.series_factory.defects import DEFECTS, Defect
from tests.series_factory.good import GOOD, Form, enhanced, plain
from tests.series_factory.slices import (
    ORIENTATIONS,
    SHAPE,
    Case,
    Modality,
    again,
    grid_of,
    moved,
    normal_of,
    put,
    save,
)
from tests.series_factory.trial import all_series, ingest, is_true

NAMES = list(ORIENTATIONS)


def check_defect(defect: Defect, orientation: str, folder: Path) -> None:
    slices = Case(orientation, defect.modality).slices()
    defect.change(slices)
    outcome = ingest(slices, folder)
    assert defect.code in outcome.codes
    assert sorted(outcome.n_slices) == sorted(defect.reads)
    assert outcome.n_misplaced == 0


def check_good(form: Form, orientation: str, modality: Modality, folder: Path) -> None:
    case = Case(orientation, modality)
    outcome = ingest(form(case.slices()), folder)
    assert outcome.codes == frozenset()
    (volume,) = outcome.volumes
    assert is_true(volume)
    truth = grid_of(case)
    placed = Geometry(volume.geometry.affine, SHAPE)
    assert placed.matches(Geometry(truth.affine, SHAPE), atol_mm=0.01)


@pytest.mark.parametrize(
    ("number", "defect"), list(enumerate(DEFECTS)), ids=[defect.name for defect in DEFECTS]
)
def test_a_defect_is_named_and_nothing_is_misplaced(
    tmp_path: Path, number: int, defect: Defect
) -> None:
    for turn in (0, 4):
        orientation = NAMES[(number + turn) % len(NAMES)]
        check_defect(defect, orientation, tmp_path / orientation)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", NAMES)
@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.name for defect in DEFECTS])
def test_a_defect_is_named_in_every_orientation(
    tmp_path: Path, defect: Defect, orientation: str
) -> None:
    check_defect(defect, orientation, tmp_path)


@pytest.mark.parametrize("orientation", NAMES)
@pytest.mark.parametrize("form", GOOD, ids=lambda form: form.__name__)
def test_a_good_series_raises_no_issue_and_lies_where_it_is(
    tmp_path: Path, form: Form, orientation: str
) -> None:
    modality: Modality = "CT" if (GOOD.index(form) + NAMES.index(orientation)) % 2 else "MR"
    check_good(form, orientation, modality, tmp_path)


def test_names_and_order_of_files_do_not_matter(tmp_path: Path) -> None:
    volumes = [
        ingest(plain(Case("oblique").slices()), tmp_path / str(seed), seed=seed).volumes[0]
        for seed in range(3)
    ]
    for other in volumes[1:]:
        assert np.array_equal(volumes[0].array, other.array)
        assert volumes[0].geometry.matches(other.geometry)
        uids = [[source.sop_instance_uid for source in one.sources] for one in (volumes[0], other)]
        assert uids[0] == uids[1]


def test_a_refused_series_cannot_be_loaded(tmp_path: Path) -> None:
    slices = Case("axial").slices()
    save([*slices[:4], *slices[5:]], tmp_path)
    (series,) = all_series(discover(tmp_path))
    with pytest.raises(IngestError, match="refused"):
        load_volume(tmp_path, series)


def test_the_only_volume_of_a_series_keeps_its_uid_and_parts_get_their_own(tmp_path: Path) -> None:
    slices = Case("axial").slices()
    uid = slices[0].SeriesInstanceUID
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save([*slices, again(slices[0], "scout", ImageType=kind)], tmp_path / "a")
    series = {item.is_usable: item for item in all_series(discover(tmp_path / "a"))}
    assert series[True].series_uid == uid
    assert series[False].series_uid != uid
    assert series[False].source_uid == uid
    twice = [*slices, *(again(one, "second", AcquisitionNumber=2) for one in slices)]
    save(twice, tmp_path / "b")
    first, second = all_series(discover(tmp_path / "b"))
    assert {first.part, second.part} == {"acquisition 1", "acquisition 2"}
    assert {first.traits, second.traits} == {(("acquisition", n),) for n in "12"}
    assert len({first.series_uid, second.series_uid, uid}) == 3


def test_echo_and_phase_divide_a_series_in_four(tmp_path: Path) -> None:
    slices = Case("coronal", "MR").slices()
    phase = ["ORIGINAL", "PRIMARY", "P"]
    save(
        [
            *slices,
            *(again(one, "e2", EchoTime="30") for one in slices),
            *(again(one, "p1", ImageType=phase) for one in slices),
            *(again(one, "p2", ImageType=phase, EchoTime="30") for one in slices),
        ],
        tmp_path,
    )
    series = all_series(discover(tmp_path))
    assert [item.shape for item in series] == [SHAPE] * 4
    assert sorted(item.component for item in series) == ["magnitude"] * 2 + ["phase"] * 2
    assert {dict(item.traits)["echo time"] for item in series} == {"12", "30"}


def test_jitter_is_silent_to_a_hundredth_and_a_warning_to_a_tenth_of_a_millimetre(
    tmp_path: Path,
) -> None:
    found = []
    for number, by_mm in enumerate((0.005, 0.05, 0.2)):
        slices = Case("sagittal").slices()
        moved(slices[4], by_mm * normal_of(slices[4]))
        save(slices, tmp_path / str(number))
        (series,) = all_series(discover(tmp_path / str(number)))
        found.append([(issue.code, issue.severity) for issue in series.issues])
    assert found == [
        [],
        [(IssueCode.GEOMETRY_IRREGULAR, Severity.WARNING)],
        [(IssueCode.GEOMETRY_IRREGULAR, Severity.ERROR)],
    ]


def test_a_tilted_stack_names_the_slice_that_each_of_its_slices_shows(tmp_path: Path) -> None:
    slices = Case("axial").slices()
    for index, one in enumerate(slices):
        moved(one, [0.0, 0.7 * index, 0.0])
    (volume,) = ingest(slices, tmp_path).volumes
    # 8 steps of 0.7 mm are 4.48 rows of 1.25 mm.
    assert volume.array.shape == (9, 10 + 5, 14)
    assert [source.sop_instance_uid for source in volume.sources] == [
        one.SOPInstanceUID for one in slices
    ]
    axes = volume.geometry.affine[:3, :3] / np.array(volume.geometry.spacing_mm)
    assert np.abs(axes.T @ axes - np.eye(3)).max() < 1e-6


def test_a_series_that_mixes_patients_does_not_spoil_the_others_of_its_study(
    tmp_path: Path,
) -> None:
    sound, mixed = Case("axial").slices(), Case("coronal").slices()
    for one in mixed:
        put(one, SeriesInstanceUID="1.2.3", SOPInstanceUID=one.SOPInstanceUID + "1")
    put(mixed[4], PatientID="P2")
    save(sound, tmp_path / "sound")
    save(mixed, tmp_path / "mixed")
    (study,) = discover(tmp_path).studies
    assert study.patient_id == "P1"
    assert [(issue.code, issue.severity) for issue in study.issues] == [
        (IssueCode.IDENTITY_CONFLICT, Severity.WARNING)
    ]
    assert {series.series_uid: series.is_usable for series in study.series} == {
        "1.2.3": False,
        sound[0].SeriesInstanceUID: True,
    }


def test_an_enhanced_file_of_two_stacks_is_two_volumes(tmp_path: Path) -> None:
    """Frames of two planes in one file, as a multi-stack spine scan has them."""
    first = enhanced(Case("axial").slices())[0]
    second = enhanced(Case("sagittal").slices())[0]
    for one in (first, second):
        shared = one.SharedFunctionalGroupsSequence[0]
        for groups in one.PerFrameFunctionalGroupsSequence:
            groups.PlaneOrientationSequence = shared.PlaneOrientationSequence
    groups = [*first.PerFrameFunctionalGroupsSequence, *second.PerFrameFunctionalGroupsSequence]
    del first.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    first.PerFrameFunctionalGroupsSequence = groups
    first.NumberOfFrames = len(groups)
    first.PixelData = first.PixelData + second.PixelData
    outcome = ingest([first], tmp_path)
    assert outcome.n_slices == (9, 9)
    assert outcome.n_misplaced == 0
    assert outcome.codes == {IssueCode.SERIES_SPLIT, IssueCode.GEOMETRY_MIXED}

"""Real scanner files and what is known of them; see SOURCES.md beside the files."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipeline.geometry import LPS_TO_RAS
from pipeline.ingest import discover, load_volume
from pipeline.ingest.admit import admitted
from pipeline.volume import Volume
from schemas.issue import IssueCode, Severity
from schemas.series import Inventory, Series
from schemas.series_rule import SeriesRule

SHARED = next(
    (
        parent / "shared" / "dicom"
        for parent in Path(__file__).parents
        if (parent / "shared" / "dicom").is_dir()
    ),
    None,
)
pytestmark = pytest.mark.skipif(
    SHARED is None, reason="the real scanner files (shared/dicom) are not beside the repository"
)


def folder(name: str) -> Path:
    assert SHARED is not None
    return SHARED / name


@cache
def found(name: str) -> Inventory:
    return discover(folder(name))


def all_series(name: str) -> list[Series]:
    return [series for study in found(name).studies for series in study.series]


def truths(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder(name) / "truth.json").read_text())
    return entries


def ras_column_row_slice(volume: Volume) -> NDArray[np.float64]:
    affine: NDArray[np.float64] = (LPS_TO_RAS @ volume.geometry.affine)[:, [2, 1, 0, 3]]
    return affine


def assert_same_corners(volume: Volume, affine: NDArray[np.float64]) -> None:
    """Compare where both affines put the eight corners, within 0.01 mm."""
    sizes = volume.array.shape[::-1]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in sizes], [1])).reshape(4, -1)
    moved = (ras_column_row_slice(volume) - affine) @ corners
    assert np.linalg.norm(moved[:3], axis=0).max() <= 0.01


def checksum(volume: Volume) -> str:
    return hashlib.sha256(np.round(volume.array, 2).astype("<f4").tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "dicom", "number"),
    [
        ("ct_body_totalseg", "ct_body_totalseg/dicom", 0),
        ("mr_siemens_t1_sag", "mr_siemens_t1_sag/dicom", 0),
        ("mr_philips_classic_vs_enhanced", "mr_philips_classic_vs_enhanced/In/cl", 0),
        ("mr_philips_classic_vs_enhanced", "mr_philips_classic_vs_enhanced/In/enh", 2),
    ],
)
def test_a_regular_series_equals_its_truth(name: str, dicom: str, number: int) -> None:
    expected = truths(name)[number]
    uid = expected["series_uid"]
    (series,) = [item for item in all_series(dicom) if not uid or item.series_uid == uid]
    volume = load_volume(folder(dicom), series)
    assert_same_corners(volume, np.array(expected["true_affine_ras_col_row_slice"]))
    origins = np.array(expected["slice_origins_ras"])
    placed = volume.geometry.to_mm([(i, 0, 0) for i in range(len(origins))]) * [-1, -1, 1]
    assert np.abs(placed - origins).max() <= 0.01
    if "values" in expected:
        assert checksum(volume) == expected["values"]["sha256_f4_round2_slices_row_major"]


def test_a_series_without_uids_gets_stable_ones() -> None:
    (study,) = found("ct_body_totalseg/dicom").studies
    assert study.study_uid.startswith("2.25.")
    assert study.series[0].series_uid.startswith("2.25.")
    assert {issue.code for issue in study.issues} == {
        IssueCode.UID_MISSING,
        IssueCode.PATIENT_UNKNOWN,
    }


def test_classic_and_enhanced_files_of_one_scan_are_the_same_voxels() -> None:
    classic, enhanced = (
        [
            load_volume(folder(f"mr_philips_classic_vs_enhanced/In/{form}"), series)
            for series in all_series(f"mr_philips_classic_vs_enhanced/In/{form}")
        ]
        for form in ("cl", "enh")
    )
    assert len(classic) == len(enhanced) == 5
    by_values = {checksum(volume): volume for volume in enhanced}
    assert len(by_values) == 5
    for volume in classic:
        twin = by_values[checksum(volume)]
        assert np.array_equal(volume.array, twin.array)
        assert volume.geometry.matches(twin.geometry)


def test_the_raw_data_object_is_listed_as_no_image() -> None:
    skipped = found("mr_philips_classic_vs_enhanced/In/enh").skipped
    assert [item.issue.code for item in skipped] == [IssueCode.FILE_NOT_IMAGE]


def as_canonical(array: NDArray[Any], affine: NDArray[np.float64]) -> nibabel.Nifti1Image:
    return nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine))


def test_a_mosaic_is_the_same_volume_in_nine_transfer_syntaxes() -> None:
    dicom = folder("mr_transfer_syntaxes/In")
    series = all_series("mr_transfer_syntaxes/In")
    assert len(series) == 9
    for item in series:
        volume = load_volume(dicom, item)
        assert volume.array.shape == (35, 64, 64)
        name = Path(item.frames[0].file).stem
        reference = nibabel.load(folder(f"mr_transfer_syntaxes/Ref/{name}.nii"))
        theirs = as_canonical(np.asarray(reference.dataobj, np.float32), reference.affine)
        ours = as_canonical(volume.array.transpose(2, 1, 0), ras_column_row_slice(volume))
        assert np.abs(ours.affine - theirs.affine).max() < 1e-3
        assert np.array_equal(ours.dataobj, theirs.dataobj)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"dTra    = -73.91709953", b"dTra    = -73.93709953", id="first-slice-moved"),
        pytest.param(b"-28.25726752", b"-38.25726752", id="stack-bent"),
        pytest.param(b"### ASCCONV BEGIN", b"### ASCCONV START", id="no-protocol"),
        pytest.param(b"SliceNormalVector", b"SliceNormalVectoX", id="no-normal"),
    ],
)
def test_a_mosaic_whose_header_contradicts_itself_is_refused(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    content = (folder("mr_transfer_syntaxes/In") / "1.dcm").read_bytes()
    assert before in content
    (tmp_path / "mosaic").write_bytes(content.replace(before, after))
    (series,) = discover(tmp_path).studies[0].series
    assert errors(series) == {IssueCode.SERIES_UNREADABLE}


@pytest.mark.parametrize("name", ["e1", "e2", "e1_ph", "e2_ph"])
def test_echo_and_phase_are_those_of_the_reference(name: str) -> None:
    """dcm2niix gives the same images in Philips' private units and radians: a linear change."""
    dicom = "mr_philips_classic_vs_enhanced/In/cl"
    echo = {"e1": "2.3", "e2": "4.6"}[name[:2]]
    component = "phase" if name.endswith("_ph") else "magnitude"
    (series,) = [
        item
        for item in all_series(dicom)
        if item.part.endswith(f"echo time {echo}") and item.component == component
    ]
    volume = load_volume(folder(dicom), series)
    ours = as_canonical(volume.array.transpose(2, 1, 0), ras_column_row_slice(volume))
    path = f"mr_philips_classic_vs_enhanced/Ref/2001_WIP_fcMRI_Field_Mapping_cl_{name}.nii.gz"
    theirs = nibabel.as_closest_canonical(nibabel.load(folder(path)))
    assert np.abs(ours.affine - theirs.affine).max() < 1e-3
    correlation = np.corrcoef(ours.get_fdata().ravel(), theirs.get_fdata().ravel())[0, 1]
    assert correlation > 1 - 1e-9


def errors(series: Series) -> set[IssueCode]:
    return {issue.code for issue in series.issues if issue.severity is Severity.ERROR}


@pytest.mark.parametrize(
    ("dicom", "codes"),
    [
        ("ct_head_tilt_philips/dicom_localizer", [{IssueCode.SERIES_LOCALIZER}]),
        ("ct_head_tilt_philips/dicom_secondary_capture", [{IssueCode.SERIES_DERIVED}]),
        ("dicom2nifti_edge_cases/failing/sliceincrement/001", [{IssueCode.GEOMETRY_IRREGULAR}]),
        ("dicom2nifti_edge_cases/failing/sliceincrement/002", [{IssueCode.GEOMETRY_IRREGULAR}]),
        (
            "dicom2nifti_edge_cases/failing/sliceorientation/001",
            [{IssueCode.SERIES_TOO_SHORT}, {IssueCode.SERIES_TOO_SHORT}],
        ),
    ],
)
def test_a_series_that_is_no_regular_volume_is_refused_with_its_code(
    dicom: str, codes: list[set[IssueCode]]
) -> None:
    series = all_series(dicom)
    assert [errors(item) for item in series] == codes
    assert not any(item.is_usable for item in series)


def test_two_orientations_in_one_series_are_named() -> None:
    for item in all_series("dicom2nifti_edge_cases/failing/sliceorientation/001"):
        assert IssueCode.GEOMETRY_MIXED in {issue.code for issue in item.issues}


TILTED = "ct_head_tilt_philips/dicom_tilt"


def scanned_slices(dicom: str) -> NDArray[np.float64]:
    """Decode with pydicom alone, in the order of the positions' z."""
    slices = sorted(
        (pydicom.dcmread(path) for path in folder(dicom).iterdir()),
        key=lambda one: float(one.ImagePositionPatient[2]),
    )
    return np.stack(
        [one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices]
    ).astype(float)


def tilted_truth() -> NDArray[np.float64]:
    (entry,) = [one for one in truths("ct_head_tilt_philips") if one["dir"] == "dicom_tilt"]
    return np.array(entry["true_affine_ras_col_row_slice"])


def voxels_mm(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Every voxel's place, shape (voxels, 3), in the affine's own frame."""
    index = np.stack(np.indices(shape), axis=-1).reshape(-1, 3)
    return index @ affine[:3, :3].T + affine[:3, 3]


def test_a_tilted_head_is_resampled_to_where_the_sheared_truth_puts_every_voxel() -> None:
    (series,) = all_series(TILTED)
    assert [(issue.code, issue.severity) for issue in series.issues] == [
        (IssueCode.GEOMETRY_TILTED, Severity.WARNING)
    ]
    assert "16.50 degrees" in series.issues[0].message
    volume = load_volume(folder(TILTED), series)
    axes = volume.geometry.affine[:3, :3] / np.array(volume.geometry.spacing_mm)
    assert np.abs(axes.T @ axes - np.eye(3)).max() < 1e-6
    assert volume.geometry.spacing_mm[0] == pytest.approx(2.5 * np.cos(np.radians(16.5)), abs=1e-4)
    place = voxels_mm(volume.geometry.affine, volume.array.shape) * [-1, -1, 1]
    source = (place - tilted_truth()[:3, 3]) @ np.linalg.inv(tilted_truth()[:3, :3]).T
    source = source[:, ::-1]
    size = np.array(volume.scanned_grid.shape)
    inside = ((source >= -1e-3) & (source <= size - 1 + 1e-3)).all(axis=1)
    expected = map_coordinates(scanned_slices(TILTED), source[inside].T, order=1, mode="nearest")
    # The truth file's five decimals move the last of 512 voxels by 0.003 mm.
    assert np.abs(volume.array.reshape(-1)[inside] - expected).max() < 1.0
    outside = ((source < -0.51) | (source > size - 0.49)).any(axis=1)
    assert (volume.array.reshape(-1)[outside] == -1024).all()
    assert 0.02 < outside.mean() < 0.04  # 19.3 of 532 rows, since 11 steps travel 7.8 mm


def test_a_tilted_head_agrees_with_an_independent_reader() -> None:
    volume = load_volume(folder(TILTED), all_series(TILTED)[0])
    path = "ct_head_tilt_philips/Ref_made/tilt_resampled_dicom2nifti.nii.gz"
    theirs = nibabel.load(folder(path))
    values = np.asarray(theirs.dataobj, float)
    values, affine = values[..., 1:11], theirs.affine.copy()  # its first and last slice are empty
    affine[:3, 3] += affine[:3, 2]
    place = voxels_mm(affine, values.shape) * [-1, -1, 1]
    inside = np.ones(len(place), bool)
    for grid in (volume.geometry, volume.scanned_grid):
        index = grid.to_index(place)
        inside &= ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(axis=1)
    assert inside.mean() > 0.9
    ours = map_coordinates(volume.array, volume.geometry.to_index(place[inside]).T, order=1)
    off = ours - values.reshape(-1)[inside]
    # Both interpolate, ours within slices, theirs also between them.
    assert abs(off.mean()) < 0.1
    assert np.median(np.abs(off)) < 1.0


def test_a_gap_is_bridged_only_where_the_protocol_allows_its_size() -> None:
    (series,) = all_series("dicom2nifti_edge_cases/failing/sliceincrement/002")
    assert {issue.code for issue in series.issues} == {
        IssueCode.GEOMETRY_TILTED,
        IssueCode.GEOMETRY_IRREGULAR,
    }
    rule = SeriesRule(name="ct", modality="CT", irregular="resample", largest_gap_mm=1.4)
    assert not admitted(series, rule).is_usable
    wide = rule.model_copy(update={"largest_gap_mm": 1.6})
    allowed = admitted(series, wide)
    assert allowed.is_usable
    volume = load_volume(folder("dicom2nifti_edge_cases/failing/sliceincrement/002"), allowed)
    # Gaps of 0.75, 0.75 and 1.5 mm: five slices, the fourth a mixture of its neighbours.
    assert volume.array.shape[0] == 5
    assert volume.geometry.spacing_mm[0] == pytest.approx(0.75, abs=0.005)
    assert np.array_equal(
        [source.sop_instance_uid for source in volume.sources[:3]],
        [source.sop_instance_uid for source in series.frames[:3]],
    )


@pytest.mark.parametrize("name", ["ct_body_totalseg", "mr_siemens_t1_sag"])
def test_a_regular_series_is_the_volume_that_dcm2niix_makes(name: str) -> None:
    (reference,) = [
        path for path in (folder(name) / "Ref_made").glob("*.nii.gz") if "dcm2niix" in path.name
    ]
    (series,) = all_series(f"{name}/dicom")
    volume = load_volume(folder(f"{name}/dicom"), series)
    ours = as_canonical(volume.array.transpose(2, 1, 0), ras_column_row_slice(volume))
    theirs = nibabel.as_closest_canonical(nibabel.load(reference))
    assert np.abs(ours.affine - theirs.affine).max() < 1e-3
    assert np.array_equal(ours.get_fdata(), theirs.get_fdata())

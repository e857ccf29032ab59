"""A simulated cohort on disk, in the form that every other command reads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pipeline.errors import UsageError
from pipeline.files import whole_folder, write_text
from pipeline.nifti import save_nifti
from pipeline.phantom.brain_world import BRAIN_MR
from pipeline.phantom.case import PhantomCase, draw_case
from pipeline.phantom.chest_world import CHEST_CT
from pipeline.phantom.dicom import SeriesHeader, uid_from, write_series
from pipeline.phantom.tables import CaseRecord, case_record, write_tables
from pipeline.phantom.truth import cohort_limits, limits_table
from pipeline.phantom.world import World

WorldName = Literal["brain_mr", "chest_ct"]
WORLDS: Mapping[str, World] = {world.name: world for world in (BRAIN_MR, CHEST_CT)}

_README = """\
# A simulated cohort: {name}

Every image, value, note and outcome in this folder was made by a program. Nothing here is about a
real person, and nothing learned from it says anything about real patients.

Made by `synopt phantom OUT --world {name} --cases {n_cases} --seed {seed}`; the same command makes
the same bytes.

| file | holds |
| --- | --- |
| dicom/ | one {modality} series for each study |
| tabular.csv | dated values; some are dated after the scan and must not be read |
| notes.csv | dated notes; the same |
| labels.csv | outcomes; empty = unknown |
| annotations/ | where the {finding} is, on the scanner's own grid, for studies that have one |
| truth.csv | true probabilities, and the facts behind them; not for training |

{anatomy}

## What can be known

Expected scores of the true probabilities; no model can do better on average.

{limits}
"""
_ANATOMY = {
    "brain_mr": "The heads are random deformations of the MNI152 template (ICBM 2009a, as packaged "
    "by nilearn),\nwith simulated skull, scalp, vessels and lesions.",
    "chest_ct": "The chests are drawn from formulas.",
}


def write_cohort(
    out: Path,
    *,
    world: WorldName,
    n_cases: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a simulated cohort: DICOM, table, notes, labels, masks, and the truth beside them.

    Parameters
    ----------
    out
        The cohort folder; appears only once it is complete.
    world
        Which kind of patient.
    n_cases
        Patients, with one study each.
    seed
        The same seed gives the same bytes; a larger cohort begins with the smaller one's cases.
    on_progress
        Called after each case with the number done and the number in all.

    Raises
    ------
    UsageError
        If the world is unknown, a number is out of range, or the folder cannot be written.
    """
    if world not in WORLDS:
        msg = f"there is no world {world!r}: choose {' or '.join(WORLDS)}"
        raise UsageError(msg)
    if not (n_cases >= 1 and seed >= 0):
        msg = f"cases must be at least 1 and the seed at least 0, got {n_cases} and {seed}"
        raise UsageError(msg)
    with whole_folder(out) as folder:
        written: list[CaseRecord] = []
        for index in range(n_cases):
            case = draw_case(WORLDS[world], seed, index)
            _write_images(folder, WORLDS[world], case)
            written.append(case_record(WORLDS[world], case))
            if on_progress is not None:
                on_progress(index + 1, n_cases)
        write_tables(folder, WORLDS[world], written)
        _write_readme(folder, WORLDS[world], n_cases=n_cases, seed=seed)


def _write_images(folder: Path, world: World, case: PhantomCase) -> None:
    patient, scan = case.patient, case.scan
    header = SeriesHeader(
        patient_id=patient.patient_id,
        patient_sex=patient.sex,
        patient_birth_date=patient.birth_date,
        study_uid=patient.study_uid,
        series_uid=uid_from(patient.study_uid, "series", 1),
        frame_of_reference_uid=scan.geometry.frame_of_reference_uid,
        modality=world.modality,
        acquired_at=patient.scanned_at,
        description=world.description,
        study_description="Simulated",
        body_part=world.body_part,
        manufacturer=patient.site.manufacturer,
        model_name=patient.site.model_name,
        station_name=patient.site.name,
    )
    series = folder / "dicom" / patient.patient_id / f"{patient.scanned_at:%Y%m%d}"
    write_series(series, scan.array, scan.geometry, header)
    if scan.finding is not None:
        masks = folder / "annotations"
        masks.mkdir(exist_ok=True)
        name = f"{patient.study_uid}__{world.finding}.nii.gz"
        save_nifti(masks / name, scan.finding.mask, scan.geometry)


def _write_readme(folder: Path, world: World, *, n_cases: int, seed: int) -> None:
    text = _README.format(
        name=world.name,
        n_cases=n_cases,
        seed=seed,
        modality=world.modality,
        finding=world.finding,
        anatomy=_ANATOMY[world.name],
        limits=limits_table(cohort_limits(folder)),
    )
    write_text(folder / "README.md", text)

"""A simulated cohort on disk, in the form that every other command reads."""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import whole_folder, write_text
from pipeline.nifti import save_nifti
from pipeline.phantom.case import PhantomCase, draw_case, draw_localizer
from pipeline.phantom.dicom import SeriesHeader, uid_from, write_series
from pipeline.phantom.mixups import draw_mixups
from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.scan import Scan
from pipeline.phantom.tables import CaseRecord, case_record, write_tables
from pipeline.phantom.truth import cohort_limits, limits_table

_README = """\
# A simulated cohort: {name}

Every image, value, note and outcome in this folder was made by a program. Nothing here is about a
real person, and nothing learned from it says anything about real patients.

Made by `synopt phantom OUT {options}`; the same command makes the same bytes.

| file | holds |
| --- | --- |
| dicom/ | one {modality} series for each study; one study in ten holds a localizer alone |
| tabular.csv | dated values; some must not be read, see traps.csv |
| notes.csv | dated notes; the same |
| labels.csv | outcomes; empty = unknown |
| annotations/ | where the {finding} is, on the scanner's own grid, for scans that show one |
| truth.csv | true probabilities, and the facts behind them; not for training |
| traps.csv | how many records were planted for which reason, by patient |

{anatomy}

## What can be known

Expected scores of the true probabilities; no model can do better on average. A reader of *what is
recorded* knows what this folder holds and how such folders come to be, but not what is missing.

{limits}
"""


def write_cohort(
    out: Path,
    *,
    design: Design,
    n_cases: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a simulated cohort: DICOM, table, notes, labels, masks, and the truth beside them.

    Parameters
    ----------
    out
        The cohort folder; appears only once it is complete.
    design
        World, seed, strength of the interaction, generator family, size of the scans. The same
        design gives the same bytes; a larger cohort begins with the smaller one's cases.
    n_cases
        Patients, with one study each.
    on_progress
        Called after each case with the number done and the number in all.

    Raises
    ------
    UsageError
        If the number of cases is out of range, or the folder cannot be written.
    """
    if not n_cases >= 1:
        msg = f"cases must be at least 1, got {n_cases}"
        raise UsageError(msg)
    with whole_folder(out) as folder:
        written: list[CaseRecord] = []
        for index in range(n_cases):
            case = draw_case(design, index)
            _write_images(folder, design, index, case)
            others = draw_mixups(design, index, case.patient)
            written.append(case_record(design, case, others))
            if on_progress is not None:
                on_progress(index + 1, n_cases)
        write_tables(folder, design.world, written)
        _write_readme(folder, design, n_cases=n_cases)


def _write_images(folder: Path, design: Design, index: int, case: PhantomCase) -> None:
    """Write the scan and its mask, or a localizer where there is no scan."""
    patient, scan = case.patient, case.scan
    series = folder / "dicom" / patient.patient_id / f"{patient.scanned_at:%Y%m%d}"
    if scan is None:
        localizer = draw_localizer(design, index, patient)
        header = _header(design, patient, localizer, is_localizer=True)
        write_series(series, localizer.array, localizer.geometry, header)
        return
    write_series(series, scan.array, scan.geometry, _header(design, patient, scan))
    if scan.finding is not None:
        masks = folder / "annotations"
        masks.mkdir(exist_ok=True)
        name = f"{patient.study_uid}__{design.world.finding}.nii.gz"
        save_nifti(masks / name, scan.finding.mask, scan.geometry)


def _header(
    design: Design, patient: Patient, scan: Scan, *, is_localizer: bool = False
) -> SeriesHeader:
    world = design.world
    return SeriesHeader(
        patient_id=patient.patient_id,
        patient_sex=patient.sex,
        patient_birth_date=patient.birth_date,
        study_uid=patient.study_uid,
        series_uid=uid_from(patient.study_uid, "series", 1),
        frame_of_reference_uid=scan.geometry.frame_of_reference_uid,
        modality=world.modality,
        acquired_at=patient.scanned_at,
        description="Localizer" if is_localizer else world.description,
        study_description="Simulated",
        body_part=world.body_part,
        manufacturer=patient.site.manufacturer,
        model_name=patient.site.model_name,
        station_name=patient.site.name,
        is_localizer=is_localizer,
    )


def _write_readme(folder: Path, design: Design, *, n_cases: int) -> None:
    world = design.world
    text = _README.format(
        name=world.name,
        options=design.options(n_cases),
        modality=world.modality,
        finding=world.finding,
        anatomy=world.anatomy.source,
        limits=limits_table(cohort_limits(folder)),
    )
    write_text(folder / "README.md", text)

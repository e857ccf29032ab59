"""People whose records somebody may take for a patient's."""

from dataclasses import replace

import numpy as np

from pipeline.phantom.patient import Design, Patient, draw_patient
from pipeline.phantom.records import Records, draw_own
from pipeline.phantom.traps import Trap

LOOKALIKE_SHARE = 0.10
SHARED_ID_SHARE = 0.03
MIN_YEARS_APART = 12
_FIRST_STRANGER = 10_000_000


def draw_mixups(design: Design, index: int, patient: Patient) -> tuple[Records, ...]:
    """Draw the records of strangers with the same ID, or one that differs in case or zeros.

    Parameters
    ----------
    design
        Of the cohort.
    index
        Of the patient.
    patient
        Whose ID it is.

    Returns
    -------
    tuple of Records
        Mostly empty. All are dated before the patient's scan.
    """
    rng = design.stream(index, "mixups")
    draw = rng.random()
    if draw < SHARED_ID_SHARE:
        return (_records_of(rng, design, index, patient, Trap.SHARED_ID),)
    if draw < SHARED_ID_SHARE + LOOKALIKE_SHARE:
        return (_records_of(rng, design, index, patient, Trap.LOOKALIKE_ID),)
    return ()


def _records_of(
    rng: np.random.Generator, design: Design, index: int, patient: Patient, trap: Trap
) -> Records:
    """Draw a stranger with a table, who differs in sex and by years, and write records down."""
    number = _FIRST_STRANGER + index
    while not _differs(stranger := draw_patient(design, number), patient):
        number += _FIRST_STRANGER
    is_shared = trap is Trap.SHARED_ID
    name = patient.patient_id if is_shared else lookalike_id(rng, patient.patient_id)
    moved = replace(stranger, patient_id=name, scanned_at=patient.scanned_at)
    return draw_own(rng, design, moved).planted(trap)


def _differs(stranger: Patient, patient: Patient) -> bool:
    years = abs(stranger.birth_date.year - patient.birth_date.year)
    age = "age_years" in stranger.seen
    return age and stranger.sex != patient.sex and years >= MIN_YEARS_APART


def lookalike_id(rng: np.random.Generator, patient_id: str) -> str:
    """Give an ID that differs in case or in zeros alone."""
    prefix, dash, number = patient_id.partition("-")
    if not dash:
        return str(rng.choice([patient_id.lstrip("0"), f"0{patient_id}", patient_id[1:]]))
    return str(rng.choice([patient_id.lower(), f"{prefix}-0{number}", f"{prefix}-{int(number)}"]))

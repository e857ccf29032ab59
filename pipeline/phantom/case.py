"""One simulated case, whole: patient, image, records and labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.phantom.dicom import uid_from
from pipeline.phantom.fields import part_of
from pipeline.phantom.further import further_labels
from pipeline.phantom.patient import Design, Patient, draw_patient
from pipeline.phantom.records import Records, draw_records
from pipeline.phantom.scan import Look, Scan, draw_scan


@dataclass(frozen=True, slots=True, eq=False)
class PhantomCase:
    """One simulated patient with image, records and truth."""

    patient: Patient
    """Who, and what is true."""
    scan: Scan | None
    """The image; None if the patient has none."""
    records: Records
    """Table rows and notes, those after the scan included."""
    labels: Mapping[str, int | None]
    """What training may know of each task's outcome; None if it is unknown."""
    further: Mapping[str, str]
    """The same of outcomes that are more than yes or no, by column of labels.csv."""


def draw_case(design: Design, index: int) -> PhantomCase:
    """Draw one case; it depends on nothing but these two."""
    patient = draw_patient(design, index)
    label_rng = design.stream(index, "labels")
    labels = {
        risk.task: None if label_rng.random() < risk.unknown else int(patient.outcomes[risk.task])
        for risk in design.world.risks
    }
    return PhantomCase(
        patient=patient,
        scan=_draw_image(design, index, patient) if patient.has_image else None,
        records=draw_records(design.stream(index, "records"), design, patient),
        labels=labels,
        further=further_labels(design, index, patient),
    )


def draw_localizer(design: Design, index: int, patient: Patient) -> Scan:
    """Draw the three slices that are all there is of a study without an image."""
    whole = _draw_image(design, index, patient, is_empty=True)
    middle = whole.geometry.shape[0] // 2
    rows, columns = whole.geometry.shape[1:]
    box = (slice(middle - 1, middle + 2), slice(0, rows), slice(0, columns))
    part = part_of(whole.geometry, box)
    return Scan(whole.array[middle - 1 : middle + 2], part, None)


def _draw_image(design: Design, index: int, patient: Patient, *, is_empty: bool = False) -> Scan:
    look = Look(
        site=patient.site,
        family=design.family,
        frame_of_reference_uid=uid_from(patient.study_uid, "frame"),
        matrix=design.matrix,
    )
    target = None if is_empty else patient.target
    return draw_scan(design.stream(index, "scan"), design.world.anatomy, look, target)

"""One simulated case, whole: patient, image, records and labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.phantom.dicom import uid_from
from pipeline.phantom.patient import Patient, draw_patient, stream
from pipeline.phantom.records import Records, draw_records
from pipeline.phantom.scan import Scan
from pipeline.phantom.world import World


@dataclass(frozen=True, slots=True, eq=False)
class PhantomCase:
    """One simulated patient with image, records and truth."""

    patient: Patient
    """Who, and what is true."""
    scan: Scan
    """The image."""
    records: Records
    """Table rows and notes, those after the scan included."""
    labels: Mapping[str, int | None]
    """What training may know of each task's outcome; None if it is unknown."""


def draw_case(world: World, seed: int, index: int) -> PhantomCase:
    """Draw one case; it depends on nothing but these three."""
    patient = draw_patient(world, seed, index)
    frame = uid_from(patient.study_uid, "frame")
    scan_rng = stream(world, seed, index, "scan")
    label_rng = stream(world, seed, index, "labels")
    return PhantomCase(
        patient=patient,
        scan=world.draw_scan(scan_rng, patient.site, patient.radius_mm, frame),
        records=draw_records(stream(world, seed, index, "records"), world, patient),
        labels={
            risk.task: None
            if label_rng.random() < risk.unknown
            else int(patient.outcomes[risk.task])
            for risk in world.risks
        },
    )

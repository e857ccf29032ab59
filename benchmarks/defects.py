"""Every defect of the series factory in every orientation: what ingest says, and what is wrong.

    python -m benchmarks.defects

Prints the table of docs/ingest.md. Series of 9 slices of 10x14 voxels of 2.5x1.25x0.75 mm.
"""

import tempfile
from pathlib import Path

from tests.series_factory.defects import DEFECTS, Defect
from tests.series_factory.good import GOOD, Form
from tests.series_factory.slices import ORIENTATIONS, Case, Modality
from tests.series_factory.trial import Outcome, ingest

MODALITIES: tuple[Modality, ...] = ("CT", "MR")


def main() -> None:
    """Try all, and print one row a defect and one row a good form."""
    defects = [(defect, _outcomes_of(defect)) for defect in DEFECTS]
    forms = [(form, _outcomes_of_form(form)) for form in GOOD]
    print(f"In {len(ORIENTATIONS)} orientations: {', '.join(ORIENTATIONS)}.\n")
    print("| defect | code | volumes read | tried | named | silently wrong |")
    print("| --- | --- | --- | --- | --- | --- |")
    for defect, outcomes in defects:
        print(_defect_row(defect, outcomes))
    n_tried = sum(len(outcomes) for _, outcomes in defects)
    n_named = sum(_n_named(defect, outcomes) for defect, outcomes in defects)
    n_wrong = sum(_n_wrong(defect, outcomes) for defect, outcomes in defects)
    print(f"| all {len(DEFECTS)} | | | {n_tried} | {n_named} | {n_wrong} |\n")
    print("| good series | tried | false alarms | misplaced |")
    print("| --- | --- | --- | --- |")
    for form, outcomes in forms:
        n_alarms = sum(bool(one.codes) or one.n_slices != (9,) for one in outcomes)
        n_misplaced = sum(one.n_misplaced for one in outcomes)
        name = form.__name__.replace("_", " ")
        print(f"| {name} | {len(outcomes)} | {n_alarms} | {n_misplaced} |")


def _outcomes_of(defect: Defect) -> list[Outcome]:
    outcomes = []
    for orientation in ORIENTATIONS:
        slices = Case(orientation, defect.modality).slices()
        defect.change(slices)
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(ingest(slices, Path(folder)))
    return outcomes


def _outcomes_of_form(form: Form) -> list[Outcome]:
    outcomes = []
    for orientation in ORIENTATIONS:
        for modality in MODALITIES:
            with tempfile.TemporaryDirectory() as folder:
                outcomes.append(ingest(form(Case(orientation, modality).slices()), Path(folder)))
    return outcomes


def _n_named(defect: Defect, outcomes: list[Outcome]) -> int:
    return sum(defect.code in one.codes for one in outcomes)


def _n_wrong(defect: Defect, outcomes: list[Outcome]) -> int:
    """Count volumes with a voxel in another place, and those that should not have been read."""
    return sum(
        one.n_misplaced > 0 or sorted(one.n_slices) != sorted(defect.reads) for one in outcomes
    )


def _defect_row(defect: Defect, outcomes: list[Outcome]) -> str:
    reads = " and ".join(f"{n} slices" for n in defect.reads) or "none"
    named, wrong = _n_named(defect, outcomes), _n_wrong(defect, outcomes)
    return f"| {defect.name} | `{defect.code}` | {reads} | {len(outcomes)} | {named} | {wrong} |"


if __name__ == "__main__":
    main()

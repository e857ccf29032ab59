"""What must not change an answer: padding, batch size, order of notes, empty notes for none.

    python -m benchmarks.invariance [N_PATIENTS]

Scores simulated patients (seed 99) with the shipped bundle, each in two forms that mean the same,
and writes benchmarks/results/invariance.json: the largest difference of any logit. Notes are
changed in the records, which are then read as a cohort's files are. Nothing here says anything
about real patients.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Figure, write_figures
from benchmarks.negation import BUNDLE
from benchmarks.simulated import Simulated, design_for, retold, simulated
from flows.progress import progress_bars
from pipeline.bundle import Bundle, load_bundle
from pipeline.phantom import Design
from pipeline.phantom.patient import draw_patient
from pipeline.phantom.records import Records, draw_records
from pipeline.tensors import ModelInput

SEED, N_PATIENTS, AT_ONCE = 99, 200, 25
MOST_AND_AIM = 1e-4, 1e-5

Pair = tuple[ModelInput, ModelInput]


def main() -> None:
    """Score each pair, keep the largest difference, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patients", type=int, nargs="?", default=N_PATIENTS)
    n_patients = parser.parse_args().patients
    bundle = load_bundle(BUNDLE)
    design = design_for(bundle.protocol, seed=SEED)
    with progress_bars(quiet=False) as progress:
        cases = simulated(
            design, bundle.protocol, bundle.text_encoder, n_patients, progress=progress
        )
        inputs = [case.example.model_input(bundle.table_transform) for case in cases]
        found = {"batch size and padding": _alone_and_together(bundle, inputs)}
        pairs = {
            "order of the notes": _reordered(bundle, design, cases),
            "no notes for empty ones": _emptied(bundle, design, cases),
        }
        for name, own in pairs.items():
            found[name] = max(_difference(bundle, *pair) for pair in own)
    command = f"python -m benchmarks.invariance {n_patients}"
    rows = [
        Figure(f"{name}: largest change of a logit, {n_patients} patients", value, None,
               *MOST_AND_AIM, command)
        for name, value in found.items()
    ]  # fmt: skip
    write_figures(RESULTS / "invariance.json", rows)
    for row in rows:
        print(f"{row.name}: {row.value:.1e}")


def _alone_and_together(bundle: Bundle, inputs: Sequence[ModelInput]) -> float:
    """Compare one at a time with many, where short histories are padded to the longest."""
    worst = 0.0
    for start in range(0, len(inputs), AT_ONCE):
        some = inputs[start : start + AT_ONCE]
        alone = torch.cat([bundle.unsettled([one]).logits for one in some])
        worst = max(worst, float((bundle.unsettled(some).logits - alone).abs().max()))
    return worst


def _reordered(bundle: Bundle, design: Design, cases: Sequence[Simulated]) -> Iterator[Pair]:
    for number, case in enumerate(cases):
        records = _records(design, number)
        backwards = replace(records, notes=records.notes[::-1], rows=records.rows[::-1])
        if case.example.text is not None and len(records.notes) > 1:
            yield (
                _read(bundle, case, number, design, records),
                _read(bundle, case, number, design, backwards),
            )


def _emptied(bundle: Bundle, design: Design, cases: Sequence[Simulated]) -> Iterator[Pair]:
    for number, case in enumerate(cases):
        records = _records(design, number)
        empty = replace(records, notes=tuple(replace(note, text="") for note in records.notes))
        none = replace(records, notes=())
        if case.example.text is not None:
            yield (
                _read(bundle, case, number, design, empty),
                _read(bundle, case, number, design, none),
            )


def _records(design: Design, number: int) -> Records:
    return draw_records(design.stream(number, "records"), design, draw_patient(design, number))


def _read(
    bundle: Bundle, case: Simulated, number: int, design: Design, records: Records
) -> ModelInput:
    """Return what the network reads of a case whose records are these."""
    patient = draw_patient(design, number)
    example = retold(case, records, patient, bundle.protocol, bundle.text_encoder)
    return example.model_input(bundle.table_transform)


def _difference(bundle: Bundle, one: ModelInput, other: ModelInput) -> float:
    both = [bundle.unsettled([each]).logits for each in (one, other)]
    return float((both[0] - both[1]).abs().max())


if __name__ == "__main__":
    main()

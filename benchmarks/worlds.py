"""What can be known in each simulated world, and how fast cases are drawn.

    python -m benchmarks.worlds [N_PATIENTS]

Prints, for each world, the expected scores of the true probabilities with the interaction on and
off (seed 0), and how many cases a second one process draws into memory, histories cut and all.
"""

import platform
import sys
import time
from pathlib import Path

from pipeline.phantom import WORLDS, Design
from pipeline.phantom.benchmark import draw_benchmark
from pipeline.phantom.patient import draw_patient
from pipeline.phantom.truth import KNOWN, OBSERVABLE_PREFIX, TRUE_PREFIX, limits_table, task_limit
from pipeline.protocol import read_protocol

PROTOCOLS = Path("data_samples/protocols")
SEED, N_PATIENTS, N_DRAWN = 0, 5000, 60


def main(n_patients: int) -> None:
    """Print all of it."""
    print(f"{platform.machine()}, one process, seed {SEED}")
    for name in WORLDS:
        for interaction in (1.0, 0.0):
            print(f"\n{name}, interaction {interaction:g}\n")
            print(
                _limits(Design(world=WORLDS[name], seed=SEED, interaction=interaction), n_patients)
            )
        design = Design(world=WORLDS[name], seed=SEED)
        protocol = read_protocol(PROTOCOLS / f"{name}.yaml")
        next(draw_benchmark(design, protocol, range(1)))
        start = time.process_time()
        for _ in draw_benchmark(design, protocol, range(1, N_DRAWN + 1)):
            pass
        print(f"\n{name}: {N_DRAWN / (time.process_time() - start):.1f} cases a CPU second")


def _limits(design: Design, n_patients: int) -> str:
    patients = [draw_patient(design, index) for index in range(n_patients)]
    return limits_table(
        task_limit(risk.task, [read[risk.task] for read in reads], known=KNOWN[prefix])
        for risk in design.world.risks
        for prefix, reads in (
            (TRUE_PREFIX, [patient.risks for patient in patients]),
            (OBSERVABLE_PREFIX, [patient.observable for patient in patients]),
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_PATIENTS)

"""What each kind of evidence costs beside a plain pass of the network.

    python -m benchmarks.evidence_cost

Prints, for the sample cohort's studies and the bundle that ships, the seconds of a plain pass and
those of each kind of evidence as ratios to it, all taken in one run, as means over the studies: a
scan whose maps claim nothing has no test of its maps. The cost depends on the encoder: with a large
one, what reads the same image again costs next to nothing. Writes
benchmarks/results/evidence_cost.json.
"""

import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median

import torch

import flows  # noqa: F401  sets the environment's defaults
from benchmarks.figures import RESULTS, Bound, Figure, write_figures
from pipeline.bundle import Bundle, least_claims_of, load_bundle
from pipeline.case import Case
from pipeline.case_answer import record_of, step_answers
from pipeline.cohort import open_cohort, read_case
from pipeline.explain import deletion_of
from pipeline.explain.asked import without_each_sentence, without_each_variable
from pipeline.explain.changes import alternatives
from pipeline.explain.shapley import subsets
from pipeline.inputs import model_input
from pipeline.shown import shown_of
from pipeline.tensors import ModelInput

COHORT = Path("data_samples/brain_mr")
BUNDLE = Path("data_samples/bundles/brain_mr")
REPEATS = 5
COMMAND = "python -m benchmarks.evidence_cost"
PLAIN = "plain pass of the network"
TEST = ("test of the maps: painting", "test of the maps: network")
VARIANTS = "these three in one pass"


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of a few runs, after one that warms up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def times_of(bundle: Bundle, case: Case) -> dict[str, tuple[float, int]]:
    """Return the seconds of each part and how many cases the network reads for it."""
    inputs = _read(bundle, case)
    output = bundle.predict([inputs])
    shown = shown_of(bundle, step_answers(bundle, output, inputs))
    spoken_of = shown.contrasted(output)
    least = least_claims_of(bundle)
    deletion = deletion_of(inputs, spoken_of, least)
    read = bundle.encoded(inputs)  # as an assessment does, in its plain pass
    parts = [read.only(part) for part in subsets(read.present)[:-1]]
    without = [*without_each_variable(read).values(), *without_each_sentence(read)]
    turned = _turned(bundle, case, read)
    return {
        PLAIN: (seconds(lambda: bundle.predict([bundle.encoded(inputs)])), 1),
        "reading image, notes (BERT) and table": (seconds(lambda: _read(bundle, case)), 0),
        TEST[0]: (seconds(lambda: deletion_of(inputs, spoken_of, least)), 0),
        TEST[1]: (
            seconds(lambda: bundle.unsettled(deletion.cases)) if deletion.cases else 0.0,
            len(deletion.cases),
        ),
        "subsets of the modalities": (seconds(lambda: shown.read(parts)), len(parts)),
        "each fact and sentence left out": (seconds(lambda: shown.read(without)), len(without)),
        "facts turned round": (seconds(lambda: shown.read(turned)), len(turned)),
        VARIANTS: (
            seconds(lambda: shown.read([*parts, *without, *_turned(bundle, case, read)])),
            len(parts) + len(without) + len(turned),
        ),
    }  # fmt: skip


def _turned(bundle: Bundle, case: Case, read: ModelInput) -> list[ModelInput]:
    """Return the case with each fact turned round, BERT's reading of what is said instead included.

    As in a run over many studies, sentences that it read before are remembered.
    """
    return [one.case for one in alternatives(record_of(bundle, read, case.history))]


def _read(bundle: Bundle, case: Case) -> ModelInput:
    return model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)


def main() -> None:
    """Time each part on every study that has an image, a table and notes."""
    bundle = load_bundle(BUNDLE)
    cohort = open_cohort(COHORT, bundle.protocol)
    cases = [read_case(cohort, study) for study in cohort.inventory.studies]
    found = [
        times_of(bundle, case) for case in cases if len(_read(bundle, case).present) == 3
    ]  # fmt: skip
    ratios = {
        what: round(mean(one[what][0] / one[PLAIN][0] for one in found), 2) for what in found[0]
    }
    threads = torch.get_num_threads()
    result = {
        "command": COMMAND,
        "machine": f"{platform.machine()}, {threads} threads, torch {version('torch')}",
        "studies": len(found),
        "plain_pass_seconds": round(median(one[PLAIN][0] for one in found), 4),
        "times_a_plain_pass": ratios,
        "cases_read": {what: mean(one[what][1] for one in found) for what in found[0]},
        "maps_that_claim_nothing": sum(one[TEST[1]][1] == 0 for one in found),
    }
    print(json.dumps(result, indent=1))
    write_figures(RESULTS / "evidence_cost.json", figures(ratios))


def figures(ratios: Mapping[str, float]) -> list[Figure]:
    """List what a report's evidence costs on top of a plain pass, and each of its parts.

    The evidence of every token comes with the plain pass itself.
    """
    parts = (*TEST, VARIANTS)
    whole: tuple[Bound, Bound] = (2.0, 1.3)
    rows = [("all evidence of a report", sum(ratios[part] for part in parts), whole)]
    rows += [(part, ratios[part], (None, None)) for part in parts]
    return [
        Figure(f"{what}, plain passes on top of one", value, None, *wanted, COMMAND)
        for what, value, wanted in rows
    ]


if __name__ == "__main__":
    main()

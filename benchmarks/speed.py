"""Where the time of an assessment goes, and what a second run costs.

    python -m benchmarks.speed           (part of make bench)

Writes benchmarks/results/speed.json. Machines differ and are shared: the shares and the ratio say
more than the seconds.
"""

import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import flows  # noqa: F401  sets the environment's defaults
from flows.assess import assess_cohort
from pipeline.bundle import load_bundle
from pipeline.cohort import open_cohort, read_case
from pipeline.explain import heatmaps_of
from pipeline.inputs import read_image, read_notes
from pipeline.model.image_encoder import token_mask
from pipeline.preprocess import table_input
from pipeline.tensors import ModelInput

COHORT = Path("data_samples/brain_mr")
BUNDLE = Path("data_samples/bundles/brain_mr")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Time the stages on the sample cohort, then the whole flow twice."""
    seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[what] += time.perf_counter() - start

    with timed("load bundle"):
        bundle = load_bundle(BUNDLE)
    with timed("read headers and tables"):
        cohort = open_cohort(COHORT, bundle.protocol)
    tasks = tuple(task.name for task in bundle.protocol.tasks)
    for study in cohort.inventory.studies:
        with timed("decode and pair"):
            case = read_case(cohort, study)
        with timed("resample"):
            image = read_image(case, bundle.protocol)
        with timed("read notes (BERT)"):
            text = read_notes(case.history, bundle.text_encoder)
        with timed("network"):
            table = table_input(case.history, bundle.table_transform)
            output = bundle.predict([ModelInput(image, text, table)])
        if image is not None:
            volume = case.volumes[bundle.protocol.series[0].name]
            with timed("heatmaps"):
                scanned = token_mask(image.scanned[None])[0].numpy()
                heatmaps_of(output, tasks, scanned, image.grid, volume.geometry)
    with tempfile.TemporaryDirectory() as out:
        for run in ("whole flow, first run", "whole flow, second run"):
            with timed(run):
                assess_cohort(COHORT, BUNDLE, Path(out), quiet=True)
    result = {
        "command": "python -m benchmarks.speed",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}",
        "studies": len(cohort.inventory.studies),
        "seconds": {what: round(value, 2) for what, value in seconds.items()},
        "second_run_over_first": round(
            seconds["whole flow, second run"] / seconds["whole flow, first run"], 3
        ),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

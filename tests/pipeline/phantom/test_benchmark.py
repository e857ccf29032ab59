from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort import open_cohort, read_case
from pipeline.phantom.benchmark import draw_benchmark
from pipeline.phantom.patient import Design
from pipeline.protocol import read_protocol

PROTOCOLS = Path(__file__).parents[3] / "data_samples" / "protocols"


def test_a_case_in_memory_is_the_case_on_disk(cohort: Path, design: Design) -> None:
    protocol = read_protocol(PROTOCOLS / f"{design.world.name}.yaml")
    opened = open_cohort(cohort, protocol)
    studies = {study.study_uid: study for study in opened.inventory.studies}
    planted = pd.read_csv(cohort / "traps.csv", dtype=str)
    shared = set(planted["study_uid"][planted["trap"] == "shared_id"])
    compared = 0
    for drawn in draw_benchmark(design, protocol, range(12)):
        if drawn.case.study_uid in shared:
            continue
        read = read_case(opened, studies[drawn.case.study_uid])
        memory = drawn.case
        assert memory.history.notes == read.history.notes
        assert memory.history.n_after_scan == read.history.n_after_scan
        assert memory.history.values == read.history.values
        assert set(memory.volumes) == set(read.volumes)
        for name, volume in memory.volumes.items():
            np.testing.assert_array_equal(volume.array, read.volumes[name].array)
            np.testing.assert_allclose(
                volume.geometry.affine, read.volumes[name].geometry.affine, atol=1e-3
            )
            compared += 1
    assert compared > 6


def test_labels_and_truth_are_those_of_the_cohort(cohort: Path, design: Design) -> None:
    protocol = read_protocol(PROTOCOLS / f"{design.world.name}.yaml")
    labels = pd.read_csv(cohort / "labels.csv", dtype=str, keep_default_na=False)
    truth = pd.read_csv(cohort / "truth.csv")
    for number, drawn in enumerate(draw_benchmark(design, protocol, range(3))):
        for task, label in drawn.labels.items():
            assert labels[task][number] == ("" if label is None else str(label))
            assert abs(truth[f"true_{task}"][number] - drawn.true[task]) < 1e-6
            assert abs(truth[f"observable_{task}"][number] - drawn.observable[task]) < 1e-6

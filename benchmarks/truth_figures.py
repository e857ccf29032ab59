"""What benchmarks/truth.py found, as figures beside what is asked of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scipy.stats import binom

from benchmarks.figures import Bound, Figure

CALIBRATED: tuple[Bound, Bound] = ((0.9, 1.1), (0.95, 1.05))
HELD: tuple[Bound, Bound] = (0.86, 0.88)
DELETED = {"deletion_of_all": "of the strongest 3 %", "deletion": "as reports do it"}
NOTHING: tuple[Bound, Bound] = (None, None)


def figures(result: Mapping[str, Any]) -> list[Figure]:
    """List all that is asked of calibration and maps."""
    mean = result["mean"]
    rows: list[Row] = [
        ("excess AUROC, mean over tasks", mean["excess_auroc"], (0.9, 0.97)),
        ("points from recorded, mean over tasks", mean["points_from_what_is_recorded"], (4.0, 2.0)),
    ]
    of_tasks = [
        row
        for task, found in result["tasks"].items()
        for row in _task(task, found, result["patients"])
    ]
    rows += [*of_tasks, *_maps(next(iter(result["tasks"])), result["maps"])]
    rows += [
        (
            f"{task}: logit's fall by deletion {of} over that by random patches",
            row["ratio"],
            (5.0, 15.0),
        )
        for key, of in DELETED.items()
        for task, row in result[key].items()
    ]
    rows += [
        (f"{task}: correlation of maps after all weights are randomised", value, (0.1, 0.05))
        for task, value in result["redrawn"].items()
    ]
    rows += [
        (f"{task}: {one['goal']} of a threshold for {one['promised']:.0%}", one["found"],
         (one["promised"], one["promised"]))
        for task, promised in result["thresholds"].items()
        for one in promised
    ]  # fmt: skip
    return [_figure(*row, command=result["command"]) for row in rows]


Row = tuple[str, Any, tuple[Bound, Bound]]


def _figure(name: str, value: Any, wanted: tuple[Bound, Bound], *, command: str) -> Figure:
    interval = None
    if isinstance(value, Sequence):
        value, *interval = value
    ends = None if interval is None else (interval[0], interval[1])
    return Figure(name, float(value), ends, *wanted, command)


def _task(task: str, found: Mapping[str, Any], n_patients: int) -> Iterator[Row]:
    yield f"{task}: excess AUROC", found["excess_auroc"], NOTHING
    yield f"{task}: points from recorded", found["points_from_what_is_recorded"], (4.0, 2.0)
    yield f"{task}: points that the map misses", found["points_that_calibration_misses"], (1.5, 0.8)
    perfect = found["points_that_a_perfect_map_misses"]
    yield f"{task}: points that a map without fault would miss by this count", perfect, NOTHING
    yield from _calibration(task, found)
    for name, group in found["groups"].items():
        yield from _calibration(f"{task}, {name}", group)
        yield f"{task}, {name}: sets hold", group["coverage"], HELD
        yield f"{task}, {name}: sets hold, by true risks", group["coverage_by_truth"], HELD
    events = found["events"]
    yield f"{task}: sets hold", found["coverage"], _band(n_patients)
    yield f"{task}: sets hold, by true risks", found["coverage_by_truth"], _band(n_patients)
    yield (
        f"{task}: sets hold, of negatives",
        found["coverage_of_negatives"],
        _band(n_patients - events),
    )
    yield f"{task}: sets hold, of positives", found["coverage_of_positives"], _band(events)
    yield f"{task}: mean set size", found["set_size"], (None, 1.25)
    if (sure := found["intervals"]) is not None:
        held = sure["holds_what_is_recorded"]
        yield f"{task}: 90 % intervals hold recorded", held, ((0.85, 0.95), (0.88, 0.92))
        gain = sure["auroc_gain_of_most_decided"]
        yield f"{task}: AUROC gained on the 80 % most certain, by their sets", gain, (0.02, 0.04)
        gain = sure["auroc_gain_of_most_decided_at_best"]
        yield f"{task}: the same of the probability given what is recorded", gain, NOTHING
        gain = sure["auroc_gain_of_narrowest"]
        yield f"{task}: AUROC gained on the 80 % of narrowest intervals", gain, (0.02, 0.04)


def _calibration(who: str, found: Mapping[str, Any]) -> Iterator[Row]:
    yield f"{who}: slope", found["slope"], CALIBRATED
    yield f"{who}: slope, by true risks", found["slope_by_truth"], CALIBRATED
    yield f"{who}: observed / expected", found["observed_to_expected"], CALIBRATED
    yield f"{who}: true / expected", found["true_to_expected"], CALIBRATED


def _band(n: int) -> tuple[Bound, Bound]:
    """Return the 95 % band of a share of ``n`` that holds for 90 % of them (exact binomial)."""
    low, high = binom.interval(0.95, n, 0.9)
    return (low / n, high / n), None


def _maps(finding: str, maps: Mapping[str, float]) -> Iterator[Row]:
    yield f"{finding}: peak within a token of it", maps["peak_within_a_token"], (0.75, 0.92)
    yield f"{finding}: positive evidence inside it", maps["positive_evidence_inside"], (0.35, 0.6)
    quiet = maps["quiet_without_finding"]
    yield f"{finding}: scans without one under 0.1 log-odds of evidence", quiet, (0.9, 0.97)
    raw = "before each map is settled"
    inside, quiet = maps["positive_evidence_inside_raw"], maps["quiet_without_finding_raw"]
    yield f"{finding}: positive evidence inside it, {raw}", inside, NOTHING
    yield f"{finding}: scans without one under 0.1 log-odds of evidence, {raw}", quiet, NOTHING
    yield "parts' sum from the logit, largest difference", maps["largest_gap_of_the_sum"], (
        1e-4, 1e-5
    )  # fmt: skip

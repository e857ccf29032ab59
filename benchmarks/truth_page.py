"""What benchmarks/truth.py found, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

QUIET_LOGIT = 0.1
"""Log-odds; a scan without a finding should hold less positive evidence."""
MIN_GROUP = 500
"""Patients; smaller groups are not listed."""


def markdown(result: Mapping[str, Any]) -> str:
    """Write all tables."""
    tasks: Mapping[str, Mapping[str, Any]] = result["tasks"]
    lines = [
        f"# A bundle of {result['world']} against the known truth (simulated patients)",
        "",
        f"`{result['command']}`, {result['machine']}, seed {result['seed']}. *Recorded*: the "
        "probability given all that is recorded, which no reader can beat on average. 95 % "
        "intervals by patient bootstrap.",
        *_ranking_lines(tasks),
        *_calibration_lines(tasks),
        *_sure_lines(tasks),
        *_group_lines(tasks),
        *_map_lines(next(iter(tasks)), result["maps"]),
        *_threshold_lines(result["thresholds"]),
        *_deletion_lines(
            "Deleting the 3 % of voxels where a map is strongest", result["deletion_of_all"]
        ),
        *_deletion_lines(
            "Deleting, as reports do, those of them that hold a quarter or more of the map's peak",
            result["deletion"],
        ),
        *_redrawn_lines(result["redrawn"]),
        "",
    ]
    return "\n".join(lines)


def _ranking_lines(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "",
        "| task | events | AUROC | recorded | excess | log loss | recorded | prevalence | points "
        "from recorded |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, row in tasks.items():
        lines.append(
            f"| {task} | {row['events']} | {_shown(row['auroc'])} "
            f"| {row['auroc_of_what_is_recorded']:.3f} | {_shown(row['excess_auroc'])} "
            f"| {row['log_loss']:.3f} | {row['log_loss_of_what_is_recorded']:.3f} "
            f"| {row['log_loss_of_prevalence']:.3f} | {row['points_from_what_is_recorded']:.1f} |"
        )
    return lines


def _calibration_lines(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "",
        "*By true risks*: with each patient's true probability in place of the outcome, so without "
        "the chance that outcomes add.",
        "",
        "| task | slope | by true risks | observed / expected | by true risks | the same as "
        "observed, history hidden | sets hold: all, negatives, positives | set size |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, row in tasks.items():
        lines.append(
            f"| {task} | {_calibrated(row)} "
            f"| {row['observed_to_expected_without_history']:.2f} | {row['coverage']:.3f}, "
            f"{row['coverage_of_negatives']:.3f}, {row['coverage_of_positives']:.3f} "
            f"| {row['set_size']:.2f} |"
        )
    return lines


def _calibrated(row: Mapping[str, Any]) -> str:
    """Return four cells: slope and observed / expected, as it came and by true risks."""
    names = ("slope", "slope_by_truth", "observed_to_expected", "true_to_expected")
    return " | ".join(_shown(row[name]) for name in names)


def _map_lines(finding: str, maps: Mapping[str, float]) -> list[str]:
    return [
        "",
        f"Maps of the task `{finding}`, on the network's tokens of {maps['token_mm']:g} mm:",
        "",
        f"- peak on the {finding} or a neighbouring token: {maps['peak_within_a_token']:.1%} of "
        f"{maps['findings']} scans with one",
        f"- share of the positive evidence inside it: {maps['positive_evidence_inside']:.2f} "
        f"({maps['positive_evidence_inside_raw']:.2f} before what speaks for and against it is "
        "settled)",
        f"- scans without one with less than {QUIET_LOGIT} log-odds of positive evidence: "
        f"{maps['quiet_without_finding']:.1%} of {maps['scans_without_finding']} "
        f"({maps['quiet_without_finding_raw']:.1%} before it is settled)",
        f"- largest difference of the parts' sum from the logit: "
        f"{maps['largest_gap_of_the_sum']:.1e}",
        f"- patients flagged as unlike the training: {maps['flagged_unlike']:.1%}",
    ]


def _threshold_lines(thresholds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    rows = [
        f"- `{task}`: {one['goal']} {one['found'][0]:.1%} ({one['found'][1]:.1%} to "
        f"{one['found'][2]:.1%}) of {one['cases']}, promised {one['promised']:.0%}"
        for task, promised in thresholds.items()
        for one in promised
    ]
    head = "Thresholds that promise a sensitivity or predictive value, by the outcomes:"
    return ["", head, "", *rows] if rows else []


def _deletion_lines(what: str, deletion: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [
        "",
        f"{what}, against random patches, in scans with the finding:",
        "",
        "| task | scans | tested | passed | logit falls by | random patches move it by | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {task} | {row['scans']} | {row['tested']} | {row['passed']} | {row['moved']:.2f} "
        f"| {row['random']:.2f} | {row['ratio']:.0f} |"
        for task, row in deletion.items()
    ]
    return lines


def _redrawn_lines(redrawn: Mapping[str, float]) -> list[str]:
    if not redrawn:
        return []
    values = ", ".join(f"{task} {value:.3f}" for task, value in redrawn.items())
    return [
        "",
        f"Correlation of the maps after all weights are drawn anew (the bundle's proof): {values}.",
    ]


def _sure_lines(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "",
        "*Map misses*: mean distance of the probability from the best monotone map of the same "
        "score; in brackets what a map without fault would seem to miss, since the best one is "
        "itself found on these patients. *Intervals hold*: how often the 90 % interval holds the "
        "probability given what is recorded, and that given every fact. *Most certain*: AUROC of "
        "the 80 % of the patients "
        "whose scores lie furthest from where their sets would hold both answers, less that of "
        "all (leaving out the middle helps any score that ranks); what the probability given what "
        "is recorded itself gains in the same way; and the same of those with "
        "the narrowest intervals, who are mostly at low risk.",
        "",
        "| task | map misses, points | intervals hold: recorded, every fact | width, mean, median "
        "| most certain: by sets, the recorded probability itself, by intervals |",
        "| --- | --- | --- | --- | --- |",
    ]
    for task, row in tasks.items():
        misses = (
            f"| {task} | {row['points_that_calibration_misses']:.1f} "
            f"({row['points_that_a_perfect_map_misses']:.1f}) "
        )
        if (sure := row["intervals"]) is None:
            lines.append(f"{misses}| none: too few networks | | |")
            continue
        lines.append(
            f"{misses}"
            f"| {sure['holds_what_is_recorded']:.3f}, {sure['holds_what_is_true']:.3f} "
            f"| {sure['mean_width_points']:.0f}, {sure['median_width_points']:.0f} points "
            f"| {sure['auroc_gain_of_most_decided']:+.3f}, "
            f"{sure['auroc_gain_of_most_decided_at_best']:+.3f}, "
            f"{sure['auroc_gain_of_narrowest']:+.3f} |"
        )
    return lines


def _group_lines(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "",
        f"Groups of at least {MIN_GROUP} patients:",
        "",
        "| task | group | patients | slope | by true risks | observed / expected | by true risks "
        "| sets hold | by true risks |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {task} | {name} | {one['patients']} | {_calibrated(one)} "
        f"| {one['coverage']:.3f} | {one['coverage_by_truth']:.3f} |"
        for task, row in tasks.items()
        for name, one in row["groups"].items()
    ]
    return lines


def _shown(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.3f} ({low:.3f} to {high:.3f})"

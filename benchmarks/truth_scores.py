"""What a bundle says of simulated patients, compared with their known risks.

Shapes: n patients; ``Answers`` holds one array (n,) by name: ``p`` said, ``y`` what came, ``true``
and ``observable`` the probabilities given every fact and what is recorded.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from benchmarks.figures import with_interval
from pipeline.calibration.statistics import (
    auroc,
    calibration_slope,
    log_loss,
    observed_to_expected,
    patient_weights,
)

CERTAIN_SHARE = 0.8
NEIGHBOURS, N_SHUFFLES = 50, 50

Array = NDArray[np.float64]
Answers = dict[str, Array]


def _grouped(said: Answers, flag: NDArray[np.bool_]) -> Mapping[str, object]:
    """Return how well one group is calibrated and covered, as it came and by the true risks.

    By the true risks is the mean over all outcomes that might have come to the same patients: what
    is left is the bundle's error, without the chance that each outcome adds.
    """
    own = {name: values[flag] for name, values in said.items()}
    p, y, true = own["p"], own["y"], own["true"]
    weights = patient_weights(np.arange(len(y)).astype(str))
    return {
        "patients": len(y),
        "slope": with_interval(calibration_slope(y, p, weights)),
        "slope_by_truth": with_interval(calibration_slope(true, p, weights)),
        "observed_to_expected": with_interval(observed_to_expected(y, p, weights)),
        "true_to_expected": with_interval(observed_to_expected(true, p, weights)),
        "coverage": float(own["is_held"].mean()),
        "coverage_by_truth": float(
            (true * own["is_held_1"] + (1 - true) * own["is_held_0"]).mean()
        ),
    }


def _sureness(said: Answers) -> Mapping[str, float] | None:
    """Return what the intervals hold and how wide they are; None of a bundle that has none."""
    width = said["upper"] - said["lower"]
    if np.isnan(width).any():
        return None
    y, p = said["y"], said["p"]
    once = np.ones((1, len(y)))

    def gained(score: Array, certainty: Array) -> float:
        kept = certainty >= np.quantile(certainty, 1 - CERTAIN_SHARE)
        of_kept = auroc(y[kept], score[kept], once[:, kept])[0]
        return float(of_kept - auroc(y, score, once)[0])

    def held(truth: Array) -> float:
        is_in = (said["lower"] <= truth) & (truth <= said["upper"])
        return float(is_in.mean())

    return {
        "holds_what_is_recorded": held(said["observable"]),
        "holds_what_is_true": held(said["true"]),
        "mean_width_points": float(100 * width.mean()),
        "median_width_points": float(100 * np.median(width)),
        "auroc_gain_of_narrowest": gained(p, -width),
        "auroc_gain_of_most_decided": gained(p, said["decided"]),
        "auroc_gain_of_most_decided_at_best": gained(said["observable"], said["decided_at_best"]),
    }


def means_of(said: Sequence[Answers]) -> Mapping[str, object]:
    """Return excess AUROC and distance from the recorded probability, means over the tasks."""
    weights = patient_weights(np.arange(len(said[0]["y"])).astype(str))
    excess = [
        (auroc(own["y"], own["p"], weights) - 0.5)
        / (auroc(own["y"], own["observable"], weights) - 0.5)
        for own in said
    ]
    points = [100 * np.abs(own["p"] - own["observable"]).mean() for own in said]
    return {
        "excess_auroc": with_interval(np.mean(excess, axis=0)),
        "points_from_what_is_recorded": float(np.mean(points)),
    }


def points_missed(said: Answers) -> tuple[float, float]:
    """Return how far the map is, in points, from the best monotone map of the same score.

    Beside it, what the same comparison says of a map that misses nothing: of truths that stray from
    this probability as the real ones do from the best map, each drawn from a neighbour's strays.
    """
    order = np.argsort(said["p"], kind="stable")
    p, truth = said["p"][order], said["observable"][order]
    line = IsotonicRegression(out_of_bounds="clip")
    best = line.fit_transform(p, truth)
    random = np.random.default_rng(0)
    blocks = np.array_split(truth - best, max(1, len(p) // NEIGHBOURS))
    perfect = []
    for _ in range(N_SHUFFLES):
        strays = np.concatenate([random.choice(block, len(block)) for block in blocks])
        perfect.append(np.abs(line.fit_transform(p, p + strays) - p).mean())
    return float(100 * np.abs(p - best).mean()), float(100 * np.mean(perfect))


def compared(said: Answers, groups: Mapping[str, NDArray[np.bool_]]) -> Mapping[str, object]:
    """Compare one task with the truth, with 95 % patient bootstraps where chance matters."""
    p, y, best = said["p"], said["y"], said["observable"]
    weights = patient_weights(np.arange(len(y)).astype(str))
    ours, theirs = auroc(y, p, weights), auroc(y, best, weights)
    missed, missed_by_perfect = points_missed(said)
    has_image = ~np.isnan(said["without_history"])
    blind = said["without_history"][has_image]
    return {
        "events": int(y.sum()),
        "auroc": with_interval(ours),
        "auroc_of_what_is_recorded": float(theirs[0]),
        "auroc_of_every_fact": float(auroc(y, said["true"], weights[:1])[0]),
        "excess_auroc": with_interval((ours - 0.5) / (theirs - 0.5)),
        "log_loss": float(log_loss(y, p, weights[:1])[0]),
        "log_loss_of_what_is_recorded": float(log_loss(y, best, weights[:1])[0]),
        "log_loss_of_prevalence": float(log_loss(y, np.full(len(y), y.mean()), weights[:1])[0]),
        "points_from_what_is_recorded": float(100 * np.abs(p - best).mean()),
        **_grouped(said, np.ones(len(y), dtype=np.bool_)),
        "observed_to_expected_without_history": float(y[has_image].sum() / blind.sum()),
        "coverage_of_negatives": float(said["is_held"][y == 0].mean()),
        "coverage_of_positives": float(said["is_held"][y == 1].mean()),
        "set_size": float(said["set_size"].mean()),
        "points_that_calibration_misses": missed,
        "points_that_a_perfect_map_misses": missed_by_perfect,
        "intervals": _sureness(said),
        "groups": {name: _grouped(said, flag) for name, flag in groups.items()},
    }

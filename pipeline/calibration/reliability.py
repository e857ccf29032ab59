"""Whether probabilities mean what they say, and what chance alone would show."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from schemas.metrics import NetBenefit, Reliability, ReliabilityBin

MIN_CASES = 50
N_BINS = 10
N_SIMULATED = 500
CURVE = tuple(round(0.05 * step, 2) for step in range(1, 20))

Array = NDArray[np.float64]


def reliability(labels: Array, probability: Array) -> Reliability | None:
    """Describe calibration; None below ``MIN_CASES`` cases."""
    if len(labels) < MIN_CASES:
        return None
    # Equal probabilities in an order that the outcomes cannot have decided.
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(probability[order], kind="stable")]
    bins = np.array_split(order, N_BINS)
    simulated = _simulated_ece(probability, bins)
    z = _spiegelhalter(labels, probability)
    predicted, observed, share = _binned(labels, probability, bins)
    overall = float(labels.mean())
    return Reliability(
        bins=tuple(_bin(labels, probability, chosen) for chosen in bins),
        ece=float(share @ np.abs(predicted - observed)),
        ece_of_a_perfect_model=float(simulated.mean()),
        ece_limit=float(np.quantile(simulated, 0.95)),
        debiased_error=_debiased(predicted, observed, share, len(labels)),
        spiegelhalter_z=z,
        spiegelhalter_p=math.erfc(abs(z) / math.sqrt(2.0)),
        brier_miscalibration=float(share @ (predicted - observed) ** 2),
        brier_discrimination=float(share @ (observed - overall) ** 2),
        brier_uncertainty=overall * (1.0 - overall),
    )


def _binned(labels: Array, probability: Array, bins: list[NDArray[np.intp]]) -> tuple[Array, ...]:
    predicted = np.array([probability[chosen].mean() for chosen in bins])
    observed = np.array([labels[chosen].mean() for chosen in bins])
    return predicted, observed, np.array([len(chosen) for chosen in bins]) / len(labels)


def _simulated_ece(probability: Array, bins: list[NDArray[np.intp]]) -> Array:
    """Draw outcomes from the probabilities themselves and measure the error that chance makes."""
    random = np.random.default_rng(0)
    drawn = (random.random((N_SIMULATED, len(probability))) < probability).astype(np.float64)
    gaps = [
        np.abs(drawn[:, chosen].mean(1) - probability[chosen].mean()) * len(chosen)
        for chosen in bins
    ]
    return np.asarray(np.sum(gaps, axis=0) / len(probability))


def _debiased(predicted: Array, observed: Array, share: Array, n: int) -> float:
    by_chance = observed * (1.0 - observed) / np.maximum(share * n - 1.0, 1.0)
    squared = float(share @ ((predicted - observed) ** 2 - by_chance))
    return math.sqrt(max(squared, 0.0))


def _spiegelhalter(labels: Array, probability: Array) -> float:
    top = float(((labels - probability) * (1.0 - 2.0 * probability)).sum())
    spread = float(((1.0 - 2.0 * probability) ** 2 * probability * (1.0 - probability)).sum())
    return top / math.sqrt(spread) if spread > 0.0 else 0.0


def _bin(labels: Array, probability: Array, chosen: NDArray[np.intp]) -> ReliabilityBin:
    n, hits = len(chosen), int(labels[chosen].sum())
    lower, upper = binomial_bounds(hits, n)
    return ReliabilityBin(
        predicted=float(probability[chosen].mean()), observed=hits / n, lower=lower, upper=upper,
        n_cases=n,
    )  # fmt: skip


def binomial_bounds(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the exact bounds of a share (Clopper and Pearson, 1934)."""
    tail = (1.0 - level) / 2.0
    lower = float(beta.ppf(tail, hits, n - hits + 1)) if hits > 0 else 0.0
    upper = float(beta.ppf(1.0 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return lower, upper


def decision_curve(labels: Array, probability: Array) -> tuple[NetBenefit, ...]:
    """Return the net benefit at thresholds of 5 to 95 %."""
    n, prevalence = len(labels), float(labels.mean())
    points = []
    for threshold in CURVE:
        odds = threshold / (1.0 - threshold)
        called = probability >= threshold
        hits, alarms = float((called * labels).sum()), float((called * (1.0 - labels)).sum())
        points.append(
            NetBenefit(
                threshold=threshold,
                model=(hits - odds * alarms) / n,
                all=prevalence - odds * (1.0 - prevalence),
            )
        )
    return tuple(points)

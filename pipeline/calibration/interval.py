"""How sure a probability is: the disagreement of an ensemble, the map's own error, what is absent.

Shapes: M members of the ensemble, n cases.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, expit, polygamma
from scipy.stats import t as student

from pipeline.calibration.choose import by_patient
from pipeline.calibration.fit import CANDIDATES
from pipeline.calibration.maps import (
    MODALITIES,
    after_map,
    before_site,
    map_log_odds,
    to_log_odds,
)
from pipeline.calibration.statistics import log_odds
from pipeline.calibration.subsets import Subset, cases_of_the_map
from pipeline.calibration.venn_abers import range_of
from schemas.calibration import AbsentSpread, Calibrator, IntervalModel, Recalibration

LEVEL = 0.9
MIN_MEMBERS = 3
"""Two networks that happen to agree would pass for certainty."""
N_MAPS = 100
"""Bootstrap refits of the calibration map."""
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LEAST_VARIANCE = 1e-8
MOST_DF = 1e4
STEP, LEAST_SLOPE = 0.5, 0.1

Array = NDArray[np.float64]


def fit_interval(
    calibrator: Calibrator,
    members: Array,
    present: Sequence[Subset],
    labels: Array,
    hidden: Mapping[Subset, Array],
    patients: NDArray[np.str_] | None = None,
) -> IntervalModel | None:
    """Fit what an interval takes beside one case's own scores; None of fewer than three members.

    Parameters
    ----------
    calibrator
        Fitted on the mean of these scores.
    members : shape (M, n), log-odds
        Raw scores of the calibration cases by each network of the ensemble.
    present
        The modalities of each case.
    labels : shape (n,), 0 or 1
    hidden
        Mean raw scores of the same cases with only some modalities read, shape (n,) each; NaN
        where a case lacks one.
    patients : shape (n,)
        Whose cases they are; None if each is another's.
    """
    if len(members) < MIN_MEMBERS:
        return None
    odds = np.stack([to_log_odds_of_each(calibrator, one, present) for one in members])
    variance, df = typical_variance(odds.var(axis=0, ddof=1), len(members) - 1)
    scores = members.mean(0)
    knots = np.unique(np.quantile(scores, QUANTILES))
    of = by_patient(labels, patients)[1]
    own = cases_of_the_map(hidden, of, labels)
    _, numbers = np.unique(of[own], return_inverse=True)
    return IntervalModel(
        level=LEVEL,
        n_members=len(members),
        typical_variance=variance,
        typical_df=df,
        knots=tuple(knots.tolist()),
        map_sd=tuple(_map_sd(calibrator, scores[own], labels[own], knots, numbers).tolist()),
        absent=_absent(calibrator, hidden),
    )


def interval(
    calibrator: Calibrator, members: Array, present: Iterable[str]
) -> tuple[float, float] | None:
    """Return the ends of one case's interval around its calibrated probability.

    The half width, in log-odds, is Student's t times the root of four variances: that of the
    members' calibrated scores, drawn towards what is typical (Smyth, 2004); that of the
    calibration map over bootstraps of its patients; where a modality is absent, the mean square by
    which reading it would have moved the score; and that of a site's update at this score. Of M
    members the first counts 1 + 1 / M times: each was trained on a bootstrap, so their spread says
    how far training on other patients would have moved the answer, which averaging does not undo;
    their mean adds its own error. A map that shrinks scores does so since they are noisy
    (regression dilution): of a score's variance then not the slope's square is left, but the slope.
    Of a Venn-Abers map the interval holds [p0, p1] at least.

    Parameters
    ----------
    members : shape (M,), log-odds
        Raw scores.

    Returns
    -------
    tuple or None
        Probabilities; None if the bundle has no ensemble to tell.
    """
    fitted = calibrator.interval
    if fitted is None:
        return None
    there = tuple(present)
    odds = to_log_odds(calibrator, members, there)
    own_df = len(members) - 1
    slope = 1.0 if calibrator.recalibration is None else calibrator.recalibration.slope
    df = own_df + fitted.typical_df
    typical = slope**2 * fitted.typical_variance
    spread = (own_df * odds.var(ddof=1) + fitted.typical_df * typical) / df
    score = members.mean()
    map_sd = slope * np.interp(score, fitted.knots, fitted.map_sd)
    absent = slope * _absent_sd(fitted, there)
    shrunk = np.clip(_slope(calibrator, score, there) / slope, LEAST_SLOPE, 1.0)
    half = student.ppf((1 + fitted.level) / 2, df) * np.sqrt(
        spread * (1 + 1 / len(members)) / shrunk
        + map_sd**2
        + absent**2
        + _site_variance(calibrator.recalibration, float(before_site(calibrator, score, there)))
    )
    centre = float(to_log_odds(calibrator, score, there))
    low, high = _map_range(calibrator, score, there) or (centre, centre)
    return float(expit(min(low, centre - half))), float(expit(max(high, centre + half)))


def _map_range(calibrator: Calibrator, score: float, present: Subset) -> tuple[float, float] | None:
    """Return p0 and p1 as calibrated log-odds; None unless the map is a Venn-Abers predictor."""
    if calibrator.map.venn_abers is None:
        return None
    ends = log_odds(np.stack(range_of(calibrator.map.venn_abers, score)))
    low, high = after_map(calibrator, ends, present)
    return float(low), float(high)


def typical_variance(variances: Array, df: int) -> tuple[float, float]:
    """Return the typical variance of many small samples, and how many degrees of freedom it has.

    Matches the first two moments of the log of a scaled F distribution (Smyth, 2004, section 6.2).

    Parameters
    ----------
    variances : shape (n,)
        Each of ``df`` degrees of freedom.
    """
    logs = np.log(np.maximum(variances, LEAST_VARIANCE)) - digamma(df / 2) + np.log(df / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, df / 2)) if len(logs) > 1 else 0.0
    if excess <= polygamma(1, MOST_DF / 2):
        return float(np.exp(logs.mean())), MOST_DF
    half = float(brentq(lambda x: polygamma(1, x) - excess, 1e-6, MOST_DF / 2))
    return float(np.exp(logs.mean() + digamma(half) - np.log(half))), 2 * half


def _site_variance(site: Recalibration | None, odds: float) -> float:
    """Return the variance of the site's line at the log-odds that it moves."""
    if site is None:
        return 0.0
    variance = site.intercept_sd**2 + 2 * odds * site.covariance + odds**2 * site.slope_sd**2
    return max(variance, 0.0)


def _slope(calibrator: Calibrator, score: float, present: Subset) -> float:
    """Return by how much the calibrated log-odds grow with the score, around it."""
    ends = to_log_odds(calibrator, [score - STEP, score + STEP], present)
    return float((ends[1] - ends[0]) / (2 * STEP))


def to_log_odds_of_each(calibrator: Calibrator, scores: Array, present: Sequence[Subset]) -> Array:
    """Return calibrated log-odds of cases that differ in what is there, shape (n,)."""
    odds = np.empty(len(scores))
    for subset in set(present):
        own = np.array([there == subset for there in present])
        odds[own] = to_log_odds(calibrator, scores[own], subset)
    return odds


def _map_sd(
    calibrator: Calibrator,
    scores: Array,
    labels: Array,
    knots: Array,
    patients: NDArray[np.int64],
) -> Array:
    """Return how far the map, fitted on other patients, would have strayed at each knot."""
    fit, random = CANDIDATES[calibrator.map.method], np.random.default_rng(0)
    order = np.argsort(patients, kind="stable")
    of_each = np.split(order, np.cumsum(np.bincount(patients))[:-1])
    found: list[Array] = []
    while len(found) < N_MAPS:
        chosen = random.integers(len(of_each), size=len(of_each))
        drawn = np.concatenate([of_each[number] for number in chosen])
        if labels[drawn].min() < labels[drawn].max():
            found.append(map_log_odds(fit(scores[drawn], labels[drawn]), knots))
    return np.asarray(np.std(found, axis=0, ddof=1))


def _absent(calibrator: Calibrator, hidden: Mapping[Subset, Array]) -> tuple[AbsentSpread, ...]:
    whole = to_log_odds(calibrator, hidden[MODALITIES], MODALITIES)
    spreads = []
    for present, scores in hidden.items():
        moved = whole - to_log_odds(calibrator, scores, present)
        known = moved[~np.isnan(moved)]
        if present != MODALITIES and len(known):
            sd = float(np.sqrt(np.mean(known**2)))
            spreads.append(AbsentSpread(present=present, sd=sd))
    return tuple(spreads)


def _absent_sd(fitted: IntervalModel, present: tuple[str, ...]) -> float:
    """Return what is known of such cases; where nothing is, the widest that is, or anything."""
    if set(present) == set(MODALITIES):
        return 0.0
    own = [one.sd for one in fitted.absent if set(one.present) == set(present)]
    return max(own or [one.sd for one in fitted.absent], default=np.inf)

"""How sure a probability is: the disagreement of an ensemble, the map's own error, what is absent.

Shapes: M members of the ensemble, n cases.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, expit, polygamma
from scipy.stats import t as student

from pipeline.calibration.choose import by_patient, chosen_out_of_bag
from pipeline.calibration.maps import (
    MODALITIES,
    after_map,
    before_site,
    map_log_odds,
    shift_for,
    to_log_odds,
)
from pipeline.calibration.statistics import log_odds
from pipeline.calibration.subsets import MIN_CASES, Subset, cases_of_the_map
from pipeline.calibration.venn_abers import range_of
from schemas.calibration import AbsentSpread, Calibrator, IntervalModel, Recalibration

LEVEL = 0.9
MIN_MEMBERS = 3
"""Two networks that happen to agree would pass for certainty."""
N_MAPS = 100
"""Bootstrap refits of the calibration map."""
MIN_LEFT_OUT = 2
"""Patients, for a bootstrap that chooses the method by those whom it left out."""
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LEAST_VARIANCE = 1e-8
MOST_DF = 1e4
LEAST_REACH = 0.5

Array = NDArray[np.float64]


def fit_interval(
    calibrator: Calibrator,
    members: Array,
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
    labels : shape (n,), 0 or 1
    hidden
        Mean raw scores of the same cases with only some modalities read, shape (n,) each; NaN
        where a case lacks one.
    patients : shape (n,)
        Whose cases they are; None if each is another's.
    """
    if len(members) < MIN_MEMBERS:
        return None
    variances = members.var(axis=0, ddof=1)
    variance, df = typical_variance(variances, len(members) - 1)
    scores = members.mean(0)
    knots = np.unique(np.quantile(scores, QUANTILES))
    of = by_patient(labels, patients)[1]
    own = cases_of_the_map(hidden, of, labels)
    _, numbers = np.unique(of[own], return_inverse=True)
    return IntervalModel(
        level=LEVEL,
        n_members=len(members),
        typical_score_variance=variance,
        mean_score_variance=float(variances.mean()),
        typical_df=df,
        knots=tuple(knots.tolist()),
        map_sd=tuple(_map_sd(scores[own], labels[own], knots, numbers).tolist()),
        whole=_whole(hidden),
        absent=_absent(calibrator, hidden),
    )


def interval(
    calibrator: Calibrator, members: Array, present: Iterable[str]
) -> tuple[float, float] | None:
    """Return the ends of one case's interval around its calibrated probability.

    The half width, in log-odds, is Student's t times the root of four variances: that of the
    members' scores, drawn towards what is typical (Smyth, 2004); that of the calibration map over
    bootstraps of its patients, among which it is chosen anew; where a modality is absent, the mean
    square by which reading it would have moved the score; and that of a site's update at this
    score. Of M members the first counts 1 + 1 / M times: each was trained on a bootstrap, so their
    spread says how far training on other patients would have moved the answer, which averaging does
    not undo; their mean adds its own error. It is a variance of raw scores, and what it means in
    calibrated log-odds depends on how steep the map is around the score, a standard deviation to
    either side. A map of slope s below 1 draws scores together since they are noisy (regression
    dilution), and so strays from each truth: of a mean variance v of the scores s (1 - s) v is left
    beside s^2 of the case's own, together s v where the case is like the mean.
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
    there, score = tuple(present), members.mean()
    own_df = len(members) - 1
    df = own_df + fitted.typical_df
    pooled = own_df * members.var(ddof=1) + fitted.typical_df * fitted.typical_score_variance
    with_mean = 1 + 1 / len(members)
    spread = with_mean * pooled / df
    site = 1.0 if calibrator.recalibration is None else calibrator.recalibration.slope
    slope = _slope(calibrator, score, there, reach=max(float(np.sqrt(spread)), LEAST_REACH))
    drawn = np.clip(slope / site, 0.0, 1.0)
    strayed = site**2 * drawn * (1.0 - drawn) * with_mean * fitted.mean_score_variance
    turned = shift_for(calibrator, there).slope
    map_sd = site * turned * np.interp(score, fitted.knots, fitted.map_sd)
    absent = site * _absent_sd(fitted, there)
    half = student.ppf((1 + fitted.level) / 2, df) * np.sqrt(
        slope**2 * spread
        + strayed
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


def _slope(calibrator: Calibrator, score: float, present: Subset, *, reach: float) -> float:
    """Return by how much the calibrated log-odds grow with the score, over a reach around it."""
    ends = to_log_odds(calibrator, [score - reach, score + reach], present)
    return float((ends[1] - ends[0]) / (2 * reach))


def _map_sd(scores: Array, labels: Array, knots: Array, patients: NDArray[np.int64]) -> Array:
    """Return how far a map, chosen and fitted on other patients, would have strayed at each knot.

    The method is chosen anew on each bootstrap, by the patients that it left out: that one was
    best on these patients does not make it the right one.
    """
    random = np.random.default_rng(0)
    order = np.argsort(patients, kind="stable")
    of_each = np.split(order, np.cumsum(np.bincount(patients))[:-1])
    found: list[Array] = []
    while len(found) < N_MAPS:
        chosen = random.integers(len(of_each), size=len(of_each))
        drawn = np.concatenate([of_each[number] for number in chosen])
        is_told = labels[drawn].min() < labels[drawn].max()
        if is_told and len(of_each) - len(np.unique(chosen)) >= MIN_LEFT_OUT:
            found.append(map_log_odds(chosen_out_of_bag(scores, labels, drawn), knots))
    return np.asarray(np.std(found, axis=0, ddof=1))


def _whole(hidden: Mapping[Subset, Array]) -> Subset:
    """Return the most modalities that some cases have, of equally many those of most cases."""
    counts = {present: int((~np.isnan(scores)).sum()) for present, scores in hidden.items()}
    some = [present for present, count in counts.items() if count >= MIN_CASES]
    return max(some, key=lambda present: (len(present), counts[present]), default=MODALITIES)


def _absent(calibrator: Calibrator, hidden: Mapping[Subset, Array]) -> tuple[AbsentSpread, ...]:
    all_there = _whole(hidden)
    whole = to_log_odds(calibrator, hidden[all_there], all_there)
    spreads = []
    for present, scores in hidden.items():
        moved = whole - to_log_odds(calibrator, scores, present)
        known = moved[~np.isnan(moved)]
        if present != all_there and len(known) >= MIN_CASES:
            sd = float(np.sqrt(np.mean(known**2)))
            spreads.append(AbsentSpread(present=present, sd=sd))
    return tuple(spreads)


def _absent_sd(fitted: IntervalModel, present: tuple[str, ...]) -> float:
    """Return what is known of such cases; where nothing is, the widest that is, or anything."""
    if set(present) == set(fitted.whole):
        return 0.0
    own = [one.sd for one in fitted.absent if set(one.present) == set(present)]
    return max(own or [one.sd for one in fitted.absent], default=np.inf)

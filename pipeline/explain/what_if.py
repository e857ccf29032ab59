"""What the network said of a case's variants, as one task's report holds it."""

from collections.abc import Iterator

from scipy.special import expit

from pipeline.explain.asked import Told
from pipeline.explain.shapley import shapley
from schemas.prediction import Evidence
from schemas.what_if import MODALITIES, Change, Modalities, ModalityShare, SubsetRisk, WhatIf


def what_if_of(told: Told, number: int, painted: float | None) -> WhatIf:
    """Return what one task's answer hangs on.

    Parameters
    ----------
    number
        Of the task.
    painted
        Calibrated log-odds with the heatmap's strongest place painted over; None without a
        heatmap that stood that test.
    """
    changes = [*_changes(told, number), *_of_the_image(painted)]
    whole = float(told.whole[number])
    changes.sort(key=lambda change: -abs(change.calibrated_logit - whole))
    return WhatIf(modalities=modalities_of(told, number), changes=tuple(changes))


def modalities_of(told: Told, number: int) -> Modalities:
    """Divide one task's calibrated log-odds among the modalities by their Shapley values."""
    odds = {part: float(values[number]) for part, values in told.subsets.items()}
    shares = shapley({part: values[number] for part, values in told.subsets.items()})
    return Modalities(
        shares=tuple(
            ModalityShare(
                name=name, is_present=name in shares, log_odds=float(shares.get(name, 0.0))
            )
            for name in MODALITIES
        ),
        subsets=tuple(
            SubsetRisk(
                present=tuple(name for name in MODALITIES if name in part),
                probability=risk_of(value), calibrated_logit=value,
            )
            for part, value in odds.items()
        ),
    )  # fmt: skip


def with_each_left_out(evidence: Evidence, told: Told, number: int) -> Evidence:
    """Return one task's evidence with the probability without each fact and each sentence."""
    without = {place: risk_of(float(odds[number])) for place, odds in told.variables.items()}
    n_columns = len(evidence.table)
    return evidence.model_copy(
        update={
            "table": tuple(
                one.model_copy(update={"probability_without": without.get(place)})
                for place, one in enumerate(evidence.table)
            ),
            "concepts": tuple(
                one.model_copy(update={"probability_without": without.get(n_columns + place)})
                for place, one in enumerate(evidence.concepts)
            ),
            "notes": tuple(
                one.model_copy(update={"probability_without": risk_of(float(odds[number]))})
                for one, odds in zip(evidence.notes, told.sentences, strict=True)
            ),
        }
    )


def risk_of(log_odds: float) -> float:
    """Return the probability of log-odds."""
    return float(expit(log_odds))


def _changes(told: Told, number: int) -> Iterator[Change]:
    for one, odds in told.changes:
        yield Change(
            kind=one.kind, name=one.variable.name, label=one.variable.label,
            unit=one.variable.unit, before=one.before, after=one.after,
            n_sentences=one.n_sentences, reference=one.reference,
            restated=one.restated,
            probability=risk_of(float(odds[number])),
            calibrated_logit=float(odds[number]),
        )  # fmt: skip


def _of_the_image(painted: float | None) -> Iterator[Change]:
    if painted is not None:
        yield Change(kind="image", probability=risk_of(painted), calibrated_logit=painted)

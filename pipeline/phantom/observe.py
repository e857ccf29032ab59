"""The true probability given only what a reader can know: unknown facts are averaged over.

Facts are independent of each other, and whether a fact is recorded depends on itself alone, so
what is known about one says nothing about another. The probability of an outcome is then the mean
of its true probability over the unknown facts, each weighted by its prior and by the chance of
having stayed unknown. Flags and topics are summed over exactly; a number over 24 quantiles, a
finding over its sides and 12 quantiles each of size and place.

Two things are taken as known though a reader may miss them: a finding in an image that is there,
and what a sentence says, however it is spelt. So this is a bound that a model can only approach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.phantom.scan import Target
from pipeline.phantom.world import Flag, Number, Risk, Topic, Values, World

IMAGE = "image"
_QUANTILES = 12


@dataclass(frozen=True, slots=True, eq=False)
class _Unknown:
    """Facts that are unknown together: every state that they may be in."""

    facts: Mapping[str, Values]
    """Each of shape (n,)."""
    weights: Values
    """Shape (n,), with the sum 1."""


def finding_facts(world: World, target: Target | None) -> Mapping[str, Values]:
    """Give the facts of one finding, each of shape (1,)."""
    radius = None if target is None else np.array([target.radius_mm])
    place = np.zeros((1, 3)) if target is None else target.place_mm[None]
    return _finding_facts(world, radius, place)


def _finding_facts(
    world: World, radius_mm: Values | None, place_mm: Values
) -> Mapping[str, Values]:
    """Presence, size and place from -1 to 1, and side; all are 0 where there is nothing."""
    named = ("size", "left", "right", world.place.name)
    if radius_mm is None:
        facts = dict.fromkeys(named, np.zeros(len(place_mm)))
        return _prefixed(world, np.zeros(len(place_mm)), facts)
    low, high = world.radius_mm
    along = place_mm @ np.array(world.place.direction) - world.place.middle_mm
    facts = {
        "size": (2.0 * radius_mm - low - high) / (high - low),
        "left": (place_mm[:, 0] > 0).astype(np.float64),
        "right": (place_mm[:, 0] < 0).astype(np.float64),
        world.place.name: np.clip(along / world.place.half_mm, -1.0, 1.0),
    }
    return _prefixed(world, np.ones(len(place_mm)), facts)


def _prefixed(world: World, there: Values, facts: Mapping[str, Values]) -> Mapping[str, Values]:
    named = {f"{world.finding}_{name}": value for name, value in facts.items()}
    return {f"has_{world.finding}": there, **named}


def observable_risks(
    world: World,
    interaction: float,
    facts: Mapping[str, float],
    seen: frozenset[str],
    has: Mapping[str, bool],
) -> Mapping[str, float]:
    """Compute each task's probability from what is seen.

    Parameters
    ----------
    world
        Priors, ways of going unrecorded, and risks.
    interaction
        Strength of the products.
    facts
        All of the patient's; those that are not seen are not used.
    seen
        ``image``, and the names of columns and topics.
    has
        Whether the patient has a ``table`` and ``notes`` at all.
    """
    unknown = [] if IMAGE in seen else [_finding_states(world)]
    unknown += [
        _column_states(world, column.name, is_lone=has["table"])
        for column in world.columns
        if column.name not in seen
    ]
    unknown += [
        _topic_states(world, topic.name, is_lone=has["notes"])
        for topic in world.topics
        if topic.name not in seen
    ]
    return {risk.task: _mean_risk(risk, interaction, facts, unknown) for risk in world.risks}


def _mean_risk(
    risk: Risk, interaction: float, facts: Mapping[str, float], unknown: list[_Unknown]
) -> float:
    """Average over the states of the unknown facts that matter, one axis for each group."""
    matters = [group for group in unknown if risk.facts & set(group.facts)]
    known: dict[str, Values | float] = dict(facts)
    weights = np.ones(())
    for axis, group in enumerate(matters):
        shape = [1] * len(matters)
        shape[axis] = -1
        known |= {name: values.reshape(shape) for name, values in group.facts.items()}
        weights = weights * group.weights.reshape(shape)
    p = np.broadcast_to(risk.probability(known, interaction), np.shape(weights))
    return float((weights * p).sum())


@cache
def _finding_states(world: World) -> _Unknown:
    """Nothing, or a finding of any size on either side and anywhere along the axis."""
    places = world.anatomy.places()
    middles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    radii = np.quantile(world.radius_mm, middles)
    groups, weights = [_finding_facts(world, None, np.zeros((1, 3)))], [1.0 - world.finding_chance]
    for side in (-1.0, 1.0):
        here = places[np.sign(places[:, 0]) == side]
        order = np.argsort(here @ np.array(world.place.direction))
        chosen = here[order[(middles * len(here)).astype(int)]]
        for place in chosen:
            groups.append(_finding_facts(world, radii, np.tile(place, (len(radii), 1))))
            share = world.finding_chance * len(here) / len(places) / _QUANTILES
            weights += [share / len(radii)] * len(radii)
    facts = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
    return _Unknown(facts, np.array(weights))


@cache
def _column_states(world: World, name: str, *, is_lone: bool) -> _Unknown:
    """Every fact of a column; weighted, if the column alone is unknown, by the chance of that."""
    column = next(column for column in world.columns if column.name == name)
    facts, weights = column.states()
    if is_lone:
        weights = weights * _unread_chance(column, facts)
    return _Unknown({name: facts}, weights / weights.sum())


def _unread_chance(column: Flag | Number, facts: Values) -> Values:
    """Not recorded, or recorded in another unit without saying so."""
    unstated = 0.0 if column.other_unit is None else column.other_unit.unstated
    missing = column.missing_chance(facts)
    return np.asarray(missing + (1.0 - missing) * unstated)


@cache
def _topic_states(world: World, name: str, *, is_lone: bool) -> _Unknown:
    """Every status of a topic; weighted, if the notes are silent on it, by the chance of that."""
    topic: Topic = next(topic for topic in world.topics if topic.name == name)
    statuses = topic.statuses
    weights = np.array([s.share * (1.0 - s.told if is_lone else 1.0) for s in statuses])
    facts = {
        f"{name}_{status.name}": np.eye(len(statuses))[place]
        for place, status in enumerate(statuses)
    }
    return _Unknown(facts, weights / weights.sum())

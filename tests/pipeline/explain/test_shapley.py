import numpy as np
import pytest

from pipeline.explain.shapley import shapley, subsets

PLAYERS = ("image", "notes", "table")


def game(value):
    return {subset: np.array(value(set(subset))) for subset in subsets(PLAYERS)}


def random_game(seed=0):
    random = np.random.default_rng(seed)
    return {subset: random.normal(size=2) * 5 for subset in subsets(PLAYERS)}


def test_every_subset_is_there_once_the_smallest_first():
    found = subsets(PLAYERS)
    assert len(found) == len(set(found)) == 8
    assert (found[0], found[-1]) == ((), PLAYERS)
    assert [len(subset) for subset in found] == [0, 1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_the_shares_sum_to_what_all_together_gain(seed):
    values = random_game(seed)
    total = sum(shapley(values).values())
    assert np.allclose(total, values[PLAYERS] - values[()], rtol=0, atol=1e-12)


def test_two_that_do_the_same_get_the_same():
    # Worth 3 as soon as one of image and notes is there; the table adds 1.
    shares = shapley(game(lambda s: 3.0 * bool(s & {"image", "notes"}) + ("table" in s)))
    assert shares["image"] == pytest.approx(1.5)
    assert shares["notes"] == pytest.approx(1.5)
    assert shares["table"] == pytest.approx(1.0)


def test_who_adds_nothing_gets_nothing():
    values = random_game()
    without = {
        subset: values[tuple(p for p in subset if p != "notes")] for subset in subsets(PLAYERS)
    }
    assert np.abs(shapley(without)["notes"]).max() < 1e-12


def test_what_two_gain_only_together_is_halved():
    shares = shapley(game(lambda s: 4.0 * ({"image", "table"} <= s)))
    assert (shares["image"], shares["notes"], shares["table"]) == pytest.approx((2, 0, 2))


def test_the_weights_are_those_of_the_orders():
    # By hand over the six orders: what each adds to those before it, averaged.
    value = {
        frozenset(): 0.0, frozenset({"image"}): 1.0, frozenset({"notes"}): 2.0,
        frozenset({"table"}): 4.0, frozenset({"image", "notes"}): 7.0,
        frozenset({"image", "table"}): 11.0, frozenset({"notes", "table"}): 13.0,
        frozenset(PLAYERS): 30.0,
    }  # fmt: skip
    # image: twice 1, once 7 - 2, once 11 - 4, twice 30 - 13, over six.
    shares = shapley(game(lambda s: value[frozenset(s)]))
    assert shares["image"] == pytest.approx((2 * 1 + 5 + 7 + 2 * 17) / 6)


def test_one_player_gets_all():
    values = {(): np.array(1.0), ("notes",): np.array(-2.0)}
    assert shapley(values) == {"notes": pytest.approx(-3.0)}

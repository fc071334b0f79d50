"""Differences of methods on the same items: by hand, and from the draws of images that the means have."""

import math
from itertools import combinations

import numpy as np
import pytest

from vlx.eval.measures.bootstrap import draws
from vlx.eval.measures.differences import EVERY_PAIR, between_methods, difference
from vlx.eval.measures.statistics import Outcome, summarise


def test_a_difference_needs_two_finite_values() -> None:
    assert difference(Outcome(3.0), Outcome(1.0)) == Outcome(2.0)
    assert difference(Outcome(None, "zero_map"), Outcome(None, "flat_map")) == Outcome(None, "zero_map")
    assert difference(Outcome(3.0), Outcome(None, "flat_map")) == Outcome(None, "subtracted_flat_map")
    assert difference(Outcome(math.inf), Outcome(1.0)) == Outcome(None, "infinite")
    assert difference(Outcome(1.0), Outcome(math.inf)) == Outcome(None, "infinite")


def test_only_items_of_both_count() -> None:
    scores = {
        "a": {"1": Outcome(0.0), "2": Outcome(None, "zero_map"), "3": Outcome(1.0)},
        "b": {"3": Outcome(0.5), "1": Outcome(1.0), "2": Outcome(1.0), "4": Outcome(9.0)},
    }
    found = between_methods(scores, dict(zip("1234", "xxyy", strict=True)))
    assert list(found) == ["b minus a"]
    one = found["b minus a"]
    assert (one.n, one.mean, dict(one.left_out)) == (2, 0.25, {"subtracted_zero_map": 1})
    assert one.clusters == 2


def test_the_interval_is_that_of_the_differences_of_means_of_the_same_draws() -> None:
    random = np.random.default_rng(1)
    items = [str(at) for at in range(30)]
    images = {item: f"image {int(item) // 3:02d}" for item in items}
    hard = random.normal(size=10).repeat(3)
    values = {name: hard + random.normal(size=30) / 5 for name in "abc"}
    scores = {
        name: {item: Outcome(float(v)) for item, v in zip(items, mine, strict=True)}
        for name, mine in values.items()
    }
    found = between_methods(scores, images, seed=4, resamples=500)
    for first, second in combinations("abc", 2):
        means = []
        for _, times in draws(10, 4, 500):
            often = times.repeat(3, axis=1)
            means.append((often @ values[second] - often @ values[first]) / often.sum(1))
        low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
        one = found[f"{second} minus {first}"]
        assert one.interval == pytest.approx((low, high))
        assert one.mean == pytest.approx(values[second].mean() - values[first].mean())
        alone = summarise(list(scores[first].values()), images.values(), seed=4, resamples=500).interval
        assert alone is not None
        assert (high - low) < (alone[1] - alone[0]) / 2  # what is hard for both is gone


def test_of_many_methods_each_is_compared_with_the_first() -> None:
    names = [f"method {at}" for at in range(EVERY_PAIR + 1)]
    scores = {name: {"1": Outcome(float(at)), "2": Outcome(1.0)} for at, name in enumerate(names)}
    images = {"1": "x", "2": "y"}
    found = between_methods(scores, images)
    assert list(found) == [f"{name} minus {names[0]}" for name in names[1:]]
    few = between_methods({name: scores[name] for name in names[:EVERY_PAIR]}, images)
    assert len(few) == EVERY_PAIR * (EVERY_PAIR - 1) // 2
    assert between_methods({names[0]: scores[names[0]]}, images) == {}
    assert between_methods({}, {}) == {}


def test_medians_of_differences_have_intervals_where_they_lead() -> None:
    scores = {
        "a": {str(at): Outcome(0.0) for at in range(5)},
        "b": {str(at): Outcome(float(at)) for at in range(5)},
    }
    one = between_methods(scores, {str(at): at for at in range(5)}, middle=True)["b minus a"]
    assert one.median == 2
    assert one.median_interval is not None

"""Errors by category: images are drawn, not the words in them."""

import math

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.eval.measures.bootstrap import clustered_error
from vlx.eval.measures.groups import macro_interval, mean_by_clusters
from vlx.eval.measures.statistics import Outcome, by_group, mean_over_groups, summarise


def correlated(random: np.random.Generator, images: int = 40, words: int = 10):
    """Words of one value an image, the same number in each: outcomes, categories, images."""
    values = np.repeat(random.normal(size=images), words)
    names = np.repeat(np.arange(images), words)
    categories = [("dog", "cat")[at % 2] for at in range(len(values))]
    return [Outcome(float(value)) for value in values], categories, [str(name) for name in names]


def test_categories_take_the_items_of_an_image_as_one():
    outcomes, categories, images = correlated(np.random.default_rng(0))
    found = by_group(outcomes, categories, images)
    for name, one in found.items():
        mine = [at for at, category in enumerate(categories) if category == name]
        assert one == summarise([outcomes[at] for at in mine], [images[at] for at in mine])
        assert one.clusters == 40
    alone = by_group(outcomes, categories)
    assert all(np.ptp(found[name].interval) > 1.5 * np.ptp(alone[name].interval) for name in found)
    with pytest.raises(VlxError, match="clusters for"):
        by_group(outcomes, categories, images[1:])


@pytest.mark.parametrize("which", ["category", "mean over categories"])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(which):
    held, rounds = 0, 60
    for seed in range(rounds):
        outcomes, categories, images = correlated(np.random.default_rng(seed), 30, 4)
        found = (
            by_group(outcomes, categories, images)["dog"]
            if which == "category"
            else mean_by_clusters(outcomes, categories, images)
        )
        assert found.interval is not None
        held += found.interval[0] <= 0 <= found.interval[1]
    assert 0.83 <= held / rounds <= 1


def test_the_mean_over_groups_keeps_its_value_and_takes_its_error_from_images():
    outcomes, categories, images = correlated(np.random.default_rng(1))
    outcomes = [*outcomes, Outcome(None, "zero_map"), Outcome(math.inf), Outcome(2.0)]
    categories, images = [*categories, "dog", "dog", "zebra"], [*images, "0", "0", "alone"]
    found, plain = (
        mean_by_clusters(outcomes, categories, images), mean_over_groups(by_group(outcomes, categories))
    )  # fmt: skip
    assert (found.mean, found.n, found.sd) == (plain.mean, 3, plain.sd)
    assert found.clusters == 41
    assert found.interval is not None
    assert found.interval[0] < found.mean < found.interval[1]


def test_one_group_has_the_errors_of_its_items():
    values, groups = np.random.default_rng(2).normal(size=60), np.repeat(np.arange(20), 3)
    outcomes, images = [Outcome(float(value)) for value in values], [f"{group:02d}" for group in groups]
    found, plain = mean_by_clusters(outcomes, ["dog"] * 60, images), summarise(outcomes, images)
    assert found.clustered_error == pytest.approx(clustered_error(values, groups))
    assert found.interval == pytest.approx(plain.interval)


def test_nothing_measured_has_no_interval():
    found = mean_by_clusters([Outcome(None, "zero_map")] * 2, ["dog", "cat"], ["1", "2"])
    assert (found.mean, found.interval, found.clustered_error, found.clusters) == (None, None, None, 0)
    assert macro_interval([], 3) is None

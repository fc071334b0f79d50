"""The interval of a median: resampled by group, with infinite values, and no outlier makes it."""

import math

import numpy as np
import pytest

from vlx.eval.measures.bootstrap import bootstrap_interval, median_interval
from vlx.eval.measures.statistics import Outcome, by_group, mean_over_groups, summarise


def by_resampling(values, groups, seed, resamples, level):
    """The same, by drawing the items of each group one after the other."""
    count, found = groups.max() + 1, []
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(count, size=count)
        found.append(np.median(np.concatenate([values[groups == one] for one in drawn])))
    return np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="closest_observation")


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 1, 2), (5, 5, 4, 1, 1)])
def test_it_is_that_of_resampled_groups(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = np.random.default_rng(1).normal(size=len(groups))
    found = median_interval(values, groups, seed=3, resamples=200)
    assert found == pytest.approx(by_resampling(values, groups, 3, 200, 0.95))


def test_one_huge_ratio_moves_the_mean_and_not_the_median():
    values, groups = np.array([0.5, 0.6, 0.7, 0.7, 0.8, 0.9, 1500.0] * 10), np.arange(70)
    low, high = median_interval(values, groups)
    assert 0.6 <= low <= 0.7 <= high <= 0.8
    assert bootstrap_interval(values, groups)[1] > 100


def test_zero_and_infinite_ratios_are_in_the_median():
    values = [0.0, 0.0, 1.0, 2.0, math.inf]
    found = summarise(values, ["a", "b", "c", "d", "e"], middle=True)
    assert found.median == 1.0
    assert found.infinite == 1
    low, high = found.median_interval
    assert low == 0.0
    assert high in (2.0, math.inf)
    assert summarise(values).median_interval is None


def test_one_image_has_no_interval():
    assert median_interval(np.array([1.0, 2.0]), np.array([0, 0])) is None
    assert median_interval(np.array([]), np.array([], int)) is None


def test_categories_count_by_their_medians_where_these_lead():
    groups = by_group([Outcome(1.0), Outcome(1.0), Outcome(100.0), Outcome(3.0)], ["dog"] * 3 + ["cat"])
    assert mean_over_groups(groups, medians=True).mean == 2.0
    assert mean_over_groups(groups).mean == 18.5

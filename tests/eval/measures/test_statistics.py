import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vlx.errors import VlxError
from vlx.eval.measures.statistics import (
    Outcome,
    Tally,
    by_group,
    mean_over_groups,
    merge,
    summarise,
    tally,
)

finite = st.floats(-1e6, 1e6)
outcomes = st.one_of(finite.map(Outcome), st.just(Outcome(math.inf)), st.just(Outcome(None, "zero_map")))


def test_worked_by_hand():
    found = summarise([2.0, 4.0, 4.0, 6.0], seed=1)
    assert (found.n, found.mean, found.median, found.trimmed_mean) == (4, 4.0, 4.0, 4.0)
    assert found.sd == pytest.approx(math.sqrt(8 / 3))
    assert found.standard_error == pytest.approx(math.sqrt(8 / 3) / 2)
    assert found.infinite == 0
    assert found.left_out == {}
    assert found.clusters is None


def test_trimmed_mean_drops_a_tenth_at_each_end():
    values = [-1000.0, *range(1, 9), 1000.0]
    assert summarise(values).trimmed_mean == pytest.approx(4.5)


def test_infinite_values_are_in_the_median_only():
    found = summarise([Outcome(1.0), Outcome(3.0), Outcome(math.inf), Outcome(math.inf)])
    assert (found.n, found.mean, found.infinite) == (2, 2.0, 2)
    assert found.median == math.inf
    assert found.seen == 4


def test_median_between_a_finite_and_an_infinite_value_is_infinite():
    assert summarise([1.0, math.inf]).median == math.inf
    assert summarise([-math.inf, math.inf]).median is None


def test_what_is_undefined_is_counted_and_enters_nothing():
    found = summarise([Outcome(1.0), Outcome(None, "zero_map"), Outcome(None, "zero_map"), None])
    assert (found.n, found.mean) == (1, 1.0)
    assert found.left_out == {"undefined": 1, "zero_map": 2}
    assert found.seen == 4


@pytest.mark.parametrize("values", [[], [Outcome(None, "zero_map")], [math.inf]])
def test_no_value_has_no_mean(values):
    found = summarise(values)
    assert found.mean is None
    assert found.standard_error is None
    assert found.interval is None


def test_one_value_has_a_mean_but_no_spread():
    found = summarise([3.0])
    assert (found.mean, found.median, found.trimmed_mean) == (3.0, 3.0, 3.0)
    assert found.sd is None
    assert found.standard_error is None
    assert found.interval is None


def test_nan_is_refused():
    with pytest.raises(VlxError, match="NaN"):
        Outcome(math.nan)


@pytest.mark.parametrize(("value", "reason"), [(None, None), (1.0, "zero_map")])
def test_an_outcome_has_a_value_or_a_reason(value, reason):
    with pytest.raises(VlxError, match="either"):
        Outcome(value, reason)


@given(st.lists(outcomes, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing(items, shuffler: random.Random):
    mixed = list(items)
    shuffler.shuffle(mixed)
    assert summarise(items, resamples=50) == summarise(mixed, resamples=50)


@given(st.lists(outcomes, max_size=12), st.integers(0, 12))
def test_parts_merge_exactly(items, cut):
    parts = tally(items[:cut]), tally(items[cut:])
    whole = summarise(items, resamples=50)
    assert summarise(parts[0] + parts[1], resamples=50) == whole
    assert summarise(parts[1] + parts[0], resamples=50) == whole
    assert summarise(merge([Tally(), *parts]), resamples=50) == whole


def test_clusters_merge_and_do_not_depend_on_order():
    values, names = [1.0, 2.0, 5.0, 9.0, 4.0], ["a", "b", "a", "c", "b"]
    whole = summarise(values, names, resamples=200)
    parts = tally(values[3:], names[3:]) + tally(values[:3], names[:3])
    assert summarise(parts, resamples=200) == whole
    assert whole.clusters == 3


def test_clusters_of_what_is_left_out_go_with_it():
    found = tally([Outcome(None, "zero_map"), Outcome(2.0)], [7, 8])
    assert (found.values, found.clusters) == ((2.0,), (8,))


def test_clustered_and_unclustered_tallies_do_not_mix():
    with pytest.raises(VlxError, match="clusters"):
        merge([tally([1.0], ["a"]), tally([1.0])])
    with pytest.raises(VlxError, match="2 clusters for 1"):
        tally([1.0], ["a", "b"])


def test_copies_within_clusters_do_not_narrow_the_clustered_interval():
    values = np.random.default_rng(2).normal(size=40)
    copies, names = np.repeat(values, 5), np.repeat(np.arange(40), 5)
    single = summarise(values)
    naive, clustered = summarise(copies), summarise(copies, names.tolist())
    assert clustered.interval == pytest.approx(single.interval, abs=0.01)
    assert clustered.clustered_error == pytest.approx(single.standard_error)
    assert naive.standard_error < 0.5 * clustered.clustered_error


def test_one_cluster_has_no_interval():
    found = summarise([1.0, 2.0], ["a", "a"])
    assert found.interval is None
    assert found.clustered_error is None


def test_standard_error_agrees_with_scipy():
    values = np.random.default_rng(4).normal(size=30)
    assert summarise(values.tolist()).standard_error == pytest.approx(stats.sem(values))


@pytest.mark.parametrize(("level", "resamples"), [(0.0, 10), (1.0, 10), (0.95, 0)])
def test_impossible_bootstraps_are_refused(level, resamples):
    with pytest.raises(VlxError, match="resamples"):
        summarise([1.0, 2.0], level=level, resamples=resamples)


def test_groups_count_once_each_and_empty_ones_not_at_all():
    items = [Outcome(1.0), Outcome(1.0), Outcome(0.0), Outcome(None, "empty_mask")]
    groups = by_group(items, ["dog", "dog", "cat", "zebra"])
    assert list(groups) == ["cat", "dog", "zebra"]
    macro = mean_over_groups(groups)
    assert macro.mean == 0.5
    assert macro.n == 2
    assert macro.left_out == {"empty_group": 1}
    with pytest.raises(VlxError, match="groups"):
        by_group(items, ["dog"])

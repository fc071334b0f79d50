import numpy as np
import pytest
from scipy import stats

from vlx.eval.measures.bootstrap import bootstrap_interval, bootstrap_intervals, clustered_error


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=80)
    found = bootstrap_interval(values, np.arange(80), seed=3, resamples=20_000)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(9)
    ).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.015)


def test_interval_by_the_literal_loop():
    values, groups = np.array([1.0, 2.0, 10.0, 4.0, 7.0]), np.array([0, 0, 1, 2, 2])
    generator = np.random.default_rng(5)
    means = []
    for drawn in generator.integers(3, size=(400, 3)):
        items = np.concatenate([values[groups == group] for group in drawn])
        means.append(items.mean())
    for level in (0.95, 0.5, 0.1):
        found = bootstrap_interval(values, groups, seed=5, resamples=400, level=level)
        ends = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        assert found == pytest.approx(tuple(ends))


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(11)
    covered = 0
    for seed in range(300):
        values = generator.normal(1.0, 2.0, size=60)
        low, high = bootstrap_interval(values, np.arange(60), seed=seed, resamples=400)
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_clustered_error_of_single_items_is_the_standard_error():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert clustered_error(values, np.arange(4)) == pytest.approx(stats.sem(values))


def test_long_samples_are_drawn_in_parts(monkeypatch):
    values, groups = np.random.default_rng(1).normal(size=50), np.arange(50)
    whole = bootstrap_interval(values, groups, resamples=500)
    monkeypatch.setattr("vlx.eval.measures.bootstrap._CHUNK", 333)
    assert bootstrap_interval(values, groups, resamples=500) == whole


def test_samples_that_share_a_draw_have_the_intervals_they_have_alone():
    random = np.random.default_rng(3)
    samples = [
        (random.normal(size=60), np.arange(60)),
        (random.exponential(size=120), np.repeat(np.arange(60), 2)),
        (random.normal(size=90), np.concatenate([np.arange(60), np.arange(30)])),
        (random.normal(size=40), np.arange(40)),
        (np.zeros(0), np.zeros(0, int)),
        (np.ones(3), np.zeros(3, int)),
    ]
    together = bootstrap_intervals(samples, seed=4, resamples=300)
    for (values, groups), found in zip(samples, together, strict=True):
        alone = literal(values, groups, 4, 300)
        assert (found is None) == (alone is None)
        assert alone is None or found == pytest.approx(alone, rel=1e-14)
    assert [one is None for one in together] == [False] * 4 + [True] * 2


def literal(values, groups, seed, resamples):
    """As it was before samples shared a draw: sums and sizes of the groups that are drawn."""
    if len(set(groups.tolist())) < 2:
        return None
    sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    return tuple(np.quantile(sums[drawn].sum(1) / sizes[drawn].sum(1), [0.025, 0.975]))


@pytest.mark.parametrize("short", [1, 10**6])
def test_draws_are_counted_alike_however_many_groups_there_are(monkeypatch, short):
    monkeypatch.setattr("vlx.eval.measures.bootstrap._SHORT", short)
    values, groups = np.random.default_rng(5).normal(size=70), np.repeat(np.arange(35), 2)
    assert bootstrap_interval(values, groups, resamples=200) == pytest.approx(literal(values, groups, 0, 200))

import numpy as np
import pytest
from scipy import stats

from vlx.eval.measures.bootstrap import bootstrap_interval, clustered_error


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

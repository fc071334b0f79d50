"""Statistics over draws of clusters, against numbers worked by hand, the plain loop and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.bootstrap import bootstrap_interval
from vlx.eval.measures.drawn import Statistic, drawn_statistic, means_of, roc_area, roc_areas, statistic
from vlx.eval.measures.statistics import Outcome


def test_the_area_worked_by_hand() -> None:
    # Of 2 x 3 pairs: 3 beats 1, 2 and 2; 2 beats 1 and ties with two: 4 + 2 / 2 = 5 of 6.
    scores, positive = np.array([3.0, 2.0, 1.0, 2.0, 2.0]), np.array([True, True, False, False, False])
    assert roc_area(scores, positive) == pytest.approx(5 / 6)
    assert roc_area(-scores, positive) == pytest.approx(1 / 6)
    assert roc_area(np.full(5, 7.0), positive) == 0.5
    assert roc_area(scores, np.ones(5, bool)) is None
    assert roc_area(np.zeros(0), np.zeros(0, bool)) is None
    assert roc_area(np.array([-math.inf, 0.0, math.inf]), np.array([False, False, True])) == 1.0
    with pytest.raises(VlxError, match="no NaN"):
        roc_area(np.array([math.nan, 1.0]), np.array([True, False]))


labelled = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25)


@given(labelled)
def test_weights_are_items_written_that_often(items: list[tuple[int, bool, int]]) -> None:
    scores, positive, times = (np.array(column) for column in zip(*items, strict=True))
    (found,) = roc_areas(scores.astype(float), positive)(times[None].astype(float))
    repeated = roc_area(np.repeat(scores, times).astype(float), np.repeat(positive, times))
    pairs = [
        (a > b) + (a == b) / 2
        for a, mine in zip(np.repeat(scores, times), np.repeat(positive, times), strict=True)
        for b, other in zip(np.repeat(scores, times), np.repeat(positive, times), strict=True)
        if mine and not other
    ]
    if pairs:
        assert found == pytest.approx(np.mean(pairs))
        assert repeated == pytest.approx(np.mean(pairs))
    else:
        assert np.isnan(found)
        assert repeated is None


def test_the_area_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    positive = random.random(300) < 0.3
    scores = np.round(random.normal(size=300) + positive, 1)  # with ties
    times = random.integers(0, 4, 300).astype(float)
    assert roc_area(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores))
    (weighted,) = roc_areas(scores, positive)(times[None])
    assert weighted == pytest.approx(metrics.roc_auc_score(positive, scores, sample_weight=times))


def test_a_mean_has_the_interval_of_its_bootstrap_by_clusters() -> None:
    random = np.random.default_rng(1)
    values, images = random.normal(size=60), np.repeat(np.arange(20), 3)
    names = [f"{image:02d}" for image in images]
    mean, interval = drawn_statistic(means_of(values, np.ones(60, bool)), names, seed=4, resamples=500)
    assert mean == pytest.approx(values.mean())
    assert interval == pytest.approx(bootstrap_interval(values, images, seed=4, resamples=500))


def test_images_are_drawn_and_not_words() -> None:
    """Two images whose words agree: a draw holds one of them twice, or both."""
    scores = np.array([3.0, 1.0, 1.0, 3.0])
    positive = np.array([True, False, True, False])
    value, interval = drawn_statistic(roc_areas(scores, positive), ["a", "a", "b", "b"], seed=0)
    assert value == pytest.approx(0.5)
    assert interval == (0.0, 1.0)
    assert drawn_statistic(roc_areas(scores, positive), ["a"] * 4) == (0.5, None)
    assert drawn_statistic(roc_areas(scores, np.ones(4, bool)), ["a", "a", "b", "b"]) == (None, None)
    assert drawn_statistic(roc_areas(np.zeros(0), np.zeros(0, bool)), []) == (None, None)


def test_draws_without_one_of_the_kinds_are_left_out() -> None:
    value, interval = drawn_statistic(
        roc_areas(np.array([1.0, 0.0]), np.array([True, False])), ["a", "b"], seed=0
    )
    assert (value, interval) == (1.0, (1.0, 1.0))


def test_large_samples_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    scores, positive = random.normal(size=40), random.random(40) < 0.5
    names = [str(at // 4) for at in range(40)]
    whole = drawn_statistic(roc_areas(scores, positive), names)
    monkeypatch.setattr("vlx.eval.measures.drawn._CHUNK", 100)
    assert drawn_statistic(roc_areas(scores, positive), names) == whole


def test_what_has_no_value_is_counted_and_no_cluster() -> None:
    outcomes = [Outcome(1.0), Outcome(None, "unknown_word"), Outcome(3.0), Outcome(None, "unknown_word")]
    found = statistic(
        outcomes,
        ["1", "2", "1", "3"],
        lambda values, at: means_of(values, np.ones(len(at), bool)),
        ["present", "absent", "present", "absent"],
    )
    assert found == Statistic(2.0, None, {"absent": 0, "present": 2}, 1, left_out={"unknown_word": 2})
    assert not found.sure
    assert Statistic(1.0, (0.1, 2.0), {}, 3).sure
    assert not Statistic(1.0, (-0.1, 2.0), {}, 3).sure

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from vlx.errors import VlxError
from vlx.eval.measures.reject import (
    Candidates,
    crossed_accuracy,
    presence_area,
    reject_accuracy,
    reject_curve,
)


def candidates(maxima, present, pointed):
    return Candidates(
        np.array(maxima, dtype=float), np.array(present, dtype=bool), np.array(pointed, dtype=float)
    )


def literal_accuracy(items, threshold, location):
    """The table of outcomes of the paper's appendix, one candidate at a time."""
    hits = 0.0
    for maximum, present, pointed in zip(items.maxima, items.present, items.pointed, strict=True):
        rejected = maximum < threshold
        if present and not rejected:
            hits += pointed if location else 1
        elif not present and rejected:
            hits += 1
    return hits / len(items.maxima)


rows = st.lists(
    st.tuples(st.integers(0, 5).map(float), st.booleans(), st.sampled_from([0.0, 0.5, 1.0])),
    min_size=1,
    max_size=15,
)


def test_the_five_outcomes():
    items = candidates(
        [2.0, 2.0, 0.5, 0.5, 2.0],
        [True, True, True, False, False],
        [1.0, 0.0, 1.0, 0.0, 0.0],
    )
    assert reject_accuracy(items, 1.0).tolist() == [1, 0, 0, 1, 0]
    assert reject_accuracy(items, 1.0, location=False).tolist() == [1, 1, 0, 1, 0]


@given(rows, st.booleans())
def test_the_curve_is_the_literal_count_at_each_threshold(rows, location):
    items = candidates(*zip(*rows, strict=True))
    curve = reject_curve(items, location=location)
    for threshold, accuracy in zip(curve.thresholds, curve.accuracy, strict=True):
        assert accuracy == pytest.approx(literal_accuracy(items, threshold, location))
        assert accuracy == pytest.approx(reject_accuracy(items, threshold, location=location).mean())
    everything = np.append(np.arange(-1, 7), 2.5)
    assert curve.best[1] == pytest.approx(
        max(literal_accuracy(items, threshold, location) for threshold in everything)
    )


@given(rows)
def test_the_area_is_the_chance_of_the_right_order(rows):
    items = candidates(*zip(*rows, strict=True))
    there, away = items.maxima[items.present], items.maxima[~items.present]
    found = presence_area(items)
    if not len(there) or not len(away):
        assert found is None
        return
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in there for b in away]
    assert found == pytest.approx(np.mean(wins))
    curve = reject_curve(items)
    trapezoid = -integrate.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert trapezoid == pytest.approx(found)


def test_rates_run_from_all_to_nothing():
    curve = reject_curve(candidates([1.0, 2.0, 3.0], [True, False, True], [1.0, 0.0, 1.0]))
    assert curve.true_positive_rate.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert curve.false_positive_rate.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert curve.thresholds[-1] == np.inf
    assert reject_curve(candidates([1.0], [True], [1.0])).false_positive_rate is None


def test_the_threshold_of_one_half_is_chosen_on_the_other():
    items = candidates([5.0, 1.0, 50.0, 10.0], [True, False, True, False], [1.0, 0.0, 1.0, 0.0])
    halves = np.array([True, True, False, False])
    assert reject_curve(items.take(np.flatnonzero(halves))).best == (5.0, 1.0)
    assert reject_curve(items.take(np.flatnonzero(~halves))).best == (50.0, 1.0)
    assert crossed_accuracy(items, halves).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert reject_curve(items).best == (5.0, 0.75)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([1.0], [True, False], [1.0]), "one length"),
        (([], [], []), "not 0"),
        (([np.nan], [True], [1.0]), "finite"),
        (([1.0], [True], [2.0]), "outside 0 to 1"),
    ],
)
def test_bad_candidates_are_refused(rows, message):
    with pytest.raises(VlxError, match=message):
        candidates(*rows)


def test_both_halves_are_needed():
    with pytest.raises(VlxError, match="halves"):
        crossed_accuracy(candidates([1.0], [True], [1.0]), np.array([True]))

"""Areas of maps: by hand, against counted pairs and scikit-learn, and where there is nothing to rank."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vlx.errors import NumericError, VlxError
from vlx.eval.measures.area import area_share, energy, roc_area, soft_iou
from vlx.eval.measures.statistics import Outcome


def counted(plane, mask):
    """Look at every pair of a pixel inside and one outside."""
    pairs = [(a > b) + (a == b) / 2 for a in plane[mask] for b in plane[~mask]]
    return sum(pairs) / len(pairs)


def planes(low=-3, high=3):
    """Small maps of few values, so that many tie, with masks that have both sides."""
    shape = st.tuples(st.integers(1, 4), st.integers(2, 5))
    return shape.flatmap(
        lambda size: st.tuples(
            arrays.arrays(np.float64, size, elements=st.integers(low, high).map(float)),
            arrays.arrays(bool, size).filter(lambda mask: mask.any() and not mask.all()),
        )
    )


def test_pairs_worked_by_hand():
    plane = np.array([[4.0, 1.0], [1.0, 0.0]])
    mask = np.array([[True, True], [False, False]])
    # 4 > 1, 4 > 0, 1 = 1, 1 > 0: three pairs and a half of four
    assert roc_area(plane, mask) == Outcome(3.5 / 4)
    assert roc_area(-plane, mask) == Outcome(0.5 / 4)
    assert roc_area(plane, ~mask) == Outcome(0.5 / 4)


@given(planes())
def test_the_area_is_the_share_of_pairs_in_order(given_):
    plane, mask = given_
    assert roc_area(plane, mask).value == pytest.approx(counted(plane, mask))
    assert roc_area(np.exp(plane), mask) == roc_area(plane, mask)  # of the order alone


def test_the_area_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    for decimals in (1, 3, 17):  # many ties, some, none
        plane = random.normal(size=(37, 53)).round(decimals)
        mask = random.random((37, 53)) < 0.2
        expected = metrics.roc_auc_score(mask.ravel(), plane.ravel())
        assert roc_area(plane, mask).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("level", [0.0, 1.0, -2.5])
def test_a_flat_map_ranks_as_chance_does(level):
    mask = np.array([[True, False, False]])
    assert roc_area(np.full((1, 3), level), mask) == Outcome(0.5)


@pytest.mark.parametrize("measure", [roc_area, soft_iou, energy])
def test_a_mask_without_an_inside_or_an_outside_is_left_out(measure):
    plane = np.array([[1.0, 2.0]])
    assert measure(plane, np.zeros((1, 2), bool)) == Outcome(None, "empty_mask")
    assert measure(plane, np.ones((1, 2), bool)) == Outcome(None, "full_mask")
    with pytest.raises(VlxError, match="pixels of the original image"):
        measure(plane, np.ones((2, 2), bool))
    with pytest.raises(NumericError):
        measure(np.array([[np.nan, 1.0]]), np.array([[True, False]]))


def test_the_share_of_the_image_is_told_of_the_same_masks():
    assert area_share(np.array([[True, False, False, False]])) == Outcome(0.25)
    assert area_share(np.zeros((1, 2), bool)) == Outcome(None, "empty_mask")
    assert area_share(np.ones((1, 2), bool)) == Outcome(None, "full_mask")


def test_soft_iou_and_energy_by_hand():
    plane = np.array([[4.0, 1.0], [2.0, -9.0]])  # scaled: 1, .25, .5, 0
    mask = np.array([[True, True], [False, False]])
    assert soft_iou(plane, mask).value == pytest.approx(1.25 / (2 + 0.5))
    assert energy(plane, mask).value == pytest.approx(5 / 7)


@given(planes())
def test_soft_iou_and_energy_are_their_sums_written_out(given_):
    plane, mask = given_
    if plane.max() <= 0:
        assert soft_iou(plane, mask) == energy(plane, mask) == Outcome(None, "zero_map")
        return
    scaled, m = np.maximum(plane, 0) / plane.max(), mask.astype(float)
    assert soft_iou(plane, mask).value == pytest.approx(
        np.minimum(m, scaled).sum() / np.maximum(m, scaled).sum()
    )
    assert energy(plane, mask).value == pytest.approx((m * scaled).sum() / scaled.sum())
    assert soft_iou(8 * plane, mask) == soft_iou(plane, mask)  # of no scale


@given(planes(low=1, high=1))
def test_of_a_uniform_map_both_are_the_share_of_the_mask(given_):
    plane, mask = given_
    share = area_share(mask).value
    assert soft_iou(3 * plane, mask).value == pytest.approx(share)
    assert energy(3 * plane, mask).value == pytest.approx(share)


def test_the_mask_itself_is_the_best_map():
    mask = np.array([[True, False], [False, True]])
    assert [measure(mask.astype(float), mask).value for measure in (roc_area, soft_iou, energy)] == [1, 1, 1]

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.boxes import Box, BoxMeans, box_mask, box_means, box_ratio, log_ratio, pooled_ratio
from vlx.eval.measures.statistics import Outcome, summarise

coordinate = st.floats(-4, 10)
boxes = st.builds(Box, coordinate, coordinate, st.floats(0, 12), st.floats(0, 12))


def literal_ratio(plane, box):
    """The paper's ratio, pixel by pixel."""
    inside, outside = [], []
    for row in range(plane.shape[0]):
        for col in range(plane.shape[1]):
            x, y = col + 0.5, row + 0.5
            within = box.x <= x < box.x + box.width and box.y <= y < box.y + box.height
            (inside if within else outside).append(plane[row, col])
    return np.mean(inside) / np.mean(outside)


def test_worked_by_hand():
    plane = np.array([[4.0, 2.0, 1.0], [0.0, 2.0, 3.0]])
    assert box_ratio(plane, Box(0, 0, 2, 1)) == Outcome(3.0 / 1.5)
    assert box_means(plane, Box(0, 0, 2, 1)) == BoxMeans(3.0, 1.5)


@given(boxes, st.integers(0, 1000))
def test_agrees_with_the_literal_loop(box, seed):
    plane = np.random.default_rng(seed).random((6, 7)) + 0.01
    found = box_ratio(plane, box)
    if found.value is None:
        assert found.left_out in ("empty_box", "no_outside")
    else:
        assert found.value == pytest.approx(literal_ratio(plane, box))


@given(boxes)
def test_a_uniform_map_has_ratio_one(box):
    found = box_ratio(np.full((6, 7), 0.25), box)
    assert found.value is None or found.value == pytest.approx(1.0)


@given(boxes, st.floats(0.001, 1000))
def test_scale_does_not_matter(box, factor):
    plane = np.random.default_rng(0).random((6, 7)) + 0.01
    first, second = box_ratio(plane, box), box_ratio(plane * factor, box)
    assert first.left_out == second.left_out
    if first.value is not None:
        assert second.value == pytest.approx(first.value)


def test_boxes_side_by_side_share_no_pixel_and_cover_all():
    cuts = [0.0, 1.5, 2.25, 5.0]
    masks = [box_mask(Box(a, 0, b - a, 4), (4, 5)) for a, b in pairwise(cuts)]
    assert (np.sum(masks, axis=0) == 1).all()


def test_boxes_that_stick_out_are_clipped():
    plane = np.random.default_rng(1).random((5, 5))
    assert box_ratio(plane, Box(-3, -2, 5, 4)) == box_ratio(plane, Box(0, 0, 2, 2))


@pytest.mark.parametrize(
    ("plane", "box", "reason"),
    [
        (np.ones((4, 4)), Box(5, 5, 2, 2), "empty_box"),
        (np.ones((4, 4)), Box(1.6, 1.6, 0.5, 0.5), "empty_box"),
        (np.ones((4, 4)), Box(1, 1, -2, 2), "empty_box"),
        (np.ones((4, 4)), Box(-1, -1, 9, 9), "no_outside"),
        (np.zeros((4, 4)), Box(0, 0, 2, 2), "zero_map"),
    ],
)
def test_what_is_undefined_is_left_out_with_its_reason(plane, box, reason):
    assert box_ratio(plane, box) == Outcome(None, reason)
    assert log_ratio(box_means(plane, box)) == Outcome(None, reason)


def test_nothing_outside_is_infinite_and_nothing_inside_is_zero():
    plane = np.zeros((4, 4))
    plane[0, 0] = 1
    assert box_ratio(plane, Box(0, 0, 2, 2)).value == math.inf
    assert box_ratio(plane, Box(2, 2, 2, 2)).value == 0.0
    assert log_ratio(box_means(plane, Box(0, 0, 2, 2))).left_out == "infinite"
    assert log_ratio(box_means(plane, Box(2, 2, 2, 2))).left_out == "zero_ratio"


def test_infinite_ratios_stay_in_the_median_of_a_summary():
    found = summarise([Outcome(1.0), Outcome(2.0), Outcome(math.inf)])
    assert (found.mean, found.median, found.infinite) == (1.5, 2.0, 1)


def test_pooled_ratio_is_the_ratio_of_sums():
    pairs = [BoxMeans(4.0, 1.0), BoxMeans(1.0, 1.0), Outcome(None, "zero_map")]
    assert pooled_ratio(pairs) == Outcome(2.5)
    assert pooled_ratio([Outcome(None, "zero_map")]) == Outcome(None, "no_pairs")
    assert pooled_ratio([BoxMeans(1.0, 0.0)]).value == math.inf


def test_mean_of_logarithms_is_the_geometric_mean():
    logs = summarise([log_ratio(BoxMeans(8.0, 1.0)), log_ratio(BoxMeans(1.0, 2.0))])
    assert math.exp(logs.mean) == pytest.approx(2.0)


def test_signed_maps_are_refused():
    with pytest.raises(VlxError, match="absolute"):
        box_ratio(np.array([[1.0, -1.0]]), Box(0, 0, 1, 1))


def test_boxes_with_sides_that_are_no_numbers_are_refused():
    with pytest.raises(VlxError, match="finite"):
        Box(0, 0, math.nan, 1)


def test_scaled_boxes_cover_the_same_part():
    assert Box(1, 2, 3, 4).scaled(2, 0.5) == Box(2, 1, 6, 2)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.pointing import (
    all_maxima,
    central_maximum,
    centre_hit,
    chance_hit,
    first_maximum,
    near,
    pointing_hit,
)
from vlx.eval.measures.statistics import Outcome


def peak(shape, *places):
    plane = np.zeros(shape)
    for place in places:
        plane[place] = 1.0
    return plane


def literal_near(mask, point, tolerance, touching):
    """Measure the distance to every mask pixel."""
    for row, col in np.argwhere(mask):
        squared = (row - point[0]) ** 2 + (col - point[1]) ** 2
        if tolerance == 0:
            hit = squared == 0
        else:
            hit = squared <= tolerance**2 if touching else squared < tolerance**2
        if hit:
            return True
    return False


def test_a_maximum_on_the_mask_is_a_hit_and_beside_it_none():
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 2:4] = True
    assert pointing_hit(peak((4, 5), (1, 2)), mask) == Outcome(1.0)
    assert pointing_hit(peak((4, 5), (0, 2)), mask) == Outcome(0.0)


def test_fifteen_pixels_are_strictly_fifteen_unless_touching_counts():
    mask = np.zeros((40, 40), dtype=bool)
    mask[20, 30] = True
    plane = peak((40, 40), (20, 15))
    assert pointing_hit(plane, mask, tolerance=15).value == 0.0
    assert pointing_hit(plane, mask, tolerance=15, touching=True).value == 1.0
    assert pointing_hit(plane, mask, tolerance=15.01).value == 1.0
    assert pointing_hit(peak((40, 40), (20, 16)), mask, tolerance=15).value == 1.0


def test_tolerance_is_a_disc_and_no_square():
    mask = np.zeros((40, 40), dtype=bool)
    mask[0, 0] = True
    plane = peak((40, 40), (12, 12))
    assert pointing_hit(plane, mask, tolerance=15).value == 0.0
    assert pointing_hit(plane, mask, tolerance=17).value == 1.0


@given(st.integers(0, 10_000), st.sampled_from([0, 1, 1.5, 3, 20]), st.booleans())
def test_near_agrees_with_the_literal_distances(seed, tolerance, touching):
    generator = np.random.default_rng(seed)
    mask = generator.random((8, 9)) < 0.08
    points = generator.integers(0, 8, (4, 2))
    expected = [literal_near(mask, point, tolerance, touching) for point in points]
    assert near(mask, points, tolerance, touching=touching).tolist() == expected


def test_ties_count_as_the_share_that_hits():
    mask = np.zeros((3, 4), dtype=bool)
    mask[0, :2] = True
    plane = peak((3, 4), (0, 0), (0, 1), (2, 1), (2, 3))
    assert pointing_hit(plane, mask) == Outcome(0.5)
    assert pointing_hit(plane, mask, points=first_maximum) == Outcome(1.0)
    assert pointing_hit(plane, mask, points=central_maximum) == Outcome(1.0)
    assert pointing_hit(plane[::-1, ::-1], mask[::-1, ::-1]) == Outcome(0.5)
    assert all_maxima(plane).tolist() == [[0, 0], [0, 1], [2, 1], [2, 3]]
    assert central_maximum(plane).tolist() == [[0, 1]]


def test_first_maximum_is_numpys():
    plane = np.random.default_rng(0).integers(0, 3, (6, 7)).astype(float)
    expected = np.unravel_index(plane.argmax(), plane.shape)
    assert tuple(first_maximum(plane)[0]) == expected


@pytest.mark.parametrize(
    ("plane", "mask", "reason"),
    [
        (np.zeros((3, 3)), np.ones((3, 3), dtype=bool), "zero_map"),
        (np.ones((3, 3)), np.ones((3, 3), dtype=bool), "flat_map"),
        (np.eye(3), np.zeros((3, 3), dtype=bool), "empty_mask"),
        (np.zeros((3, 3)), np.zeros((3, 3), dtype=bool), "empty_mask"),
    ],
)
def test_what_is_undefined_is_never_a_hit(plane, mask, reason):
    assert pointing_hit(plane, mask, tolerance=15) == Outcome(None, reason)


def test_masks_of_another_size_and_negative_tolerances_are_refused():
    with pytest.raises(VlxError, match="original image"):
        pointing_hit(np.eye(3), np.ones((6, 6), dtype=bool))
    with pytest.raises(VlxError, match="tolerance"):
        pointing_hit(np.eye(3), np.ones((3, 3), dtype=bool), tolerance=-1)


def test_centre_and_chance():
    mask = np.zeros((10, 10), dtype=bool)
    mask[5, 5] = True
    assert centre_hit(mask) == Outcome(1.0)
    assert chance_hit(mask) == Outcome(0.01)
    assert chance_hit(mask, tolerance=1.5) == Outcome(0.09)
    assert centre_hit(np.zeros((4, 4), dtype=bool)).left_out == "empty_mask"
    assert chance_hit(np.zeros((4, 4), dtype=bool)).left_out == "empty_mask"


def test_random_maps_hit_at_the_rate_of_chance():
    generator = np.random.default_rng(5)
    mask = np.zeros((30, 40), dtype=bool)
    mask[3:14, 20:33] = True
    hits = [pointing_hit(generator.random((30, 40)), mask, tolerance=4).value for _ in range(3000)]
    assert np.mean(hits) == pytest.approx(chance_hit(mask, tolerance=4).value, abs=0.03)

"""Boxes of maps and the errors of CLS-LOC, against the devkit's loop written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.localisation import (
    Corners,
    box_hit,
    classification_error,
    crossed_error,
    localisation_error,
    map_box,
    map_boxes,
    overlap,
    whole,
)


def by_pixels(first: Corners, second: Corners) -> float:
    """Intersection over union by counting pixels."""
    planes = []
    for box in (first, second):
        plane = np.zeros((30, 30), dtype=bool)
        plane[box.top : box.bottom + 1, box.left : box.right + 1] = True
        planes.append(plane)
    return (planes[0] & planes[1]).sum() / (planes[0] | planes[1]).sum()


def eval_clsloc(
    predicted: list[list[float]], label: int, boxes: list[list[float]], guesses: int
) -> tuple[int, int]:
    """The loops of eval_clsloc.m and compute_overlap.m for one image, line by line: (class, localisation)."""
    count = min(len(predicted), guesses)
    class_error, box_error = [], []
    for k in range(count):
        name, *pb = predicted[k]
        c = 0 if name == label else 1
        f = []
        for gb in boxes:
            bi = [max(pb[0], gb[0]), max(pb[1], gb[1]), min(pb[2], gb[2]), min(pb[3], gb[3])]
            iw, ih = bi[2] - bi[0] + 1, bi[3] - bi[1] + 1
            ov = 0.0
            if iw > 0 and ih > 0:
                ua = (pb[2] - pb[0] + 1) * (pb[3] - pb[1] + 1)
                ua += (gb[2] - gb[0] + 1) * (gb[3] - gb[1] + 1)
                ua -= iw * ih
                ov = iw * ih / ua
            f.append(0 if ov >= 0.5 else 1)
        class_error.append(c)
        box_error.append(max(c, min(f)))
    return min(class_error), min(box_error)


sides = st.tuples(st.integers(0, 14), st.integers(0, 14), st.integers(0, 14), st.integers(0, 14))


def corners(four: tuple[int, int, int, int]) -> Corners:
    left, top, width, height = four
    return Corners(left, top, left + width, top + height)


@given(sides, sides)
def test_overlap_counts_pixels(first, second):
    one, two = corners(first), corners(second)
    assert overlap(one, two) == pytest.approx(by_pixels(one, two))
    assert overlap(one, two) == overlap(two, one)


@given(
    st.lists(st.tuples(st.integers(0, 3), sides), min_size=1, max_size=7),
    st.lists(sides, min_size=1, max_size=3),
    st.sampled_from([1, 5]),
)
def test_errors_are_those_of_the_devkit(guessed, boxes, guesses):
    made = [(name, corners(one)) for name, one in guessed]
    truth = [corners(one) for one in boxes]
    plain = [[name, one.left, one.top, one.right, one.bottom] for name, one in made]
    expected = eval_clsloc(plain, 1, [[b.left, b.top, b.right, b.bottom] for b in truth], guesses)
    assert classification_error([name for name, _ in made], 1, guesses) == expected[0]
    assert localisation_error(made, 1, truth, guesses=guesses) == expected[1]


def test_a_box_of_exactly_half_is_right_and_one_pixel_less_is_not():
    truth = [Corners(0, 0, 9, 9)]
    assert box_hit(Corners(0, 0, 4, 9), truth)
    assert not box_hit(Corners(0, 1, 4, 9), truth)
    # without the +1 of inclusive corners the first would be 36 / 81
    assert 4 * 9 / 81 < 0.5


def test_the_sixth_guess_is_not_looked_at():
    box = Corners(0, 0, 9, 9)
    guessed = [(0, box)] * 5 + [(1, box)]
    assert localisation_error(guessed, 1, [box]) == 1
    assert localisation_error(guessed, 1, [box], guesses=6) == 0


def test_corners_join_pixels_at_connectivity_8_alone():
    plane = np.zeros((4, 6))
    plane[0, 0] = plane[1, 1] = plane[2, 2] = 1
    plane[3, 4:6] = 1
    assert map_box(plane) == Corners(0, 0, 2, 2)
    assert map_box(plane, connectivity=4) == Corners(4, 3, 5, 3)


@given(st.integers(0, 10_000), st.sampled_from([4, 8]), st.floats(0.1, 0.9))
def test_the_box_is_that_of_a_flood_fill(seed, connectivity, threshold):
    plane = np.random.default_rng(seed).random((9, 11)) - 0.2
    mask = plane >= threshold * plane.max()
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)] if connectivity == 8 else []
    seen, best = np.zeros_like(mask), []
    for start in zip(*np.nonzero(mask), strict=True):
        todo, segment = [start], []
        while todo:
            row, col = todo.pop()
            if 0 <= row < 9 and 0 <= col < 11 and mask[row, col] and not seen[row, col]:
                seen[row, col] = True
                segment.append((row, col))
                todo += [(row + down, col + right) for down, right in steps]
        best = segment if len(segment) > len(best) else best
    rows, cols = zip(*best, strict=True)
    assert map_box(plane, threshold, connectivity=connectivity) == Corners(
        int(min(cols)), int(min(rows)), int(max(cols)), int(max(rows))
    )


@given(st.integers(0, 10_000), st.sampled_from([4, 8]))
def test_boxes_at_several_thresholds_are_those_at_each(seed, connectivity):
    random = np.random.default_rng(seed)
    plane = random.integers(-2, 6, (9, 11)).astype(float)
    thresholds = [0.5, 1.0, 0.05, 0.5, 0.3]
    found = map_boxes(plane, thresholds, connectivity=connectivity)
    assert list(found) == [map_box(plane, one, connectivity=connectivity) for one in thresholds]


@pytest.mark.parametrize("plane", [np.zeros((3, 5)), np.full((3, 5), -1.0), np.full((3, 5), 2.0)])
def test_a_map_that_shows_no_place_has_the_whole_image_as_its_box(plane):
    assert map_box(plane) == whole((3, 5))


def test_scaling_a_map_leaves_its_box():
    plane = np.random.default_rng(0).random((8, 8))
    assert map_box(plane * 1e-20) == map_box(plane)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5, float("nan")])
def test_a_threshold_is_a_share_of_the_maximum(threshold):
    with pytest.raises(VlxError, match="share of the maximum"):
        map_box(np.ones((2, 2)), threshold)


def test_inverted_and_infinite_boxes_are_refused():
    with pytest.raises(VlxError, match="before"):
        Corners(5, 0, 4, 0)
    with pytest.raises(VlxError, match="finite"):
        Corners(0, 0, float("inf"), 0)
    with pytest.raises(VlxError, match="no true box"):
        localisation_error([(0, Corners(0, 0, 1, 1))], 0, [])


def test_the_threshold_is_chosen_on_the_other_half():
    errors = np.array([[0, 1], [0, 1], [1, 0], [1, 0]], dtype=float)
    halves = np.array([True, True, False, False])
    found, chosen = crossed_error(errors, halves)
    assert chosen == (1, 0)
    assert found.tolist() == [1, 1, 1, 1]  # each half's own best would give 0
    with pytest.raises(VlxError, match="both halves"):
        crossed_error(errors, np.ones(4, dtype=bool))

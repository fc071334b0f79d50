"""Seeds from maps, the overlaps, and their quality from one confusion matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score, precision_score, recall_score

from vlx.errors import NumericError, VlxError
from vlx.eval.measures.seeds import (
    GRID,
    NONE,
    background,
    confusion,
    foreground,
    mean_iou,
    on_cells,
    on_pixels,
    quality,
    saliency,
    seeds_of,
    smoothed,
)


def test_foreground_lies_strictly_above_a_fifth_of_the_maximum():
    assert foreground(np.array([[10.0, 2.0, 2.001, -5.0]])).tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("plane", [np.zeros((3, 3)), np.full((2, 2), -1.0)])
def test_a_map_without_a_place_gives_no_seed(plane: np.ndarray):
    assert not foreground(plane).any()


def test_background_is_strict_as_the_released_code():
    plane = np.arange(np.prod(GRID), dtype=float).reshape(GRID)
    assert background(plane).sum() == 168  # floor(.1 x 1681), as in most published cues
    plane[plane < 200] = 0  # ties: none lies below the sorted value at index 168
    assert background(plane).sum() == 0


def test_background_of_a_part_that_was_not_seen():
    plane = np.arange(10.0)[None]
    seen = plane >= 4
    assert background(plane, 0.5, seen).nonzero()[1].tolist() == [4, 5, 6]
    assert not background(plane, 0.5, np.zeros_like(seen)).any()


def looped_median(plane: np.ndarray) -> np.ndarray:
    rows, cols = plane.shape
    found = np.empty_like(plane)
    for row in range(rows):
        for col in range(cols):
            near = [
                plane[min(max(row + down, 0), rows - 1), min(max(col + across, 0), cols - 1)]
                for down in (-1, 0, 1)
                for across in (-1, 0, 1)
            ]
            found[row, col] = sorted(near)[4]
    return found


@given(st.integers(0, 1000))
def test_saliency_is_the_median_of_the_largest_gradient(seed: int):
    gradients = np.random.default_rng(seed).standard_normal((4, 5, 3))
    largest = np.array([[max(abs(g) for g in gradients[:, r, c]) for c in range(3)] for r in range(5)])
    np.testing.assert_allclose(saliency(gradients), looped_median(largest))
    np.testing.assert_allclose(smoothed(largest), looped_median(largest))


@given(st.integers(0, 1000))
def test_overlaps_go_to_the_smaller_region_and_to_classes_before_background(seed: int):
    random = np.random.default_rng(seed)
    masks = {name: random.random((4, 4)) < random.random() for name in (7, 2, 9)}
    nothing = random.random((4, 4)) < 0.5
    found = seeds_of(masks, nothing)
    for row in range(4):
        for col in range(4):
            sizes = {name: int(mask.sum()) for name, mask in masks.items() if mask[row, col]}
            claims = [(count, list(masks).index(name), name) for name, count in sizes.items()]
            wanted = min(claims)[2] if claims else (0 if nothing[row, col] else NONE)
            assert found[row, col] == wanted


def test_seeds_need_one_grid():
    with pytest.raises(VlxError, match="one grid"):
        seeds_of({1: np.ones((2, 2), bool)}, np.ones((2, 3), bool))
    with pytest.raises(VlxError, match="no cells"):
        seeds_of({})


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_pixels_take_the_cell_in_which_their_centre_lies(height: int, width: int, rows: int, cols: int):
    labels = np.arange(rows * cols).reshape(rows, cols)
    found = on_pixels(labels, (height, width))
    for row in range(height):
        for col in range(width):
            wanted = labels[int((row + 0.5) * rows / height), int((col + 0.5) * cols / width)]
            assert found[row, col] == wanted


def test_a_grid_laid_on_pixels_and_taken_back_is_itself():
    labels = np.random.default_rng(0).integers(0, 9, (7, 5))
    assert (on_cells(on_pixels(labels, (70, 55)), (7, 5)) == labels).all()


@given(st.integers(0, 1000))
def test_quality_is_that_of_sklearn(seed: int):
    random = np.random.default_rng(seed)
    classes = 3
    truth = random.integers(0, classes + 1, 60)
    found = random.integers(-1, classes + 1, 60)
    ignored = random.random(60) < 0.2
    given_truth = np.where(ignored, 255, truth)
    matrix = confusion(given_truth[None], found[None], classes)
    names = list(range(classes + 1))
    other = np.where(found < 0, classes + 1, found)[~ignored]
    wanted = confusion_matrix(truth[~ignored], other, labels=[*names, classes + 1])
    assert (matrix == wanted[:-1]).all()
    told = quality(matrix)
    for score, mine in (
        (precision_score, told.precision),
        (recall_score, told.recall),
        (jaccard_score, told.iou),
    ):
        theirs = score(truth[~ignored], other, labels=names, average=None, zero_division=0)
        known = ~np.isnan(mine)
        np.testing.assert_allclose(mine[known], theirs[known])


def test_one_matrix_over_all_images_is_not_the_mean_over_images():
    first = confusion(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 1, 1]]), 1)
    second = confusion(np.array([[0, 1]]), np.array([[0, 0]]), 1)
    assert quality(first + second).iou.tolist() == [0.5, 0.8]
    assert float(mean_iou((first + second).astype(float))) == pytest.approx(0.65)


def test_classes_that_are_neither_there_nor_found_are_left_out():
    matrix = confusion(np.array([[0, 1]]), np.array([[0, 1]]), 3)
    assert np.isnan(quality(matrix).iou[2:]).all()
    assert quality(matrix).mean() == (1.0, 1.0, 1.0)
    empty = quality(np.zeros((2, 3)))
    assert np.isnan(empty.mean()).all()


def test_matrices_of_several_draws_at_once():
    matrices = np.random.default_rng(0).integers(0, 9, (5, 3, 4)).astype(float)
    assert mean_iou(matrices).tolist() == [float(mean_iou(one)) for one in matrices]


def test_what_is_wrong_is_said():
    with pytest.raises(VlxError, match="true label 4"):
        confusion(np.array([[4]]), np.array([[0]]), 3)
    with pytest.raises(VlxError, match="found label 7"):
        confusion(np.array([[1]]), np.array([[7]]), 3)
    with pytest.raises(VlxError, match="same pixels"):
        confusion(np.zeros((1, 2), int), np.zeros((2, 1), int), 3)
    with pytest.raises(NumericError):
        foreground(np.array([[np.nan]]))
    with pytest.raises(VlxError, match="share"):
        foreground(np.ones((1, 1)), 1.5)
    with pytest.raises(VlxError, match="share"):
        background(np.ones((1, 1)), 1.0)

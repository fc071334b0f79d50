import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from vlx.errors import VlxError
from vlx.eval.measures.maps import (
    absolute_max,
    absolute_mean,
    area_average,
    bilinear,
    checked_map,
    checked_mask,
    leveled,
    positive_sum,
    rank_correlation,
)


def literal_area_average(plane, size):
    """Cut every pixel into the cells it lies in, one by one."""
    height, width = plane.shape
    total, weight = np.zeros(size), np.zeros(size)
    for row in range(height):
        for col in range(width):
            for i in range(size[0]):
                for j in range(size[1]):
                    tall = min(row + 1, (i + 1) * height / size[0]) - max(row, i * height / size[0])
                    wide = min(col + 1, (j + 1) * width / size[1]) - max(col, j * width / size[1])
                    if tall > 0 and wide > 0:
                        total[i, j] += plane[row, col] * tall * wide
                        weight[i, j] += tall * wide
    return total / weight


@pytest.mark.parametrize(("shape", "size"), [((4, 6), (2, 3)), ((5, 7), (2, 3)), ((3, 2), (4, 5))])
def test_area_average_is_the_literal_mean_over_cells(shape, size):
    plane = np.random.default_rng(0).random(shape)
    assert area_average(plane, size) == pytest.approx(literal_area_average(plane, size))


def test_area_average_agrees_with_adaptive_pooling_where_cells_are_whole():
    plane = np.random.default_rng(1).random((28, 42))
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(plane)[None], (14, 14))[0]
    assert area_average(plane, (14, 14)) == pytest.approx(pooled.numpy())


@given(
    arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_area_average_keeps_the_mean_and_the_range(plane, size):
    cells = area_average(plane, size)
    assert cells.mean() == pytest.approx(plane.mean())
    assert cells.min() >= plane.min() - 1e-12
    assert cells.max() <= plane.max() + 1e-12


@pytest.mark.parametrize(("shape", "size"), [((7, 5), (28, 31)), ((9, 8), (4, 3)), ((1, 1), (3, 2))])
def test_bilinear_agrees_with_torch(shape, size):
    plane = np.random.default_rng(2).random(shape)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(plane)[None, None], size, mode="bilinear", align_corners=False
    )[0, 0]
    assert bilinear(plane, size) == pytest.approx(expected.numpy())


def test_rank_correlation_agrees_with_scipy_with_ties():
    generator = np.random.default_rng(3)
    for _ in range(20):
        first, second = generator.integers(0, 4, (2, 5, 6)).astype(float)
        expected = stats.spearmanr(first.ravel(), second.ravel()).statistic
        assert rank_correlation(first, second) == pytest.approx(expected)


def test_one_argsort_is_no_rank():
    first, second = np.array([[3.0, 1.0, 2.0, 5.0, 4.0]]), np.array([[2.0, 5.0, 1.0, 3.0, 4.0]])
    assert rank_correlation(first, second) == pytest.approx(-0.1)
    permutations = np.argsort(first[0]), np.argsort(second[0])
    assert np.corrcoef(permutations)[0, 1] == pytest.approx(0.1)


@given(arrays(float, (3, 4), elements=st.floats(-5, 5).map(lambda value: round(value, 2))))
def test_rank_correlation_depends_on_order_only(plane):
    other = np.arange(12.0).reshape(3, 4)
    found = rank_correlation(plane, other)
    if np.ptp(plane) == 0:
        assert found is None
    else:
        assert rank_correlation(np.arctan(plane) * 7 - 2, other) == pytest.approx(found)
        assert rank_correlation(-plane, other) == pytest.approx(-found)


def test_constant_maps_have_no_correlation():
    assert rank_correlation(np.ones((2, 2)), np.arange(4.0).reshape(2, 2)) is None
    with pytest.raises(VlxError, match="shapes"):
        rank_correlation(np.ones((2, 2)), np.ones((2, 3)))


def test_one_number_a_pixel():
    pixels = np.array([[[1.0]], [[-2.0]], [[4.0]]])
    assert absolute_mean(pixels) == pytest.approx(7 / 3)
    assert absolute_max(pixels) == 4.0
    assert positive_sum(pixels) == 5.0


def test_leveled_ties_what_rounding_parted():
    plane = np.array([[0.1 + 0.2, 0.3, 0.0]])
    assert plane[0, 0] != plane[0, 1]
    assert len(np.unique(leveled(plane))) == 2
    assert not leveled(np.zeros((2, 2))).any()


@pytest.mark.parametrize("plane", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]]), np.array([[np.inf]])])
def test_what_is_no_map_is_refused(plane):
    with pytest.raises(VlxError, match="map"):
        checked_map(plane)


def test_masks_lie_on_the_pixels_of_the_map():
    with pytest.raises(VlxError, match="original image"):
        checked_mask(np.zeros((2, 3), dtype=bool), (3, 2))


@pytest.mark.parametrize("resize", [area_average, bilinear])
def test_no_empty_sizes(resize):
    with pytest.raises(VlxError, match="cannot"):
        resize(np.ones((2, 2)), (0, 3))

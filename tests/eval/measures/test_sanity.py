import numpy as np
import pytest
from scipy import stats

from vlx.eval.measures.maps import area_average
from vlx.eval.measures.sanity import agreement
from vlx.eval.measures.statistics import Outcome


def test_it_is_the_correlation_on_the_grid():
    plane, original = np.random.default_rng(0).random((2, 56, 70))
    grids = [area_average(one, (14, 14)).ravel() for one in (plane, original)]
    assert agreement(plane, original).value == pytest.approx(stats.spearmanr(*grids).statistic)
    assert agreement(plane, plane).value == pytest.approx(1)


def test_a_constant_map_is_left_out_the_original_first():
    flat, plane = np.zeros((28, 28)), np.arange(784.0).reshape(28, 28)
    assert agreement(flat, plane) == Outcome(None, "flat_map")
    assert agreement(plane, flat) == agreement(flat, flat) == Outcome(None, "flat_original")

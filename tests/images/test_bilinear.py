"""Weights along one axis: shared between neighbours, the outermost cells alone beyond their centres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.images.bilinear import linear_weights


def test_positions_by_hand():
    found = linear_weights(np.array([-3.0, 0.0, 0.25, 1.0, 1.5, 2.0, 9.0]), 3)
    expected = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]
    assert found.tolist() == expected


@given(st.lists(st.floats(-5, 12), max_size=9), st.integers(1, 8))
def test_weights_are_those_of_linear_interpolation(at, cells):
    weights = linear_weights(np.array(at), cells)
    assert weights.shape == (len(at), cells)
    assert weights.sum(1) == pytest.approx(np.ones(len(at)))
    for values in np.eye(cells):
        assert weights @ values == pytest.approx(np.interp(at, np.arange(cells), values), abs=1e-12)

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.eval.measures.correlation import correlation
from vlx.eval.measures.maps import rank_correlation
from vlx.eval.measures.statistics import Outcome

RISING = np.arange(12.0).reshape(3, 4)


def test_it_is_the_rank_correlation_whichever_map_comes_first():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 14, 14))
    expected = Outcome(rank_correlation(first, second))
    assert correlation({"a": first, "b": second}) == expected
    assert correlation({"b": second, "a": first}) == expected
    assert correlation({"a": RISING, "b": RISING**3}).value == pytest.approx(1.0)


def test_values_that_differ_by_rounding_alone_share_a_rank():
    nearly = np.where(RISING > 5, 0.3, 0.1 + 0.2)
    assert correlation({"a": nearly, "b": RISING}) == Outcome(None, "a")


def test_the_first_constant_map_is_named():
    flat = np.ones((3, 4))
    assert correlation({"flat_map": flat, "flat_human": RISING}) == Outcome(None, "flat_map")
    assert correlation({"flat_map": RISING, "flat_human": flat}) == Outcome(None, "flat_human")
    assert correlation({"flat_human": flat, "flat_map": flat}) == Outcome(None, "flat_human")


def test_maps_of_two_shapes_are_refused():
    with pytest.raises(VlxError, match="equal shapes"):
        correlation({"a": RISING, "b": RISING.T})

"""Rank correlation of two maps of one image, with what leaves it undefined."""

from collections.abc import Mapping

import numpy as np

from vlx.eval.measures.maps import Map, leveled, rank_correlation
from vlx.eval.measures.statistics import Outcome

GRID = (14, 14)
"""Rows and columns onto whose cells maps are averaged before they are compared."""


def correlation(maps: Mapping[str, Map]) -> Outcome:
    """Spearman's correlation of two maps of one shape; values equal but for rounding share a rank.

    Each map stands under the reason why there is no correlation where it is constant, as in
    ``correlation({"flat_map": plane, "flat_human": human})``; of two constant ones the first is named.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(correlation({"flat_map": plane, "flat_human": plane.T}).value, 3)
    0.8
    >>> correlation({"flat_map": np.ones((2, 2)), "flat_human": plane}).left_out
    'flat_map'
    """
    first, second = planes = [leveled(plane) for plane in maps.values()]
    for reason, plane in zip(maps, planes, strict=True):
        if np.ptp(plane) == 0:
            return Outcome(None, reason)
    return Outcome(rank_correlation(first, second))

"""Agreement of a map with the one that it should differ from (Adebayo et al. 2018)."""

from vlx.eval.measures.correlation import GRID, correlation
from vlx.eval.measures.maps import Map, area_average
from vlx.eval.measures.statistics import Outcome


def agreement(plane: Map, original: Map) -> Outcome:
    """The rank correlation of a map with the original one on a 14 x 14 grid.

    Left out: ``flat_original`` and ``flat_map``, which have no ranks.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(agreement(plane, 5 * plane).value, 3)
    1.0
    """
    return correlation({"flat_original": area_average(original, GRID), "flat_map": area_average(plane, GRID)})

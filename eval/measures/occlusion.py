"""Agreement of a map with occlusion (paper 5.3, 8.2)."""

from vlx.errors import VlxError
from vlx.eval.measures.correlation import GRID, correlation
from vlx.eval.measures.maps import Map, area_average
from vlx.eval.measures.statistics import Outcome


def occlusion_correlation(plane: Map, occluded: Map, *, size: tuple[int, int] | None = GRID) -> Outcome:
    """Spearman's correlation of a map with an occlusion map of the same pixels.

    ``size`` is the grid on which both are averaged first; None compares every pixel, which favours
    smooth maps, so the grid belongs beside every number. Left out: ``flat_map``,
    ``flat_occlusion``.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(occlusion_correlation(plane, plane.T, size=None).value, 3)
    0.8
    """
    if plane.shape != occluded.shape:
        raise VlxError(f"a map of shape {plane.shape} and an occlusion map of {occluded.shape}")
    if size is not None:
        plane, occluded = area_average(plane, size), area_average(occluded, size)
    return correlation({"flat_map": plane, "flat_occlusion": occluded})

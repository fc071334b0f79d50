"""Agreement of a map with occlusion (paper 5.3, 8.2)."""

import numpy as np

from vlx.errors import VlxError
from vlx.eval.measures.attention import GRID
from vlx.eval.measures.maps import Map, area_average, leveled, rank_correlation
from vlx.eval.measures.statistics import Outcome
from vlx.methods.occlusion.windows import SIZES, Image, Occlusion, Scores, occlusion, occlusions

__all__ = ["SIZES", "Image", "Occlusion", "Scores", "occlusion", "occlusion_correlation", "occlusions"]


def occlusion_correlation(plane: Map, occluded: Map, *, size: tuple[int, int] | None = GRID) -> Outcome:
    """Spearman's correlation of a map with an occlusion map of the same pixels.

    ``size`` is the grid on which both are averaged first; None compares every pixel, which favours
    smooth maps, so the grid belongs beside every number. Left out: ``flat_map``,
    ``flat_occlusion``.
    """
    if plane.shape != occluded.shape:
        raise VlxError(f"a map of shape {plane.shape} and an occlusion map of {occluded.shape}")
    if size is not None:
        plane, occluded = area_average(plane, size), area_average(occluded, size)
    plane, occluded = leveled(plane), leveled(occluded)
    if np.ptp(plane) == 0:
        return Outcome(None, "flat_map")
    if np.ptp(occluded) == 0:
        return Outcome(None, "flat_occlusion")
    return Outcome(rank_correlation(plane, occluded))

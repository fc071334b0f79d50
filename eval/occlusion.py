"""Agreement of a map with occlusion (paper 5.3, 8.2); occlusion maps are made by `vlx.windows`."""

from collections.abc import Iterator

import numpy as np

from vlx.errors import VlxError
from vlx.eval.attention import GRID
from vlx.eval.maps import Map, area_average, leveled, rank_correlation
from vlx.eval.summary import Outcome
from vlx.windows import Image, Occlusion, Scores, occlusion

SIZES = (10, 15, 25, 35, 45, 90)
"""Windows tried in the paper, in pixels; 35 was the best trade-off."""


def occlusions(
    image: Image, score: Scores, sizes: tuple[int, ...] = SIZES, *, stride: int = 8, batch: int = 32
) -> Iterator[tuple[int, Occlusion]]:
    """One occlusion for each window size, with the mean colour as filling."""
    for size in sizes:
        yield size, occlusion(image, score, size=size, stride=stride, batch=batch)


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

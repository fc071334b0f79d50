"""Pointing: whether the maximum of a map lies on the object that a word names.

Word pointing follows Selvaraju et al., section 8.1.1: a hit where the maximum lies within the
segmentation of the word's category (the union of its instances). The tolerance is in pixels of
the original image, so maps and masks must lie on those pixels.

An empty mask, a map of zeros and a flat map have no answer: they are left out, never a hit. Where
several pixels share the maximum, the first in reading order is an arbitrary choice that favours
the top left; the default is the hit rate of one of them taken at random.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Int
from scipy import ndimage

from vlx.errors import VlxError
from vlx.eval.measures.maps import Map, Mask, checked_map, checked_mask
from vlx.eval.measures.statistics import Outcome

Points = Int[np.ndarray, "point 2"]
"""Pixels as (row, col)."""


def all_maxima(plane: Map) -> Points:
    """Every pixel that holds the maximum, in reading order.

    >>> all_maxima(np.array([[0.0, 5.0], [5.0, 0.0]]))
    array([[0, 1],
           [1, 0]])
    """
    peaks = np.flatnonzero(plane == plane.max())  # several times as fast as np.argwhere
    return np.stack(np.divmod(peaks, plane.shape[1]), 1)


def first_maximum(plane: Map) -> Points:
    """The first pixel in reading order that holds the maximum, as ``numpy.argmax`` takes it.

    >>> first_maximum(np.array([[0.0, 5.0], [5.0, 0.0]]))
    array([[0, 1]])
    """
    return all_maxima(plane)[:1]


def central_maximum(plane: Map) -> Points:
    """The pixel that holds the maximum and is nearest to the mean of all that do.

    >>> central_maximum(np.array([[5.0, 5.0, 5.0, 0.0]]))
    array([[0, 1]])
    """
    peaks = all_maxima(plane)
    away = np.square(peaks - peaks.mean(0)).sum(1)
    return peaks[[int(away.argmin())]]


def pointing_hit(
    plane: Map,
    mask: Mask,
    *,
    tolerance: float | int = 0,
    touching: bool = False,
    points: Callable[[Map], Points] = all_maxima,
) -> Outcome:
    """1 where the maximum of the map lies on the mask, 0 where not, the share of hits among ties.

    ``tolerance`` 0 asks for a pixel of the mask itself. Otherwise a hit is a mask pixel at a
    Euclidean distance below ``tolerance`` (15 in Zhang et al. 2016, as TorchRay counts), or at most
    ``tolerance`` with ``touching`` (as the disc of excitation backprop). Distances are between
    pixel centres. ``points`` decides ties: all_maxima, first_maximum or central_maximum.
    Left out: ``empty_mask``, ``zero_map``, ``flat_map``.

    >>> mask = np.array([[False, True, True]])
    >>> pointing_hit(np.array([[5.0, 5.0, 0.0]]), mask).value
    0.5
    >>> pointing_hit(np.zeros((1, 3)), mask).left_out
    'zero_map'
    """
    values = checked_map(plane)
    truth = checked_mask(mask, values.shape)
    if not 0 <= tolerance < math.inf:
        raise VlxError(f"tolerance {tolerance}: expected pixels of the original image, 0 or more")
    if not truth.any():
        return Outcome(None, "empty_mask")
    reason = flat(values)
    if reason is not None:
        return Outcome(None, reason)
    return Outcome(float(near(truth, points(values), tolerance, touching=touching).mean()))


def flat(plane: Map) -> str | None:
    """``zero_map`` or ``flat_map`` for a map without a distinguished maximum, else None.

    >>> flat(np.zeros((2, 2))), flat(np.ones((2, 2))), flat(np.eye(2))
    ('zero_map', 'flat_map', None)
    """
    if np.ptp(plane) > 0:
        return None
    return "flat_map" if plane.flat[0] else "zero_map"


def near(mask: Mask, points: Points, tolerance: float | int, *, touching: bool = False) -> np.ndarray:
    """For each point, whether a mask pixel lies within the tolerance (see pointing_hit).

    >>> near(np.array([[False, False, True]]), np.array([[0, 0], [0, 1]]), tolerance=2)
    array([False,  True])
    """
    if tolerance == 0:
        return mask[points[:, 0], points[:, 1]]
    reach = math.ceil(tolerance)
    top, left = np.maximum(points.min(0) - reach, 0)
    bottom, right = points.max(0) + reach + 1
    window = mask[top:bottom, left:right]
    if not window.any():
        return np.zeros(len(points), dtype=bool)
    away = _distances(window)[points[:, 0] - top, points[:, 1] - left]
    return away <= tolerance if touching else away < tolerance


def centre_point(shape: tuple[int, int]) -> Points:
    """The middle of an image as one point, a pointing baseline.

    On even sides it is the pixel just after the middle.

    >>> centre_point((3, 4))
    array([[1, 2]])
    """
    return np.array([[shape[0] // 2, shape[1] // 2]])


def centre_hit(mask: Mask, *, tolerance: float | int = 0, touching: bool = False) -> Outcome:
    """Whether the middle of the image lies on the mask: what pointing scores without any model.

    >>> centre_hit(np.array([[False, True, False]])).value
    1.0
    """
    if not mask.any():
        return Outcome(None, "empty_mask")
    hit = near(mask, centre_point((mask.shape[0], mask.shape[1])), tolerance, touching=touching)
    return Outcome(float(hit[0]))


def chance_hit(mask: Mask, *, tolerance: float | int = 0, touching: bool = False) -> Outcome:
    """The hit rate of a pixel taken at random: the share of the image that counts as a hit.

    >>> chance_hit(np.array([[True, False, False, False]])).value
    0.25
    """
    if not mask.any():
        return Outcome(None, "empty_mask")
    if tolerance == 0:
        return Outcome(float(mask.mean()))
    away = _distances(mask)
    return Outcome(float((away <= tolerance if touching else away < tolerance).mean()))


def _distances(mask: Mask) -> Map:
    """The Euclidean distance of each pixel to the nearest one of the mask, which is not empty."""
    return np.asarray(ndimage.distance_transform_edt(~mask))

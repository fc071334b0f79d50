"""Areas: how well a map ranks the pixels of a mask above the others, and how much of it lies on the mask.

The ROC area is free of any threshold and scale; .5 is chance. Soft-IoU and energy compare the map itself,
without its negative part and scaled to a maximum of 1: of a uniform map both are the share of the image that
the mask covers.

An empty mask and one without an outside have no answer and are left out. A flat map ranks nothing: its ROC
area is .5, as that of a random one, by ties that count one half. A map without any positive value has no
scale: its soft-IoU and its energy are left out.
"""

import numpy as np

from vlx.eval.measures.maps import Map, Mask, checked_map, checked_mask
from vlx.eval.measures.statistics import Outcome


def roc_area(plane: Map, mask: Mask) -> Outcome:
    """The area under the ROC curve of the map's values as a detector of the mask's pixels.

    It is the probability that a pixel of the mask has a higher value than one outside, equal values counting
    one half (the Mann-Whitney statistic on midranks; Hanley and McNeil 1982). Pairs are counted in whole
    numbers. A flat map has .5. Left out: ``empty_mask``, ``full_mask``.

    >>> roc_area(np.array([[3.0, 2.0, 1.0, 2.0]]), np.array([[True, True, False, False]])).value
    0.875
    >>> roc_area(np.zeros((1, 2)), np.array([[True, False]])).value
    0.5
    """
    values = checked_map(plane)
    truth = checked_mask(mask, values.shape)
    reason = one_sided(truth)
    if reason is not None:
        return Outcome(None, reason)
    inside, outside = np.sort(values[truth]), np.sort(values[~truth])
    below = int(np.searchsorted(outside, inside, "left").sum())
    upto = int(np.searchsorted(outside, inside, "right").sum())
    return Outcome((below + upto) / (2 * len(inside) * len(outside)))


def soft_iou(plane: Map, mask: Mask) -> Outcome:
    """Σ min(m, M) over Σ max(m, M) of the mask m of 0 and 1 and the map M, from 0 up to a maximum of 1.

    A uniform map has the share of the image that the mask covers (`area_share`). Left out: ``empty_mask``,
    ``full_mask``, and ``zero_map`` where nothing is above 0.

    >>> soft_iou(np.array([[4.0, 2.0, 2.0, -1.0]]), np.array([[True, True, False, False]])).value
    0.6
    """
    found = _sums(plane, mask)
    if isinstance(found, Outcome):
        return found
    inside, outside = found
    # No value is above 1, the mask's own: below it lies the map, and the union is the mask with the rest.
    return Outcome(inside / (int(mask.sum()) + outside))


def energy(plane: Map, mask: Mask) -> Outcome:
    """The share of the map's positive sum that lies on the mask (energy-based pointing, Wang et al. 2020).

    A uniform map has the share of the image that the mask covers (`area_share`). Left out: ``empty_mask``,
    ``full_mask``, and ``zero_map`` where nothing is above 0.

    >>> energy(np.array([[4.0, 2.0, 2.0, -1.0]]), np.array([[True, True, False, False]])).value
    0.75
    """
    found = _sums(plane, mask)
    if isinstance(found, Outcome):
        return found
    inside, outside = found
    return Outcome(inside / (inside + outside))


def area_share(mask: Mask) -> Outcome:
    """The share of the image that the mask covers: soft-IoU and energy of a uniform map.

    >>> area_share(np.array([[True, False, False, False]])).value
    0.25
    """
    reason = one_sided(mask)
    return Outcome(float(mask.mean())) if reason is None else Outcome(None, reason)


def one_sided(mask: Mask) -> str | None:
    """``empty_mask`` or ``full_mask`` for a mask without an inside or an outside, else None.

    >>> one_sided(np.array([[True, True]])), one_sided(np.array([[True, False]]))
    ('full_mask', None)
    """
    if not mask.any():
        return "empty_mask"
    return "full_mask" if mask.all() else None


def _sums(plane: Map, mask: Mask) -> tuple[float, float] | Outcome:
    """The sums inside and outside the mask of the map without its negative part, up to a maximum of 1."""
    values = checked_map(plane)
    truth = checked_mask(mask, values.shape)
    reason = one_sided(truth)
    if reason is not None:
        return Outcome(None, reason)
    peak = float(values.max())
    if peak <= 0:
        return Outcome(None, "zero_map")
    scaled = np.maximum(values, 0) / peak
    return float(scaled[truth].sum()), float(scaled[~truth].sum())

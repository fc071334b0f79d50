"""Segments of maps: what lies above a share of the maximum, and boxes around it."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from vlx.errors import VlxError

Connectivity = Literal[4, 8]
"""Whether pixels are joined by their sides alone, or by their corners too."""


def segment_box(
    plane: Float[np.ndarray, "height width"], threshold: float | int, *, connectivity: Connectivity = 8
) -> tuple[int, int, int, int]:
    """The box around the largest segment of the pixels of at least ``threshold`` of the maximum (paper 4.1).

    Left, top, right and bottom in pixels of the map, the last two just outside. The largest has the most
    pixels; of several the first in reading order. Raises VlxError for a threshold that is not above 0 and at
    most 1, and for a map without any value above 0.

    >>> segment_box(np.array([[4.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5]]), 0.15)
    (2, 0, 4, 2)
    """
    need_share(threshold)
    peak = plane.max()
    if not peak > 0:
        raise VlxError("a map without any value above 0 has no segment")
    return largest_segment(plane >= threshold * peak, connectivity)


def need_share(threshold: float | int) -> None:
    """Raise VlxError for what is no share of a maximum that a map can be cut at.

    >>> need_share(0.15)
    """
    if not 0 < threshold <= 1:
        raise VlxError(f"threshold {threshold}: expected a share of the maximum, above 0 and at most 1")


def largest_segment(
    mask: Bool[np.ndarray, "height width"], connectivity: Connectivity = 8
) -> tuple[int, int, int, int]:
    """The box around the connected segment of a mask with the most pixels, as `segment_box` gives it.

    >>> largest_segment(np.array([[True, False, True, True]]))
    (2, 0, 4, 1)
    """
    from scipy import ndimage

    found: Any = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    labels, count = found
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1

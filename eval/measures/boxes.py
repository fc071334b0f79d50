"""Box ratio: mean activation inside a box over mean activation outside it.

Selvaraju et al., section 8.1, on regions with captions (DenseCap). A uniform map has ratio 1
whatever the box. Maps lie on the pixels of the image on which the boxes lie and are never
negative; for signed gradients at pixels see ``vlx.eval.measures.maps.absolute_mean`` and its relatives.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vlx.errors import VlxError
from vlx.eval.measures.maps import Map, Mask, checked_map
from vlx.eval.measures.statistics import Outcome

Number = float | int


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, 0-based and continuous: pixel (r, c) has its centre at c+½, r+½.

    >>> Box(x=2, y=0, width=4, height=3).scaled(0.5, 2)
    Box(x=1.0, y=0, width=2.0, height=6)
    """

    x: Number
    """Left edge."""
    y: Number
    """Top edge."""
    width: Number
    height: Number

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.width, self.height))):
            raise VlxError(f"a box with a side that is not a finite number: {self}")

    def scaled(self, x: Number, y: Number) -> "Box":
        """The box on an image stretched by ``x`` and ``y``."""
        return Box(self.x * x, self.y * y, self.width * x, self.height * y)


@dataclass(frozen=True)
class BoxMeans:
    """The mean of a map inside and outside a box."""

    inside: float
    outside: float


def box_mask(box: Box, shape: tuple[int, int]) -> Mask:
    """The pixels whose centre lies in the box; whatever sticks out of the image is clipped.

    A centre on the left or top edge is inside, one on the right or bottom edge is not, so boxes
    side by side share no pixel.

    >>> box_mask(Box(x=0, y=0, width=1, height=2), (2, 3))
    array([[ True, False, False],
           [ True, False, False]])
    """
    rows = np.arange(shape[0]) + 0.5
    cols = np.arange(shape[1]) + 0.5
    in_rows = (rows >= box.y) & (rows < box.y + box.height)
    in_cols = (cols >= box.x) & (cols < box.x + box.width)
    return in_rows[:, None] & in_cols


def box_means(plane: Map, box: Box) -> BoxMeans | Outcome:
    """The two means, or an Outcome that says why they do not exist.

    Reasons: ``empty_box`` (no pixel centre in it), ``no_outside`` (it covers the image),
    ``zero_map``. Raises VlxError for a map with negative values, whose ratio says nothing.

    >>> box_means(np.array([[3.0, 1.0], [3.0, 1.0]]), Box(x=0, y=0, width=1, height=2))
    BoxMeans(inside=3.0, outside=1.0)
    """
    values = checked_map(plane)
    if values.min() < 0:
        raise VlxError("a map with negative values has no box ratio: take its absolute value first")
    mask = box_mask(box, (values.shape[0], values.shape[1]))
    count = int(mask.sum())
    if count == 0:
        return Outcome(None, "empty_box")
    if count == values.size:
        return Outcome(None, "no_outside")
    if not values.any():
        return Outcome(None, "zero_map")
    return BoxMeans(float(values[mask].mean()), float(values[~mask].mean()))


def box_ratio(plane: Map, box: Box) -> Outcome:
    """Mean inside over mean outside; infinite where nothing outside is activated.

    Reasons for leaving out are those of box_means. Summaries count infinite ratios separately and keep
    them in the median.

    >>> box_ratio(np.array([[3.0, 1.0], [3.0, 1.0]]), Box(x=0, y=0, width=1, height=2)).value
    3.0
    >>> box_ratio(np.zeros((2, 2)), Box(x=0, y=0, width=1, height=2)).left_out
    'zero_map'
    """
    return ratio(box_means(plane, box))


def ratio(means: BoxMeans | Outcome) -> Outcome:
    """Inside over outside of one pair of means.

    >>> ratio(BoxMeans(inside=3.0, outside=1.5)).value
    2.0
    """
    if isinstance(means, Outcome):
        return means
    return Outcome(means.inside / means.outside if means.outside > 0 else math.inf)


def log_ratio(means: BoxMeans | Outcome) -> Outcome:
    """The natural logarithm of the ratio, which a few huge ratios do not dominate.

    Left out: ``zero_ratio`` (nothing inside) and ``infinite`` (nothing outside), as neither has a
    finite logarithm. The exponential of a mean of these is the geometric mean ratio.

    >>> log_ratio(BoxMeans(inside=3.0, outside=3.0)).value
    0.0
    """
    plain = ratio(means)
    if plain.value is None:
        return plain
    if plain.value == 0:
        return Outcome(None, "zero_ratio")
    return Outcome(None, "infinite") if math.isinf(plain.value) else Outcome(math.log(plain.value))


def pooled_ratio(pairs: Iterable[BoxMeans | Outcome]) -> Outcome:
    """The sum of all inside means over the sum of all outside means.

    Stable where the ratio of one map is not, but maps with larger values count more. Pairs that are
    left out are skipped; left out as ``no_pairs`` where none remains.

    >>> pooled_ratio([BoxMeans(3.0, 1.0), BoxMeans(1.0, 1.0)]).value
    2.0
    """
    means = [pair for pair in pairs if isinstance(pair, BoxMeans)]
    if not means:
        return Outcome(None, "no_pairs")
    inside = math.fsum(pair.inside for pair in means)
    outside = math.fsum(pair.outside for pair in means)
    return Outcome(inside / outside if outside > 0 else math.inf)

"""Localisation: the box of a map, and the errors of ILSVRC's CLS-LOC task.

Selvaraju et al., section 4.1: a map is cut at 15 % of its maximum, and the box of the largest connected
segment is the guess. Errors are those of the devkit of Russakovsky et al. 2015 (arXiv 1409.0575, section
4.2): a guess is right where its class is right and its box overlaps one of the true boxes by half. Boxes are
inclusive of their pixels on both ends, as the devkit counts them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vlx.errors import VlxError
from vlx.eval.measures.maps import Map, checked_map
from vlx.images.segments import Connectivity, largest_segment, need_share

THRESHOLD = 0.15
"""Of the maximum of a map (section 4.1 of the paper)."""
OVERLAP = 0.5
"""The least overlap of a right box; one of exactly this is right."""
GUESSES = 5
"""As many guesses of an image are looked at."""
SWEPT = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Thresholds among which the best is sought (Choe et al. 2020, arXiv 2001.07437, seek a finer one)."""


@dataclass(frozen=True)
class Corners:
    """A box by its outermost pixels, both inclusive and 0-based: one pixel has left = right.

    >>> Corners(0, 0, 4, 1).area
    10
    """

    left: float | int
    top: float | int
    right: float | int
    bottom: float | int

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.left, self.top, self.right, self.bottom))):
            raise VlxError(f"a box with a corner that is not a finite number: {self}")
        if self.right < self.left or self.bottom < self.top:
            raise VlxError(f"a box whose right or bottom lies before its left or top: {self}")

    @property
    def area(self) -> float | int:
        """Width times height, both inclusive."""
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)


def overlap(first: Corners, second: Corners) -> float:
    """Intersection over union, widths and heights counted with both end pixels.

    >>> overlap(Corners(0, 0, 9, 9), Corners(0, 0, 4, 9))
    0.5
    >>> overlap(Corners(0, 0, 1, 1), Corners(2, 0, 3, 1))
    0.0
    """
    width = min(first.right, second.right) - max(first.left, second.left) + 1
    height = min(first.bottom, second.bottom) - max(first.top, second.top) + 1
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (first.area + second.area - shared))


def whole(shape: tuple[int, int]) -> Corners:
    """The box of a whole image of (height, width).

    >>> whole((2, 3))
    Corners(left=0, top=0, right=2, bottom=1)
    """
    return Corners(0, 0, shape[1] - 1, shape[0] - 1)


def map_box(plane: Map, threshold: float | int = THRESHOLD, *, connectivity: Connectivity = 8) -> Corners:
    """The box around the largest connected segment of the pixels of at least ``threshold`` of the maximum.

    The largest has the most pixels; of several the first in reading order. A map without any value above 0
    shows no place: its box is the whole image. ``threshold`` is a share of the maximum, over 0 to 1.

    >>> plane = np.array([[4.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5]])
    >>> map_box(plane)
    Corners(left=2, top=0, right=3, bottom=1)
    >>> map_box(plane, 0.5)
    Corners(left=0, top=0, right=0, bottom=0)
    >>> map_box(np.zeros((2, 4)))
    Corners(left=0, top=0, right=3, bottom=1)
    """
    return map_boxes(plane, [threshold], connectivity=connectivity)[0]


def map_boxes(
    plane: Map, thresholds: Sequence[float | int], *, connectivity: Connectivity = 8
) -> tuple[Corners, ...]:
    """The boxes of `map_box` at several thresholds, for less than one by one; errors are those of it.

    >>> map_boxes(np.array([[4.0, 0.0, 1.0, 1.0]]), [0.15, 0.5])
    (Corners(left=2, top=0, right=3, bottom=0), Corners(left=0, top=0, right=0, bottom=0))
    """
    values = checked_map(plane)
    for threshold in thresholds:
        need_share(threshold)
    peak = values.max()
    if peak <= 0:
        return (whole((values.shape[0], values.shape[1])),) * len(thresholds)
    found: dict[float, Corners] = {}
    top = left = 0
    for threshold in sorted(set(thresholds)):  # what a higher one leaves lies within what a lower one left
        mask = values >= threshold * peak
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        part = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        values, top, left = values[part], top + int(rows[0]), left + int(cols[0])
        begin, above, end, below = largest_segment(mask[part], connectivity)
        found[threshold] = Corners(begin + left, above + top, end - 1 + left, below - 1 + top)
    return tuple(found[threshold] for threshold in thresholds)


def box_hit(guess: Corners, boxes: Sequence[Corners], least: float | int = OVERLAP) -> bool:
    """Whether a box overlaps any of the true ones by at least ``least``.

    >>> box_hit(Corners(0, 0, 4, 9), [Corners(50, 50, 60, 60), Corners(0, 0, 9, 9)])
    True
    """
    return any(overlap(guess, box) >= least for box in boxes)


def classification_error(classes: Sequence[int], truth: int, guesses: int = GUESSES) -> int:
    """0 where one of the first guesses is the true class, else 1.

    >>> classification_error([3, 7, 1], 7), classification_error([3, 7, 1], 7, guesses=1)
    (0, 1)
    """
    return int(truth not in list(classes)[:guesses])


def localisation_error(
    guessed: Sequence[tuple[int, Corners]],
    truth: int,
    boxes: Sequence[Corners],
    *,
    guesses: int = GUESSES,
    least: float | int = OVERLAP,
) -> int:
    """0 where one of the first guesses has the true class and a box that overlaps a true one, else 1.

    ``guessed`` are classes with their boxes, the likeliest first; those beyond ``guesses`` are not looked at.
    The rule of the devkit: the least error of all guesses, each the larger of that of its class and that of
    its box. Raises VlxError without a true box.

    >>> half = Corners(0, 0, 4, 9)
    >>> localisation_error([(3, half), (7, half)], 7, [Corners(0, 0, 9, 9)])
    0
    >>> localisation_error([(3, half), (7, half)], 7, [Corners(0, 0, 9, 9)], guesses=1)
    1
    """
    if not boxes:
        raise VlxError("no true box: an image without one has no localisation error")
    return int(not any(name == truth and box_hit(box, boxes, least) for name, box in guessed[:guesses]))


def crossed_error(
    errors: Float[np.ndarray, "item threshold"], halves: Bool[np.ndarray, " item"]
) -> tuple[Float[np.ndarray, " item"], tuple[int, int]]:
    """The error of each item at the threshold that is best on the other half, and those thresholds' numbers.

    ``halves`` says which half each item belongs to; the first number is that chosen for the items of True. Of
    several best ones it is the first. Choe et al. 2020 (arXiv 2001.07437) choose on a held-out set likewise:
    with one fixed threshold methods are compared by how well it suits them. Raises VlxError where a half is
    empty.

    >>> errors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> crossed_error(errors, np.array([True, False, False]))
    (array([1., 1., 0.]), (0, 1))
    """
    if not halves.any() or halves.all():
        raise VlxError("both halves need at least one item")
    chosen = int(errors[~halves].mean(0).argmin()), int(errors[halves].mean(0).argmin())
    return np.where(halves, errors[:, chosen[0]], errors[:, chosen[1]]), chosen

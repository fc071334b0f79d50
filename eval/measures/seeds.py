"""Seeds of weakly supervised segmentation: which cells a map says show a class, and how far that is so.

Kolesnikov and Lampert 2016 (SEC, arXiv 1603.06098, section 3.1) make them of CAM, Selvaraju et al. (section
4.2) of Grad-CAM: cells above a fifth of the maximum of a class's map, and the tenth of cells whose saliency
is lowest as background. How good they are is told from one confusion matrix over all images, as PASCAL VOC
does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from vlx.errors import VlxError
from vlx.eval.measures.maps import Map, Mask, absolute_max, checked_map

GRID = (41, 41)
"""The grid of SEC's cues, rows and columns."""
FOREGROUND = 0.2
"""Of the maximum of a class's map."""
BACKGROUND = 0.1
"""Of all cells."""
NONE = -1
"""The label of a cell that is no seed."""
IGNORED = 255
"""The label of pixels that do not count, as PASCAL VOC writes it."""

Labels = Int[np.ndarray, "_row _col"]
"""A class for each cell or pixel; 0 is background."""
Confusion = Int[np.ndarray, "_truth _found"]
"""Pixels by their true class, in rows, and by the class found, in columns; the last column is of no class."""


def foreground(plane: Map, share: float | int = FOREGROUND) -> Mask:
    """The cells whose value lies above ``share`` of the maximum; none where no value is above 0.

    CAM is signed: a share of a maximum below 0 would lie above it.

    >>> foreground(np.array([[5.0, 1.0, 1.1]]))
    array([[ True, False,  True]])
    >>> foreground(np.array([[-2.0, -1.0]]))
    array([[False, False]])
    """
    values = checked_map(plane)
    if not 0 <= share < 1:
        raise VlxError(f"share {share} of the maximum: expected 0 or more and less than 1")
    peak = values.max()
    return values > share * peak if peak > 0 else np.zeros(values.shape, dtype=bool)


def background(plane: Map, share: float | int = BACKGROUND, seen: Mask | None = None) -> Mask:
    """The cells of the lowest saliency: those below the value that comes after ``share`` of all cells.

    Strictly below, so of a flat map there are none. Cells that are not ``seen`` are none either, and are not
    counted among all.

    >>> background(np.array([[3.0, 1.0, 2.0, 4.0]]), 0.5)
    array([[False,  True,  True, False]])
    >>> background(np.array([[1.0, 1.0, 1.0, 4.0]]), 0.5)
    array([[False, False, False, False]])
    """
    values = checked_map(plane)
    if not 0 <= share < 1:
        raise VlxError(f"share {share} of the cells: expected 0 or more and less than 1")
    known = np.ones(values.shape, dtype=bool) if seen is None else seen
    ranked = np.sort(values[known])
    if not len(ranked):
        return np.zeros(values.shape, dtype=bool)
    return (values < ranked[int(share * len(ranked))]) & known


def saliency(gradients: Float[np.ndarray, "_channel _row _col"]) -> Map:
    """The largest absolute gradient among the channels of a place, by the median of 3 x 3 places.

    Beyond the border the outermost places stand again. SEC takes the gradient of the sum of all classes'
    scores (released code; Simonyan et al. 2014, arXiv 1312.6034, take one class's).

    >>> saliency(np.array([[[0.0, 9.0, 0.0]], [[1.0, 0.0, -2.0]]]))
    array([[1., 2., 2.]])
    """
    return smoothed(absolute_max(np.asarray(gradients, dtype=np.float64)))


def smoothed(plane: Map) -> Map:
    """The median of 3 x 3 places; beyond the border the outermost ones stand again.

    >>> smoothed(np.array([[0.0, 9.0, 0.0]]))
    array([[0., 0., 0.]])
    """
    return ndimage.median_filter(checked_map(plane), size=3, mode="nearest")


def seeds_of(classes: Mapping[int, Mask], nothing: Mask | None = None) -> Labels:
    """The label of each cell, from the cells of each class and those of the background.

    Of several classes that claim a cell the one with fewer cells has it (SEC, section 3.1), of as many the
    first; a class has it before the background. Cells that none claims are `NONE`.

    >>> one, two = np.array([[True, True, True, False]]), np.array([[False, False, True, False]])
    >>> seeds_of({3: one, 5: two}, np.array([[True, False, False, False]]))
    array([[ 3,  3,  5, -1]])
    """
    masks = [*classes.values(), *([] if nothing is None else [nothing])]
    if not masks:
        raise VlxError("no cells of any class: give a mask for each class, or one of the background")
    if len({mask.shape for mask in masks}) > 1:
        raise VlxError(f"cells on grids of {[mask.shape for mask in masks]}: all must lie on one grid")
    labels = np.full(masks[0].shape, NONE, dtype=np.int64)
    if nothing is not None:
        labels[nothing] = 0
    # The largest first, of as many the last given, so that smaller and earlier ones lie on top.
    ranked = sorted(reversed(list(classes.items())), key=lambda one: -int(one[1].sum()))
    for name, mask in ranked:
        labels[mask] = name
    return labels


def on_pixels(labels: Labels, size: tuple[int, int]) -> Labels:
    """The label of the cell in which the centre of each pixel of an image of (height, width) lies.

    >>> on_pixels(np.array([[1, 2]]), (1, 4))
    array([[1, 1, 2, 2]])
    """
    rows, cols = (_cells(length, count) for length, count in zip(size, labels.shape, strict=True))
    return labels[rows[:, None], cols]


def on_cells(labels: Labels, size: tuple[int, int]) -> Labels:
    """The label of the pixel in which the centre of each cell of a grid of (rows, columns) lies.

    >>> on_cells(np.array([[1, 1, 2, 2]]), (1, 2))
    array([[1, 2]])
    """
    return on_pixels(labels, size)


def _cells(length: int, count: int) -> Int[np.ndarray, " place"]:
    if length < 1 or count < 1:
        raise VlxError(f"cannot lay {count} cells on {length} pixels")
    return np.minimum((np.arange(length) * 2 + 1) * count // (2 * length), count - 1)


def confusion(truth: Labels, found: Labels, classes: int, ignored: int = IGNORED) -> Confusion:
    """How many pixels of each true class are found as each class, of ``classes`` and the background.

    Pixels that are truly `IGNORED` do not count. Matrices of several images add up. Raises VlxError for
    labels beyond the classes.

    >>> confusion(np.array([[0, 1, 1, 255]]), np.array([[0, 1, -1, 1]]), 1)
    array([[1, 0, 0],
           [0, 1, 1]])
    """
    if truth.shape != found.shape:
        raise VlxError(f"labels of shapes {truth.shape} and {found.shape}: both must lie on the same pixels")
    count = classes + 1
    kept = truth != ignored
    mine, other = truth[kept].astype(np.int64), found[kept].astype(np.int64)
    other = np.where(other == NONE, count, other)
    for what, labels, most in (("true", mine, classes), ("found", other, count)):
        if len(labels) and (labels.min() < 0 or labels.max() > most):
            wrong = labels[(labels < 0) | (labels > most)][0]
            raise VlxError(f"the {what} label {wrong}: expected 0 to {classes}, or {ignored} for ignored")
    return np.bincount(mine * (count + 1) + other, minlength=count * (count + 1)).reshape(count, count + 1)


@dataclass(frozen=True, eq=False)
class Quality:
    """What a confusion matrix says of each class, the background first; NaN where there is nothing to say."""

    precision: Float[np.ndarray, "*draw class"]
    """Of the pixels found as a class the share that is of it; NaN where none is found."""
    recall: Float[np.ndarray, "*draw class"]
    """Of the pixels of a class the share that is found; NaN where there is none."""
    iou: Float[np.ndarray, "*draw class"]
    """Intersection over union; NaN where the class is neither there nor found."""

    def mean(self, *, nothing: bool = True) -> tuple[float, float, float]:
        """The means over classes of precision, recall and IoU; ``nothing`` counts the background as one.

        NaN of a class is left out, as the devkit of VOC does; a mean of none is NaN.
        """
        first = 0 if nothing else 1
        found = [mean_of_known(part[..., first:]) for part in (self.precision, self.recall, self.iou)]
        return float(found[0]), float(found[1]), float(found[2])


def quality(matrix: Float[np.ndarray, "*draw class found"] | Int[np.ndarray, "*draw class found"]) -> Quality:
    """Precision, recall and intersection over union of each class of one confusion matrix, or of several.

    >>> told = quality(np.array([[3, 1, 0], [0, 2, 2]]))
    >>> told.precision, told.recall, told.iou
    (array([1.        , 0.66666667]), array([0.75, 0.5 ]), array([0.75, 0.4 ]))
    >>> told.mean()
    (0.8333333333333333, 0.625, 0.575)
    """
    values = np.asarray(matrix, dtype=np.float64)
    count = values.shape[-2]
    hits = np.diagonal(values, axis1=-2, axis2=-1)[..., :count]
    there, found = values.sum(-1), values.sum(-2)[..., :count]
    return Quality(ratio(hits, found), ratio(hits, there), ratio(hits, there + found - hits))


def mean_iou(matrix: Float[np.ndarray, "*draw class found"]) -> Float[np.ndarray, "*draw"]:
    """The mean intersection over union over the classes, and the background, that are there or found.

    >>> float(mean_iou(np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0]])))
    0.575
    """
    return np.asarray(mean_of_known(quality(matrix).iou))


def iou_of_counts(counts: Float[np.ndarray, "*draw 3 class"]) -> Float[np.ndarray, "*draw"]:
    """`mean_iou` of what decides it for each class: pixels found rightly, those there, and those found.

    >>> float(iou_of_counts(np.array([[3.0, 2.0], [4.0, 4.0], [3.0, 3.0]])))
    0.575
    """
    hits, there, found = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    return np.asarray(mean_of_known(ratio(hits, there + found - hits)))


def ratio(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, "*draw class"]:
    """A part of a whole; NaN where there is no whole.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean_of_known(values: Float[np.ndarray, "*draw class"]) -> np.ndarray:
    """The mean along the last axis of what is not NaN; NaN where all is.

    >>> float(mean_of_known(np.array([1.0, np.nan, 2.0])))
    1.5
    """
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)

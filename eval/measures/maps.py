"""Maps as measures take them: checked, reduced to one number a pixel, resized, ranked."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from vlx.errors import NumericError, VlxError
from vlx.images.bilinear import linear_weights

Map = Float[np.ndarray, "_height _width"]
Mask = Bool[np.ndarray, "_height _width"]


def checked_map(plane: np.ndarray) -> Map:
    """The map in double precision; raises VlxError unless it is 2-D, not empty and finite.

    >>> checked_map(np.array([[1, 2]]))
    array([[1., 2.]])
    """
    values = np.asarray(plane, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise VlxError(f"a map of shape {values.shape}: expected (height, width)")
    if not np.isfinite(values).all():
        raise NumericError("a map with NaN or infinite values")
    return values


def checked_mask(mask: np.ndarray, shape: tuple[int, ...]) -> Mask:
    """The mask as booleans; raises VlxError unless it lies on the same pixels as the map.

    >>> checked_mask(np.array([[1, 0]]), (1, 2))
    array([[ True, False]])
    """
    if mask.shape != shape:
        raise VlxError(
            f"a mask of shape {mask.shape} for a map of shape {shape}: both must lie on the pixels "
            "of the original image"
        )
    return np.asarray(mask, dtype=bool)


def absolute_mean(pixels: Float[np.ndarray, "channel height width"]) -> Map:
    """The mean over channels of the absolute gradient: one number a pixel.

    >>> absolute_mean(np.array([[[1.0]], [[-3.0]]]))
    array([[2.]])
    """
    return np.abs(pixels).mean(0)


def absolute_max(pixels: Float[np.ndarray, "channel height width"]) -> Map:
    """The largest absolute gradient among the channels of a pixel.

    >>> absolute_max(np.array([[[1.0]], [[-3.0]]]))
    array([[3.]])
    """
    return np.abs(pixels).max(0)


def positive_sum(pixels: Float[np.ndarray, "channel height width"]) -> Map:
    """The sum over channels of the positive part of the gradient.

    >>> positive_sum(np.array([[[1.0]], [[-3.0]], [[2.0]]]))
    array([[3.]])
    """
    return np.maximum(pixels, 0).sum(0)


def area_average(plane: Map, size: tuple[int, int]) -> Map:
    """The mean of the map over each cell of a grid of ``size`` (rows, columns).

    A pixel that lies in two cells counts in each with the share of its area, so no pixel is
    missed and the overall mean is kept, whatever the two sizes.

    >>> area_average(np.array([[1.0, 3.0], [5.0, 7.0]]), (1, 2))
    array([[3., 5.]])
    """
    values = checked_map(plane)
    rows, cols = size
    if rows < 1 or cols < 1:
        raise VlxError(f"cannot average onto {rows} x {cols} cells")
    return _overlaps(values.shape[0], rows) @ values @ _overlaps(values.shape[1], cols).T


def bilinear(plane: Map, size: tuple[int, int]) -> Map:
    """The map sampled bilinearly onto ``size`` (height, width), edges repeated.

    Pixel centres are aligned as in ``torch.nn.functional.interpolate(align_corners=False)``; it
    takes points, so for a smaller size use area_average.

    >>> bilinear(np.array([[0.0, 4.0]]), (1, 4))
    array([[0., 1., 3., 4.]])
    """
    values = checked_map(plane)
    return _weights(values.shape[0], size[0]) @ values @ _weights(values.shape[1], size[1]).T


def leveled(plane: Map) -> Map:
    """The map rounded to 12 digits of its peak, so that cells equal but for rounding tie.

    >>> len(np.unique(leveled(np.array([[1.0, 1.0 + 1e-15]]))))
    1
    """
    peak = float(np.abs(plane).max())
    return np.round(plane / peak, 12) * peak if peak > 0 else plane


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of two arrays of one shape, ties sharing their average rank.

    None where either is constant: it then has no ranks to compare.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(rank_correlation(plane, plane.T), 3)
    0.8
    """
    if first.shape != second.shape:
        raise VlxError(f"shapes {first.shape} and {second.shape}: a correlation needs equal shapes")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    ranks = stats.rankdata([first.ravel(), second.ravel()], axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    lengths = np.sqrt(np.square(ranks).sum(1))
    return float(np.clip(ranks[0] @ ranks[1] / lengths.prod(), -1, 1))


def _overlaps(length: int, cells: int) -> Float[np.ndarray, "cell pixel"]:
    """The share of each cell that each pixel covers; rows add up to 1."""
    edges = np.linspace(0, length, cells + 1)
    pixel = np.arange(length)
    low = np.maximum(edges[:-1, None], pixel)
    high = np.minimum(edges[1:, None], pixel + 1)
    return np.maximum(high - low, 0) * (cells / length)


@lru_cache(maxsize=64)
def _weights(length: int, samples: int) -> Float[np.ndarray, "sample pixel"]:
    """Bilinear weights of the pixels at each sample; rows add up to 1."""
    if samples < 1:
        raise VlxError(f"cannot resize to {samples} pixels")
    weights = linear_weights((np.arange(samples) + 0.5) * length / samples - 0.5, length)
    weights.flags.writeable = False  # shared by all maps of these sizes
    return weights

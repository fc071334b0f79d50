"""Resizing as other programs do it, for models trained on images that those programs had resized.

Each function takes pixels (height, width, 3) of 0 to 255 and a size, as `Preprocess.resample` asks.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from vlx.images.bilinear import linear_weights
from vlx.images.frame import Size

Pixels = Float[np.ndarray, "height width 3"]


def torch7(pixels: Pixels, size: Size) -> Float[np.ndarray, "rows cols 3"]:
    """Torch7's ``image.scale`` of floats: areas averaged to smaller, aligned corners to larger sizes.

    >>> pixels = np.array([[[0.0, 0.0, 0.0], [3.0, 3.0, 3.0]]])
    >>> torch7(pixels, (1, 1))
    array([[[1.5, 1.5, 1.5]]])
    """
    narrow = _across(_torch7_weights(size[1], pixels.shape[1]), pixels)
    return _down(_torch7_weights(size[0], pixels.shape[0]), narrow)


def torch7_bytes(pixels: Pixels, size: Size) -> Float[np.ndarray, "rows cols 3"]:
    """Torch7's ``image.scale`` of bytes: as `torch7`, rounded to whole numbers after each direction.

    >>> pixels = np.array([[[0.0, 0.0, 0.0], [3.0, 3.0, 3.0]]])
    >>> torch7_bytes(pixels, (1, 1))
    array([[[2., 2., 2.]]])
    """
    narrow = np.floor(_across(_torch7_weights(size[1], pixels.shape[1]), pixels) + 0.5)
    return np.floor(_down(_torch7_weights(size[0], pixels.shape[0]), narrow) + 0.5)


def tensorflow1(pixels: Pixels, size: Size) -> Float[np.ndarray, "rows cols 3"]:
    """TensorFlow 1's bilinear resizing: pixel i reads place i * from / to, and nothing is averaged.

    >>> pixels = np.array([[[0.0, 0.0, 0.0], [3.0, 3.0, 3.0]]])
    >>> tensorflow1(pixels, (1, 1))
    array([[[0., 0., 0.]]])
    """
    (rows, cols), (height, width) = size, pixels.shape[:2]
    narrow = _across(_linear(np.arange(cols) * (width / cols), width), pixels)
    return _down(_linear(np.arange(rows) * (height / rows), height), narrow)


def _torch7_weights(new: int, old: int) -> Any:
    """Row i holds the weights of the old pixels in new pixel i."""
    if new > old:
        return _linear(np.arange(new) * ((old - 1) / (new - 1)), old)
    edges = np.union1d(np.arange(old + 1.0), np.arange(new + 1) * (old / new))
    lengths, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rows = np.minimum((middle * (new / old)).astype(int), new - 1)  # the last edge may be rounded up
    cols = np.minimum(middle.astype(int), old - 1)
    return sparse.csr_array((lengths * (new / old), (rows, cols)), (new, old), dtype=np.float32)


def _linear(at: Float[np.ndarray, " new"], old: int) -> Any:
    """Row i shares position i between the two old pixels beside it."""
    return sparse.csr_array(linear_weights(at, old), dtype=np.float32)


def _across(weights: Any, pixels: np.ndarray) -> np.ndarray:
    return _down(weights, pixels.transpose(1, 0, 2)).transpose(1, 0, 2)


def _down(weights: Any, pixels: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    return (weights @ flat).reshape(-1, *pixels.shape[1:])

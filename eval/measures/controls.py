"""Controls as functions on arrays: maps that know nothing of the word, to be scored beside every method.

A score means something only next to what a centre prior, noise, and the activations without any
gradient reach under the same protocol.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from vlx.errors import VlxError
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.maps import Map, checked_map

CENTRE = 4 / 14
"""Standard deviation of the centre prior as a share of each side: 4 cells of a 14 x 14 grid."""


def uniform(shape: tuple[int, int]) -> Map:
    """A map of ones: box ratio 1; pointing and correlation are undefined for it.

    >>> uniform((1, 2))
    array([[1., 1.]])
    """
    return np.ones(shape)


def centre_prior(shape: tuple[int, int], *, sigma: float = CENTRE) -> Map:
    """A Gaussian in the middle of the image, 1 at its peak, stretched with the image.

    ``sigma`` is its standard deviation as a share of each side.

    >>> prior = centre_prior((3, 5))
    >>> float(prior[1, 2]), float(prior.max())
    (1.0, 1.0)
    """
    if sigma <= 0:
        raise VlxError(f"a centre prior of sigma {sigma}: expected a share of the side above 0")
    rows, cols = (np.square(((np.arange(side) + 0.5) / side - 0.5) / sigma) for side in shape)
    return np.exp(-(rows[:, None] + cols) / 2)


def white_noise(shape: tuple[int, int], generator: np.random.Generator) -> Map:
    """Independent uniform noise between 0 and 1 at every pixel.

    >>> white_noise((2, 3), np.random.default_rng(0)).shape
    (2, 3)
    """
    return generator.random(shape)


def smooth_noise(shape: tuple[int, int], generator: np.random.Generator, *, sigma: float = 1 / 14) -> Map:
    """Noise as smooth as a Grad-CAM map: white noise under a Gaussian, scaled to 0 to 1.

    ``sigma`` is the Gaussian's standard deviation as a share of each side; edges wrap around, so
    that no pixel is favoured. An image of one pixel has the map 1.

    >>> noise = smooth_noise((20, 30), np.random.default_rng(0))
    >>> float(noise.min()), float(noise.max())
    (0.0, 1.0)
    """
    noise = ndimage.gaussian_filter(generator.random(shape), [sigma * side for side in shape], mode="wrap")
    spread = np.ptp(noise)
    return (noise - noise.min()) / spread if spread > 0 else np.ones(shape)


def mean_activation(features: np.ndarray) -> Map:
    """The mean over channels of the feature maps: what Grad-CAM shows without any gradient.

    ``features`` are (channel, row, col). Negative means are set to 0, as Grad-CAM's own ReLU does.

    >>> mean_activation(np.array([[[1.0, -3.0]], [[3.0, 1.0]]]))
    array([[2., 0.]])
    """
    if features.ndim != 3:
        raise VlxError(f"features of shape {features.shape}: expected (channel, row, col)")
    return np.maximum(checked_map(features.mean(0)), 0)


def box_prior(
    boxes: Iterable[tuple[Box, tuple[int, int]]], shape: tuple[int, int], *, cells: int = 64
) -> Map:
    """How often boxes of a data set cover each pixel of an image of ``shape``.

    ``boxes`` are pairs of a box and the (height, width) of its image; each image is stretched onto
    ``cells`` x ``cells``, where a cell counts the share of its area under the box. Leave the box
    under test out of the set.

    >>> from vlx.eval.measures.boxes import Box
    >>> box_prior([(Box(x=0, y=0, width=1, height=2), (2, 2))], (2, 2), cells=2)
    array([[1., 0.],
           [1., 0.]])
    """
    total = np.zeros((cells, cells))
    count = 0
    for box, (height, width) in boxes:
        rows = _cover(box.y / height, (box.y + box.height) / height, cells)
        cols = _cover(box.x / width, (box.x + box.width) / width, cells)
        total += rows[:, None] * cols
        count += 1
    if not count:
        raise VlxError("a box prior needs at least one box")
    zoom = [(np.arange(side) + 0.5) * cells / side - 0.5 for side in shape]
    grid = np.meshgrid(*zoom, indexing="ij")
    return ndimage.map_coordinates(total / count, grid, order=1, mode="nearest")


def shuffled(groups: Sequence[Hashable], generator: np.random.Generator) -> list[int | None]:
    """For each item another item of the same group, for example another caption of the image.

    Within a group every item is used once and none stands for itself: a random cycle. None for an
    item that is alone in its group.

    >>> shuffled(["photo 1", "photo 1", "photo 2"], np.random.default_rng(0))
    [1, 0, None]
    """
    members: dict[Hashable, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    partners: list[int | None] = [None] * len(groups)
    for positions in members.values():
        if len(positions) > 1:
            cycle = generator.permutation(positions)
            for at, partner in zip(cycle, np.roll(cycle, 1), strict=True):
                partners[at] = int(partner)
    return partners


def _cover(low: float, high: float, cells: int) -> Float[np.ndarray, " cell"]:
    """The share of each of ``cells`` equal parts of 0 to 1 that lies between low and high."""
    edges = np.arange(cells + 1) / cells
    inside = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    return np.clip(inside * cells, 0, 1)

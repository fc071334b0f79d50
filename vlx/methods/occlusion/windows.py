"""Occlusion maps: how much a score falls when a window of the image is hidden.

Zeiler and Fergus 2014; Selvaraju et al., sections 5.3 and 8.2: the value at a pixel is the original
score minus the score with the window centred there filled. A window that sticks out of the image
hides the pixels inside it, which equals padding the image. The model is one callable that takes
a batch of images; nothing else is known of it. A window is revealed where the wholly filled image is
the original, and the image what its windows are filled with.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vlx.errors import NumericError, VlxError
from vlx.methods.occlusion.fills import Fill, Pixels

Scores = Callable[[Float[np.ndarray, "batch channel height width"]], np.ndarray]
"""Images as the model takes them in; out for each one score, or one for each of several targets.

Their axes lie in memory in the order of the image's. They are changed in place for the next call: a
callable that keeps them copies them."""

SIZES = (10, 15, 25, 35, 45, 90)
"""Windows tried in the paper, in pixels; 35 was the best trade-off."""


SIZE, STRIDE, SIDE = 35, 8, 224
"""The usual window and the distance of neighbours, in pixels, for an input of so many a side."""


What = Literal["hide", "reveal", "reveal_and_hide"]
"""What is done with each window: it alone is filled, or all but it, or both, and the maps are added."""

REVEALED = 96, 32
"""The usual window and distance where windows are revealed."""


def usual(what: What) -> tuple[int, int]:
    """The usual window and the distance of neighbours, in pixels, for an input of `SIDE` pixels a side."""
    return (SIZE, STRIDE) if what == "hide" else REVEALED


@dataclass(frozen=True)
class Windows:
    """Which windows are hidden or revealed, and with what the rest is filled: squares, ``stride`` apart.

    >>> Windows().fitted((224, 224)), Windows().fitted((64, 64)), Windows(size=9).fitted((32, 32))
    ((35, 8), (10, 2), (9, 1))
    """

    size: int | None = None
    """In pixels of the network input. None takes 35, the paper's best, or 96 where windows are revealed, and
    on an input smaller than the paper's 224 the same share of its shorter side."""
    stride: int | None = None
    """None takes 8, or 32, and less on a smaller input, by its longer side."""
    batch: int = 16
    """How many are scored in one run."""
    fill: Fill = None
    what: What = "hide"

    def fitted(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size and stride for an input of some height and width.

        Warns where a size that was asked for is more than half of the shorter side: every window then hides,
        or shows, most of what there is.
        """
        short, long = min(shape), max(shape)
        usual_size, usual_stride = usual(self.what)
        if self.size is not None and 2 * self.size > short:
            does = "show" if self.what == "reveal" else "hide"
            warnings.warn(
                f"windows of {self.size} pixels {does} most of an input of {shape[0]} x {shape[1]}: "
                f"{in_proportion(usual_size, short)} pixels would be the usual share",
                RuntimeWarning,
                stacklevel=2,
            )
        size = in_proportion(usual_size, short) if self.size is None else self.size
        return size, in_proportion(usual_stride, long) if self.stride is None else self.stride


def in_proportion(pixels: int, side: int) -> int:
    """So many pixels of an input of `SIDE`, as the same share of a smaller one.

    >>> in_proportion(35, 224), in_proportion(35, 112), in_proportion(35, 500)
    (35, 18, 35)
    """
    return max(1, round(pixels * min(1.0, side / SIDE)))


@dataclass(frozen=True, eq=False)
class Occlusion:
    """The falls of the score on the grid of windows, and where that grid lies."""

    falls: Float[np.ndarray, "*target row col"]
    """Original score minus masked score, signed: positive where the window held evidence."""
    rows: tuple[int, ...]
    """Row of the pixel on which the windows of each grid row are centred."""
    cols: tuple[int, ...]
    shape: tuple[int, int]
    score: Float[np.ndarray, "*target"]
    """The score of the untouched image."""

    @property
    def map(self) -> Float[np.ndarray, "*target height width"]:
        """The falls on every pixel: bilinear between window centres, the edge repeated outside."""
        rows = between(self.rows, self.shape[0])
        cols = between(self.cols, self.shape[1])
        return rows @ self.falls @ cols.T


def occlusion(
    image: np.ndarray,
    score: Scores,
    *,
    size: int = 35,
    stride: int = 8,
    fill: float | np.ndarray = 0.0,
    batch: int = 32,
) -> Occlusion:
    """Hide a square window of ``size`` pixels at every ``stride`` pixels and record the falls.

    ``image`` is (channel, height, width) as the model takes it. ``fill`` is in the same terms: one value,
    one for each channel, or an image from which windows are copied. 0 is the mean colour of the data only
    where the preprocessing subtracts that; see `vlx.methods.occlusion.fills.filling` for others. ``batch``
    masked images are scored at once. The window of an even size reaches one pixel further up and left of
    its centre. Stride 1 is the paper's literal map.
    """
    return occlusions(image, score, (size,), stride=stride, fill=fill, batch=batch)[size]


def occlusions(
    image: np.ndarray,
    score: Scores,
    sizes: Sequence[int] = SIZES,
    *,
    stride: int = 8,
    fill: float | np.ndarray = 0.0,
    batch: int = 32,
) -> dict[int, Occlusion]:
    """One `occlusion` for each window size; windows of all sizes share batches, and the original score."""
    if image.ndim != 3 or not image.size:
        raise VlxError(f"an image of shape {image.shape}: expected (channel, height, width)")
    if not sizes or min(*sizes, stride, batch) < 1:
        raise VlxError(f"size {(*sizes,)}, stride {stride} and batch {batch} must be 1 or more")
    height, width = image.shape[1:]
    filled = wholly(image, fill)
    rows, cols = _centres(height, stride), _centres(width, stride)
    windows = [_window((row, col), size) for size in sizes for row in rows for col in cols]
    original = np.asarray(_scores_of(score, image[None])[0])
    falls = np.moveaxis(original - changed_scores(image, score, windows, filled, batch), 0, -1)
    grids = np.split(falls, len(sizes), axis=-1)
    shape = (*original.shape, len(rows), len(cols))
    return {
        size: Occlusion(grid.reshape(shape), rows, cols, (height, width), original)
        for size, grid in zip(sizes, grids, strict=True)
    }


def changed_scores(
    image: Pixels,
    score: Scores,
    windows: Sequence[tuple[slice, slice, slice]],
    filled: Pixels,
    batch: int,
) -> Float[np.ndarray, "window *target"]:
    """The scores with each of the windows as another image has it."""
    # They lie in memory as the image does, whatever its order of axes; only what was hidden is put back.
    slowest = np.argsort([-step for step in image.strides], kind="stable")
    images = np.repeat(image.transpose(slowest)[None], batch, axis=0)
    images = images.transpose(0, *(1 + np.argsort(slowest)))
    found: list[np.ndarray] = []
    for start in range(0, len(windows), batch):
        part = windows[start : start + batch]
        for number, window in enumerate(part):
            images[number][window] = filled[window]
        found.append(_scores_of(score, images[: len(part)]))
        for number, window in enumerate(part):
            images[number][window] = image[window]
    return np.concatenate(found)


def wholly(image: Pixels, fill: float | np.ndarray) -> Pixels:
    """The image hidden as a whole."""
    given = np.asarray(fill, dtype=image.dtype)
    if given.shape not in ((), (1,), image.shape[:1], image.shape) or not np.isfinite(given).all():
        raise VlxError(
            f"a fill of shape {given.shape}, or not finite, for an image of shape {image.shape}: give one "
            "value, one for each channel, or an image of that shape"
        )
    return np.broadcast_to(given if given.ndim in (0, 3) else given[:, None, None], image.shape)


def _centres(length: int, stride: int) -> tuple[int, ...]:
    """Pixels ``stride`` apart, as far from one edge as from the other."""
    count = (length - 1) // stride + 1
    first = (length - 1 - (count - 1) * stride) // 2
    return tuple(range(first, length, stride))


def _window(centre: tuple[int, int], size: int) -> tuple[slice, slice, slice]:
    """All channels of the pixels that the window around a pixel hides."""
    top, left = (at - size // 2 for at in centre)
    return slice(None), slice(max(top, 0), max(top + size, 0)), slice(max(left, 0), max(left + size, 0))


def scored(score: Scores, images: np.ndarray) -> Float[np.ndarray, " batch"]:
    """The scores as doubles; raises VlxError unless there is one finite score for each image."""
    values = _scores_of(score, images)
    if values.ndim != 1:
        raise VlxError(f"scores of shape {values.shape} for {len(images)} images: expected one each")
    return values


def _scores_of(score: Scores, images: np.ndarray) -> Float[np.ndarray, "batch *target"]:
    """The scores as doubles, one or one for each target; raises VlxError unless all are finite."""
    values = np.array(score(images), dtype=np.float64)  # a copy: the images change
    if values.shape[:1] != (len(images),) or values.ndim > 2:
        raise VlxError(f"scores of shape {values.shape} for {len(images)} images: expected one each")
    if not np.isfinite(values).all():
        raise NumericError("a score that is not finite")
    return values


def between(centres: Sequence[int] | Sequence[float], length: int) -> Float[np.ndarray, "pixel centre"]:
    """Linear weights of the window centres at every pixel; rows add up to 1."""
    pixels = np.arange(length)
    return np.stack([np.interp(pixels, centres, unit) for unit in np.eye(len(centres))], axis=1)

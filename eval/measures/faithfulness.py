"""Faithfulness: whether the score follows the pixels that a map ranks highest.

Deletion and insertion (Petsiuk et al. 2018, arXiv 1806.07421): pixels are taken out of the image,
or put into a blurred or empty one, in the order of the map, and the score is recorded. The model is
one callable that takes a batch of images.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import integrate

from vlx.errors import VlxError
from vlx.eval.measures.maps import Map, Mask, checked_map, checked_mask
from vlx.eval.measures.statistics import Outcome
from vlx.methods.occlusion.windows import Pixels, Scores, scored


@dataclass(frozen=True, eq=False)
class Curve:
    """Scores against the share of pixels that were changed, from 0 to 1.

    >>> Curve(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])).area
    0.5
    """

    shares: Float[np.ndarray, " step"]
    scores: Float[np.ndarray, " step"]
    inserting: bool = False
    """Whether pixels were put in, so that the untouched image comes last."""

    @property
    def area(self) -> float:
        """The area under the curve by the trapezoidal rule: the mean score along the way."""
        return float(integrate.trapezoid(self.scores, self.shares))

    @property
    def relative_area(self) -> Outcome:
        """The area with the untouched image at 1 and the emptied one at 0.

        Comparable between images and models. Left out as ``flat_score`` where both score the same.
        """
        first, last = float(self.scores[0]), float(self.scores[-1])
        high, low = (last, first) if self.inserting else (first, last)
        if high == low:
            return Outcome(None, "flat_score")
        return Outcome((self.area - low) / (high - low))


def deletion(
    image: Pixels, plane: Map, score: Scores, empty: Pixels, *, steps: int = 50, batch: int = 32
) -> Curve:
    """Replace the highest-ranked pixels by those of ``empty`` first; a low area is a good map.

    ``image`` and ``empty`` (for example zeros, the mean colour) are as the model takes them, and
    the map lies on their pixels. Equal values change together, so that no tie is broken by position:
    a step that would split them waits for its last pixel.

    >>> white, black = np.ones((3, 1, 2), np.float32), np.zeros((3, 1, 2), np.float32)
    >>> curve = deletion(white, np.array([[2.0, 1.0]]), lambda x: x.mean((1, 2, 3)), black, steps=2)
    >>> curve.shares.tolist(), curve.scores.tolist()
    ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0])
    """
    return _curve(image, empty, plane, score, steps, batch, inserting=False)


def insertion(
    image: Pixels, plane: Map, score: Scores, empty: Pixels, *, steps: int = 50, batch: int = 32
) -> Curve:
    """Put the highest-ranked pixels of ``image`` into ``empty`` first; a high area is a good map.

    ``empty`` is usually a strongly blurred image. Ties are kept together as in deletion.

    >>> white, black = np.ones((3, 1, 2), np.float32), np.zeros((3, 1, 2), np.float32)
    >>> curve = insertion(white, np.array([[2.0, 1.0]]), lambda x: x.mean((1, 2, 3)), black, steps=2)
    >>> curve.scores.tolist()
    [0.0, 0.5, 1.0]
    """
    return _curve(empty, image, plane, score, steps, batch, inserting=True)


def discrimination(first: Map, second: Map, first_mask: Mask, second_mask: Mask) -> Outcome:
    """How well two maps of one image distinguish two objects, from -1 to 1 (0: not at all).

    Each map's share of activation on its own object minus its share on the other, averaged over
    both. Pixels of both objects count for neither. A map that is the same for both targets scores
    0 whatever it shows. Left out: ``empty_mask`` (of what is not shared), ``zero_map`` (nothing on
    either object). Raises VlxError for negative values.

    >>> dog, cat = np.array([[True, False]]), np.array([[False, True]])
    >>> discrimination(np.array([[3.0, 1.0]]), np.array([[0.0, 1.0]]), dog, cat).value  # 0.5 and 1
    0.75
    """
    planes = [checked_map(first), checked_map(second)]
    if planes[0].shape != planes[1].shape:
        raise VlxError(f"maps of shapes {first.shape} and {second.shape}: expected one image")
    if min(plane.min() for plane in planes) < 0:
        raise VlxError("a map with negative values has no share: take its absolute value first")
    masks = [checked_mask(mask, planes[0].shape) for mask in (first_mask, second_mask)]
    own = [masks[0] & ~masks[1], masks[1] & ~masks[0]]
    if not (own[0].any() and own[1].any()):
        return Outcome(None, "empty_mask")
    contrasts: list[float] = []
    for plane, mine, other in ((planes[0], *own), (planes[1], *own[::-1])):
        here, there = float(plane[mine].mean()), float(plane[other].mean())
        if here + there == 0:
            return Outcome(None, "zero_map")
        contrasts.append((here - there) / (here + there))
    return Outcome(sum(contrasts) / 2)


def _curve(
    start: Pixels, end: Pixels, plane: Map, score: Scores, steps: int, batch: int, *, inserting: bool
) -> Curve:
    values = checked_map(plane)
    if start.shape != end.shape or start.ndim != 3 or start.shape[1:] != values.shape:
        raise VlxError(
            f"images of shapes {start.shape} and {end.shape}, map {values.shape}: expected "
            "(channel, height, width) twice and (height, width)"
        )
    if steps < 1 or batch < 1:
        raise VlxError(f"steps {steps} and batch {batch} must be 1 or more")
    cuts = _cuts(values, steps)
    after = _changed_before(values)
    scores = [
        scored(score, np.where((after[None] <= part[:, None, None])[:, None], end, start))
        for part in np.split(cuts, range(batch, len(cuts), batch))
    ]
    return Curve(cuts / values.size, np.concatenate(scores), inserting)


def _changed_before(values: Map) -> np.ndarray:
    """For each pixel, how many pixels are at least as high: the step at which it has changed."""
    _, index, counts = np.unique(-values, return_inverse=True, return_counts=True)
    return np.cumsum(counts)[index].reshape(values.shape)


def _cuts(values: Map, steps: int) -> np.ndarray:
    """Numbers of changed pixels at each step: 0, about equal shares, all."""
    return np.unique(np.round(np.linspace(0, values.size, steps + 1)).astype(int))
